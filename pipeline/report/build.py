"""The report: one page that needs nothing else, and the comparison as CSV, JSON and PNG."""

import base64
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.errors import DataError
from pipeline.report import chart, table
from pipeline.report.card import card
from pipeline.report.table import Row
from pipeline.sources.config import SPLITS
from pipeline.workspace import read_json

PACKAGES = (
    "melisma",
    "torch",
    "torchaudio",
    "numpy",
    "scikit-learn",
    "librosa",
    "matplotlib",
    "pyarrow",
    "dvc",
    "mlflow",
)
MEDIA = {".png": "image/png", ".wav": "audio/wav"}


def build(
    variants: list[str],
    evaluation: Path,
    figures: Path,
    windows: Path,
    raw_tracks: Path,
    params: dict[str, Any],
    out: Path,
) -> None:
    """Write index.html, comparison.csv, comparison.json and comparison.png into the existing folder `out`.

    Args:
        variants: what is reported, in this order; one without results is listed as not evaluated.
        evaluation: holds <variant>/metrics.json and config.json.
        figures: holds <variant>/figures.json and the files that it names.
        windows: holds windows.parquet and rejected.parquet.
        raw_tracks: tracks.parquet.
        params: the content of params.yaml.
        out: where to write.

    Raises:
        DataError: a file is damaged, or a table of the data is missing.
    """
    rows = table.rows(variants, evaluation, params)
    table.write_csv(rows, out / "comparison.csv")
    table.write_compared(rows, out / "comparison.json")
    chart.draw(rows, out / "comparison.png", dpi=int((params.get("figures") or {}).get("dpi", 110)))
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (table.digits, table.percent, table.times, table.count, table.size)
    environment.filters.update({function.__name__: function for function in filters})
    page = environment.get_template("template.html.j2").render(
        rows=rows,
        ranked=table.ranked(rows),
        verdict=verdict(rows),
        card=card(windows, raw_tracks, params),
        splits=SPLITS,
        comparison=data_uri(out / "comparison.png"),
        parts=[_part(row, figures / row.variant, params) for row in rows],
        params=yaml.safe_dump(params, sort_keys=False, allow_unicode=True),
        commit=commit(),
        versions=versions(),
    )
    (out / "index.html").write_text(page, encoding="utf-8")


def verdict(rows: list[Row]) -> dict[str, str]:
    """What won and by how much: a headline, a line of detail, and the name of the best that has not collapsed."""
    scored = table.ranked(rows)
    sound = [row for row in scored if not row.collapsed and not row.baseline]
    if not sound:
        learnt = [row for row in scored if not row.baseline]
        headline = (
            "Every variant that was scored has collapsed." if learnt else "No variant has a result to compare yet."
        )
        return {"headline": headline, "detail": "", "best": ""}
    best = sound[0]
    share = best["mse_relative"] or 0.0
    interval = f" (95 % interval {best.interval})" if best.interval else ""
    mse, mean = table.digits(best["mse"]), table.digits(best["mse_mean"])
    detail = f"MSE {mse}{interval} on {best.representation}; the mean predictor has {mean}."
    if best["pca_ratio"] is not None:
        detail += f" That is {table.times(best['pca_ratio'])} what PCA leaves with as many components."
    for rival in [row for row in sound[1:] if row.representation == best.representation][:1]:
        detail += f" Next on the same input is {rival.variant} with {table.digits(rival['mse'])}"
        high, low = best["mse_high"], rival["mse_low"]
        if high is not None and low is not None:
            detail += "; their intervals " + ("overlap" if high >= low else "do not overlap")
        detail += "."
    if share < 1:
        of_learnt = " of all that learn" if scored[0].baseline else ""  # PCA with all its components stands above
        left = f"{table.percent(share)} of what predicting the training mean leaves"
        headline = f"{best.variant} has the lowest error{of_learnt}: {left}."
    else:
        headline = f"No variant does better than predicting the training mean; {best.variant} is nearest."
    return {"headline": headline, "detail": detail, "best": best.variant}


def _part(row: Row, folder: Path, params: dict[str, Any]) -> dict[str, Any]:
    """What the page shows of one variant: its settings, pictures and players."""
    settings = params["models"][row.variant]
    described = {key: _flow(value) for key, value in settings.items() if isinstance(value, dict)}
    entries = _entries(folder)
    audio = [entry for entry in entries if entry["kind"] == "audio"]
    players: dict[int, dict[str, dict[str, Any]]] = {}
    for entry in audio:
        if entry["role"] != "sample":
            players.setdefault(entry["example"], {})[entry["role"]] = entry
    return {
        "row": row,
        "settings": described,
        "skip": bool(settings.get("network", {}).get("skip")),
        "images": [entry for entry in entries if entry["kind"] == "image"],
        "players": [players[example] for example in sorted(players)],
        "samples": [entry for entry in audio if entry["role"] == "sample"],
        "notes": sorted({entry["caption"] for entry in audio}),
    }


def _flow(settings: dict[str, Any]) -> str:
    """Settings as one line of YAML."""
    return yaml.safe_dump(settings, default_flow_style=True, width=10**6, sort_keys=False).strip()[1:-1]


def _entries(folder: Path) -> list[dict[str, Any]]:
    """figures.json with each file's data URI as `uri`; empty where nothing was drawn."""
    path = folder / "figures.json"
    if not path.is_file():
        return []
    try:
        return [{**entry, "uri": data_uri(folder / entry["file"])} for entry in read_json(path)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: it, or a file that it names, cannot be read; run `dvc repro` to draw again"
        ) from error


def data_uri(path: Path) -> str:
    """A PNG or WAV file as a data URI."""
    return f"data:{MEDIA[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def commit() -> str | None:
    """The git commit of the current folder, marked where files differ from it; None outside a repository."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip().replace("-dirty", " with uncommitted changes")


def versions() -> list[tuple[str, str]]:
    """Python, the system, and the packages that decide results; one that is not installed says so."""
    found = [("Python", platform.python_version()), ("System", f"{platform.system()} {platform.machine()}")]
    for package in PACKAGES:
        try:
            found.append((package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            found.append((package, "not installed"))
    return found
