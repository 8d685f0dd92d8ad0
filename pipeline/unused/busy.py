"""Whether stages or experiments are running, whose results nothing refers to yet."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

TEMPORARY = Path(".dvc/tmp")


def processes() -> list[int]:
    """Ids of processes in which DVC runs a stage or an experiment of the project in the current folder."""
    return sorted({pid for pid in (*_stages(), *_experiments()) if _alive(pid)})


def _stages() -> Iterator[int]:
    """Who reads and writes which path; DVC notes it while a stage runs."""
    for file in (TEMPORARY / "rwlock", TEMPORARY / "exps" / "rwlock"):
        if file.is_file() and (text := file.read_text()):
            noted = json.loads(text)
            yield from (reader["pid"] for readers in noted.get("read", {}).values() for reader in readers)
            yield from (writer["pid"] for writer in noted.get("write", {}).values())


def _experiments() -> Iterator[int]:
    """Those of the queue, and those in temporary workspaces."""
    for file in (TEMPORARY / "exps" / "run").glob("*/*.json"):
        noted = json.loads(file.read_text())
        if noted.get("returncode") is None and noted.get("pid"):
            yield noted["pid"]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
