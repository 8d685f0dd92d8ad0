"""Metrics per window of the variants, as the comparison across them needs them."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from pipeline.core.errors import DataError

KEYS = ["seed", "window_id", "track_id", "group"]
METRICS = ["mse", "mel_mse", "cosine_similarity", "mel_cosine_similarity"]


def read(evaluation: Path, variants: list[str]) -> dict[str, pd.DataFrame]:
    """The keys and those of METRICS that windows.parquet has, of each variant that has been evaluated.

    Raises:
        DataError: a table is there but cannot be read.
    """
    found = {}
    for variant in variants:
        path = evaluation / variant / "windows.parquet"
        if path.is_file():
            found[variant] = _read(path)
    return found


def _read(path: Path) -> pd.DataFrame:
    try:
        there = pq.read_schema(path).names
        return pd.read_parquet(path, columns=[name for name in (*KEYS, *METRICS) if name in there])
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a usable table; run `dvc repro` to make it again") from error
