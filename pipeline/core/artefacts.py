"""Read artefacts, the files that stages write below data/.

All functions that read raise DataError if a file is missing or damaged; the message names the stage to run.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core import workspace
from pipeline.core.errors import DataError

# Folder of data/ -> the stage that writes it, and whether DVC has one such stage per entry of params.yaml.
STAGES = {
    "raw": ("download", False),
    "windows": ("windows", False),
    "cache": ("cache", True),
    "vocoders": ("vocoder", True),
    "reference": ("reference", False),
    "models": ("train", True),
    "evaluation": ("evaluate", True),
    "figures": ("figures", True),
    "report": ("report", False),
}


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    with readable(path):
        return workspace.read_json(path)


def read_csv(path: Path) -> pd.DataFrame:
    """A CSV table."""
    with readable(path):
        return pd.read_csv(path)


def read_table(path: Path, columns: Sequence[str] | None = None, optional: Sequence[str] = ()) -> pd.DataFrame:
    """The required `columns` of a Parquet table (None: all), and the `optional` columns that it has."""
    with readable(path):
        if columns is None:
            return pd.read_parquet(path)
        names = set(pq.read_schema(path).names) if optional else ()
        return pd.read_parquet(path, columns=[*columns, *(name for name in optional if name in names)])


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn an error of the block, which reads the artefact `path`, into a DataError that says what to run."""
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError, pa.ArrowException) as error:
        reason = "missing" if isinstance(error, FileNotFoundError) else " ".join(f"damaged ({error})".split())
        command = f"dvc repro {stage_of(path)}".strip()
        raise DataError(f"{path}: {reason}; run `{command}`") from error


def stage_of(path: Path) -> str:
    """The DVC stage that writes the artefact `path`, such as train@mel_conv; "" for a path outside data/."""
    parts = path.absolute().parts
    for i in reversed(range(len(parts) - 1)):
        if parts[i] == workspace.DATA.name and parts[i + 1] in STAGES:
            stage, per_entry = STAGES[parts[i + 1]]
            return f"{stage}@{parts[i + 2]}" if per_entry and i + 3 < len(parts) else stage
    return ""
