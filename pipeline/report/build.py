"""Build the report: a page that contains all its files, the comparison as CSV and JSON, charts, and model cards."""

import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from pipeline.core.artefacts import read_table
from pipeline.core.errors import MelismaError
from pipeline.core.git import git
from pipeline.figures.config import FiguresConfig
from pipeline.metrics.config import EvaluateConfig
from pipeline.report import columns, formatting, table
from pipeline.report.charts import draw_charts
from pipeline.report.charts.ablation import find_ablations
from pipeline.report.data_card import make_data_card
from pipeline.report.environment import make_environment
from pipeline.report.figures import read_clips, read_figures
from pipeline.report.histories import read_history, write_curves
from pipeline.report.listen import describe_inversions, find_examples
from pipeline.report.media import MediaEncoder
from pipeline.report.pca import add_pca_ratios, find_baselines, pca_sentence, pca_verdict
from pipeline.report.probes import add_probes
from pipeline.report.results import write_results
from pipeline.report.table import Row
from pipeline.report.variant_section import make_section, write_model_cards
from pipeline.report.verdict import find_verdict
from pipeline.sources.config import SPLITS

OTHER_ROLES = ("codec", "external")
WINDOW_KEYS = ("seed", "window_id", "track_id", "group")
WINDOW_METRICS = ("mse", "mse_components", "mel_mse", "cosine_similarity", "mel_cosine_similarity")
PACKAGES = ("melisma", "torch", "torchaudio", "numpy", "scipy", "librosa", "soxr", "av",
            "matplotlib", "pyarrow", "dvc", "mlflow")  # fmt: skip


def build(data: Path, params: dict[str, Any], out: Path) -> None:
    """Write index.html, comparison.csv and .json, results.json, curves.csv, charts and cards/ into the folder `out`.

    The report covers the keys of params["models"], in their order; a variant without results is "not evaluated".
    `data` holds the outputs of the other stages: evaluation/, figures/, models/, reference/, windows/ and raw/.

    Raises:
        DataError: a file is damaged, or a table of windows/ or raw/ is missing.
        ParamsError: the settings of a variant are wrong.
    """
    rows = table.read_rows(data, params)
    add_probes(rows, find_baselines(rows))
    variants = [row for row in rows if row.is_model]
    files = {row.variant: path for row in variants if (path := row.folder / "windows.parquet").is_file()}
    windows = {name: read_table(path, WINDOW_KEYS, optional=WINDOW_METRICS) for name, path in files.items()}
    resamples = EvaluateConfig.model_validate(params.get("evaluate") or {}).bootstrap
    without_pca = add_pca_ratios(rows, windows, resamples)
    histories = {row.variant: read_history(data / "models", row.variant) for row in variants}
    ablations = find_ablations(rows, params)
    table.write_comparison_csv(rows, out / "comparison.csv")
    table.write_comparison_json(rows, out / "comparison.json")
    write_curves(histories, {row.variant: row.representation for row in rows}, out / "curves.csv")
    dpi = FiguresConfig.model_validate(params.get("figures") or {}).dpi
    templates = make_environment()
    with MediaEncoder() as encoder:
        drawn = {row.variant: read_figures(data / "figures" / row.variant, encoder) for row in variants}
        clips = {name: clips for name, (_, clips) in drawn.items()}
        clips |= {row.variant: read_clips(row.folder, row.variant, encoder) for row in rows if row.role in OTHER_ROLES}
        charts = draw_charts(rows, windows, histories, ablations, out, dpi)
        data_card = make_data_card(data / "windows", data / "raw" / "tracks.parquet", params)
        commit, versions = find_commit(), find_versions()
        write_results(rows, data, params, commit, dict(versions)["melisma"], out / "results.json")
        sections = [make_section(row, drawn[row.variant][0], histories[row.variant], params) for row in variants]
        card_template = templates.get_template("model_card.md.j2")
        write_model_cards(out / "cards", card_template, sections, rows, data=data_card, commit=commit)
        ranked = table.rank(rows, "mel_mse")
        headline, leads = find_verdict(rows, windows, resamples)
        page = templates.get_template("index.html.j2").render(
            rows=ranked + [row for row in rows if row["mel_mse"] is None],
            columns=columns.columns_with_values(rows),
            sets=columns.SETS,
            set_notes=columns.SET_NOTES,
            kinds=sorted({row.kind for row in rows} - {""}),
            roles=columns.find_roles(rows),
            headline=headline,
            leads=leads,
            pca_sentence=pca_sentence(rows),
            pca_verdict=pca_verdict,
            beside_pca=table.rank(rows, "pca_ratio"),
            without_pca=without_pca,
            counts=count_roles(rows),
            ranked=ranked,
            max_error=max((row["mel_mse_high"] or row["mel_mse"] or 0.0 for row in ranked), default=0.0) or 1.0,
            examples=find_examples(rows, clips, data / "reference"),
            inversions=describe_inversions(rows, data / "vocoders"),
            charts=[(encoder.picture(out / file), title, caption) for file, title, caption in charts],
            card=data_card,
            splits=SPLITS,
            sections=sections,
            params=yaml.safe_dump(params, sort_keys=False, allow_unicode=True),
            seeds=[int(seed) for seed in params.get("seeds") or [0]],
            encoder=encoder,
            commit=commit,
            versions=versions,
        )
    (out / "index.html").write_text(page, encoding="utf-8")


def count_roles(rows: list[Row]) -> str:
    """13 variants and 2 baselines."""
    roles = [row.role for row in rows]
    return " and ".join(formatting.plural(n, role) for role in ("variant", "baseline") if (n := roles.count(role)))


def find_commit() -> str | None:
    """The git commit of the current folder, and whether files differ from it; None outside a repository."""
    try:
        commit = git("describe", "--always", "--abbrev=40", "--dirty", "--exclude=*")
    except MelismaError:
        return None
    return commit.replace("-dirty", " with uncommitted changes")


def find_versions() -> list[tuple[str, str]]:
    """Python, the system, and the packages that influence results."""
    versions = [("Python", platform.python_version()), ("System", f"{platform.system()} {platform.machine()}")]
    for package in PACKAGES:
        try:
            versions.append((package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            versions.append((package, "not installed"))
    return versions
