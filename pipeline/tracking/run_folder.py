"""The files of a run in .melisma/runs/: stages write them, and `publish` mirrors them to MLflow.

They outlast a temporary workspace of DVC, a killed stage and a lost MLflow database.
"""

import contextlib
import csv
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from pipeline.core import workspace

META_FILE, SENT_FILE, LOCK_FILE = "meta.json", "sent.json", ".lock"
SERIES = "step", "epoch"  # <name>s.csv has a row for each
ARTIFACTS, IMAGES, MODEL = "artifacts", "images", "model"  # folders
LIVE_TRIES, LIVE_PAUSE = 3, 0.01  # pause in seconds


class RunFolder:
    """The folder of one run. Its name is the fingerprint of the training; see `folder_for`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def meta(self) -> dict[str, Any]:
        """The content of meta.json; {} if it is missing.

        name, experiment, store, status, started and ended (ms), error; fingerprint (of the training) and evaluation (of
        its settings); tags (None: MLflow must not have it), params, datasets; metrics and evaluated (ms); model (a
        variant) and is_registered.
        """
        return _read(self.path / META_FILE)

    @property
    def sent(self) -> dict[str, Any]:
        """The last try to send: time, store, run_id, state (that of the files then) and error; {} before the first."""
        return _read(self.path / SENT_FILE)

    @property
    def state(self) -> str:
        """Changes with meta.json and with each row; files that a stage links count when it ends."""
        sizes = [file.stat().st_size for file in map(self.series_file, SERIES) if file.exists()]
        return workspace.fingerprint([self.meta, sizes])

    @property
    def is_tried(self) -> bool:
        """Whether somebody has tried to send the present state to the run's store."""
        sent = self.sent
        return (sent.get("state"), sent.get("store")) == (self.state, self.meta.get("store"))

    @property
    def is_complete(self) -> bool:
        """Whether the store has everything."""
        return self.is_tried and not self.sent["error"]

    def update(self, **changes: Any) -> None:
        """Change keys of meta.json; `tags` are added to the earlier ones."""
        with FileLock(self.path / ".changing"):
            meta = self.meta
            changes["tags"] = meta.get("tags", {}) | changes.get("tags", {})
            _write(self.path / META_FILE, meta | changes)

    def note_sent(self, state: str, error: str | None, run_id: str | None = None) -> None:
        """Write sent.json; without `run_id`, keep the earlier one."""
        run_id = run_id or self.sent.get("run_id")
        note = {"time": time.time(), "store": self.meta["store"], "run_id": run_id, "state": state, "error": error}
        _write(self.path / SENT_FILE, note)

    def series_file(self, name: str) -> Path:
        """The CSV file of a series: a column `name`, then `time` (ms) and the values, which may be empty."""
        return self.path / f"{name}s.csv"

    def read_series(self, name: str, start: int = 0) -> tuple[list[dict[str, str]], int]:
        """The complete rows from the byte `start` on, and the position after them."""
        with contextlib.suppress(FileNotFoundError), self.series_file(name).open("rb") as file:
            header = file.readline()
            start = max(start, len(header))
            file.seek(start)
            text = file.read()
            text = text[: text.rfind(b"\n") + 1]  # a stage may be writing the last line
            return list(csv.DictReader((header + text).decode().splitlines())), start + len(text)
        return [], 0

    def training_seconds(self) -> float | None:
        """Training time of all epochs; None if they are not recorded."""
        seconds = [float(row["seconds"]) for row in self.read_series("epoch")[0] if row.get("seconds")]
        return sum(seconds) if seconds else None

    def link(self, source: Path, name: str) -> None:
        """Replace the run's folder `name` by hard links to the files in `source`."""
        with FileLock(self.path / ".linking"):  # another stage may do the same
            shutil.rmtree(self.path / name, ignore_errors=True)
            shutil.copytree(source, self.path / name, copy_function=lambda a, b: workspace.link(Path(a), Path(b)))

    def is_live(self) -> bool:
        """Whether a stage records this run. The run of a killed stage gets the status KILLED."""
        for _ in range(LIVE_TRIES):  # another process may look at the same moment
            with (self.path / LOCK_FILE).open("a") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    time.sleep(LIVE_PAUSE)
                    continue
                if self.meta.get("status") == "RUNNING":
                    files = [self.path / META_FILE, *map(self.series_file, SERIES)]
                    last = max(file.stat().st_mtime for file in files if file.exists())
                    self.update(status="KILLED", ended=int(last * 1000))
                return False
        return True

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Show other processes that a stage records this run. Several stages may hold it."""
        with (self.path / LOCK_FILE).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            yield


class SeriesWriter:
    """Appends rows to a series of a run. Rows that the file has are skipped: a resumed training repeats some."""

    def __init__(self, folder: RunFolder, name: str) -> None:
        rows, end = folder.read_series(name)
        self.name, self.path = name, folder.series_file(name)
        self.last = float(rows[-1][name]) if rows else -1.0
        self.columns = list(rows[0]) if rows else []
        if self.path.exists():
            os.truncate(self.path, end if rows else 0)  # without the partial line of a killed stage

    def append(self, rows: list[dict[str, float]]) -> None:
        """Add rows; the columns are those of the first row in the file."""
        now = int(time.time() * 1000)
        rows = [{self.name: row[self.name], "time": now, **row} for row in rows if row[self.name] > self.last]
        if not rows:
            return
        self.columns = self.columns or list(rows[0])
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self.columns, extrasaction="ignore", lineterminator="\n")
            if file.tell() == 0:
                writer.writeheader()
            writer.writerows(rows)
        self.last = rows[-1][self.name]


def runs_folder() -> Path:
    """The parent of all run folders."""
    return workspace.state_folder() / "runs"


def run_folders() -> list[RunFolder]:
    """All runs of the project, in the order of their start, without damaged ones."""
    metas = {file.parent: _read(file) for file in runs_folder().glob(f"*/{META_FILE}")}
    return [
        RunFolder(path) for path in sorted(metas, key=lambda path: (metas[path].get("started", 0), path)) if metas[path]
    ]


def folder_for(fingerprint: str, evaluation: str | None = None) -> RunFolder:
    """The folder, which may not exist yet, of a training, or of an evaluation of it (fingerprint of its settings).

    The first evaluation belongs to the run of the training. Every other one has its own run, since params cannot change
    in MLflow.
    """
    folder = RunFolder(runs_folder() / fingerprint)
    is_shared = evaluation is None or folder.meta.get("evaluation") in (None, evaluation)
    return folder if is_shared else RunFolder(runs_folder() / f"{fingerprint}-{evaluation}")


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # a power cut may leave an empty file
        return {}
    return content


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write atomically: another process may read the file meanwhile, and this one may be killed."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    workspace.write_json(partial, content)
    partial.replace(path)
