"""Write the leaderboard: one page and one CSV file with the rows of several builds."""

from pathlib import Path

from jinja2 import ChoiceLoader, PackageLoader

from pipeline.board.files import read_all
from pipeline.board.table import BoardRow, merge, to_csv
from pipeline.core.errors import ParamsError
from pipeline.report import columns
from pipeline.report.environment import make_environment
from pipeline.report.results import Results


def build(paths: list[Path], out: Path) -> list[BoardRow]:
    """Write index.html and board.csv into the folder `out`, which is made if it is missing; the rows of the table.

    Raises ParamsError if `out` is a file, else as `read_all`.
    """
    if out.exists() and not out.is_dir():
        raise ParamsError(f"--out {out}: a file; name a folder")
    files = read_all(paths)
    rows = merge(files)
    texts = {"index.html": render(rows, files), "board.csv": to_csv(rows)}
    out.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")
    return rows


def render(rows: list[BoardRow], files: dict[str, Results]) -> str:
    """The page. It contains all that it needs."""
    environment = make_environment()
    assert environment.loader is not None
    environment.loader = ChoiceLoader([PackageLoader("pipeline.board", ""), environment.loader])
    first = next(iter(files.values()))
    return environment.get_template("board.html.j2").render(
        rows=rows,
        columns=columns.columns_with_values([*rows]),
        sets=columns.SETS,
        set_notes=columns.SET_NOTES,
        kinds=sorted({row.kind for row in rows} - {""}),
        roles=columns.find_roles([*rows]),
        best=next((row for row in rows if row.place == 1), None),
        places=sum(row.place is not None for row in rows),
        files=files,
        protocol=first.protocol,
        test=first.test,
        one_training=len({results.training.fingerprint for results in files.values()}) == 1,
    )
