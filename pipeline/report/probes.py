"""What the latents know: the linear probes of each variant, beside those of PCA and of the variant's input."""

import pandas as pd

from pipeline.report.columns import COLUMNS
from pipeline.report.table import Row, finite

PROBES = {  # metric -> its chance, and what it reads out
    "probe_accuracy": ("chance", "label"),
    "probe_key_accuracy": ("chance_key", "key"),
    "probe_instrument_accuracy": ("chance_instrument", "instrument"),
    "probe_tempo_r2": ("", "tempo, R²"),
}


def add_probes(rows: list[Row], baselines: dict[str, tuple[Row, pd.DataFrame]]) -> None:
    """Set <probe>_pca, of PCA with as many numbers as the latent, and <probe>_statistics, of the input.

    `baselines` are from `pca.find_baselines`; only some sizes have probes, see `evaluation.probe.score_sizes`.
    """
    sizes = {name: table.set_index("latent").filter(list(PROBES)) for name, (_, table) in baselines.items()}
    inputs = {row.representation: row for row in rows if row.role == "ceiling"}
    for row in rows:
        if not row.is_model or not row.evaluated:
            continue
        if row.representation in inputs:
            row.numbers.update({f"{probe}_statistics": inputs[row.representation][probe] for probe in PROBES})
        pca, size = sizes.get(row.representation), row["latent_dims"]
        # A codebook's codes are not coordinates.
        if pca is not None and size in pca.index and row["perplexity"] is None and row.role == "variant":
            row.numbers.update({f"{probe}_pca": finite(value) for probe, value in pca.loc[size].items()})


def read_out(row: Row) -> list[tuple[str, str, str, list[str]]]:
    """What the probes read out: name, value, interval, and the values of PCA, of the input and by chance."""
    lines = []
    for column in COLUMNS:
        if column.key in PROBES and row[column.key] is not None:
            chance, name = PROBES[column.key]
            others = (row[f"{column.key}_pca"], row[f"{column.key}_statistics"], row[chance])
            lines.append((name, column.text(row), column.detail(row), [column.write(other) for other in others]))
    return lines
