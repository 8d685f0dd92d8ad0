"""A journal: a folder with the calls for one run, kept until MLflow has all of them.

calls.jsonl holds the calls in order, files/ links to the files that they name, sent.json the progress of sending, and
about.json run, stage and store.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.core import workspace
from pipeline.tracking import calls, store

CALLS_FILE, FILES, PROGRESS_FILE, INFO_FILE = "calls.jsonl", "files", "sent.json", "about.json"
PERMANENT_ERRORS = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST")  # MLflow would refuse the call each time
MAX_REASON = 200  # characters
FILE_KEY = "linked file"


class Journal:
    """One process adds calls and another one sends them. The sending one knows `run_id` after the first call."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.refused: list[str] = []  # messages about calls that MLflow will never accept
        progress = workspace.read_json(folder / PROGRESS_FILE) if (folder / PROGRESS_FILE).exists() else {}
        self.run_id: str | None = progress.get("run_id")
        self.is_ended: bool = progress.get("ended", False)
        self._sent_bytes: int = progress.get("bytes", 0)
        self._file_count = 0
        self._refused_functions: set[str] = set()

    @classmethod
    def create(cls, folder: Path, info: Mapping[str, str]) -> "Journal":
        """A new journal; `info` has the keys run, stage and store."""
        hidden = folder.with_name(f".{folder.name}")  # until it is complete
        hidden.mkdir()
        workspace.write_json(hidden / INFO_FILE, info)
        return cls(hidden.rename(folder))

    @property
    def info(self) -> dict[str, str]:
        """The argument of `create`."""
        info: dict[str, str] = workspace.read_json(self.folder / INFO_FILE)
        return info

    def add(self, function: str, *arguments: Any) -> None:
        """Write down a call of `open_run` or of a key of `calls.CALLS`.

        Args:
            function: its name.
            arguments: JSON data, and paths of files or folders, to which the journal keeps hard links.
        """
        line = json.dumps({"function": function, "arguments": arguments}, default=self._link)
        with (self.folder / CALLS_FILE).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def send(self, is_complete: bool = False) -> None:
        """Make all calls that are not yet sent. After the last call of the run, remove the folder.

        Args:
            is_complete: nothing will be added. Then a call that fails although the store works (its files cannot be
                written) stays in the journal, and the calls after it are made.

        Raises:
            Exception: any error of a store. The next `send` repeats the failed call.
        """
        if not (self.folder / CALLS_FILE).exists():  # all is sent, or nothing is added yet
            return
        failed: list[tuple[bytes, Exception]] = []
        with (self.folder / CALLS_FILE).open("rb") as file:
            file.seek(self._sent_bytes)
            for line in file:
                if not line.endswith(b"\n"):  # the stage was killed while it wrote this line
                    break
                call = json.loads(line, object_hook=self._resolve)
                try:
                    self._make_call(call["function"], call["arguments"])
                except Exception as error:
                    if not is_complete or self.run_id is None or not store_works():
                        raise
                    failed.append((line, error))
                self._sent_bytes += len(line)
                self._save_progress()
        if failed:
            self._keep_only([line for line, _ in failed])
            raise failed[0][1]
        if self.is_ended:
            self.discard()

    def close(self) -> None:
        """After `send`: end the run of a killed stage as KILLED, and remove the folder. Raises as `send`."""
        if self.run_id and not self.is_ended:
            calls.end_run(self.run_id, "KILLED", int((self.folder / CALLS_FILE).stat().st_mtime * 1000))
        self.discard()

    def discard(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make_call(self, function: str, arguments: list[Any]) -> None:
        from mlflow.exceptions import MlflowException

        if function == "open_run":
            self.run_id = calls.open_run(*arguments)
            return
        try:
            calls.CALLS[function](self.run_id, *arguments)
        except MlflowException as error:
            if error.error_code not in PERMANENT_ERRORS:
                raise
            if function not in self._refused_functions:
                self.refused.append(f"MLflow refused {function} of {self.info['run']} ({error_reason(error)})")
            self._refused_functions.add(function)
        self.is_ended = self.is_ended or function == "end_run"

    def _keep_only(self, lines: list[bytes]) -> None:
        partial = self.folder / f".{CALLS_FILE}"
        partial.write_bytes(b"".join(lines))
        self._sent_bytes = 0
        self._save_progress()  # first: if the process is killed here, all calls are repeated, which changes nothing
        partial.replace(self.folder / CALLS_FILE)

    def _save_progress(self) -> None:
        partial = self.folder / f".{PROGRESS_FILE}"
        workspace.write_json(partial, {"bytes": self._sent_bytes, "run_id": self.run_id, "ended": self.is_ended})
        partial.replace(self.folder / PROGRESS_FILE)

    def _link(self, path: Any) -> dict[str, str]:
        if not isinstance(path, Path):
            raise TypeError(f"{type(path).__name__} is neither JSON data nor a path")
        target = self.folder / FILES / str(self._file_count) / path.name
        self._file_count += 1
        target.parent.mkdir(parents=True)
        if path.is_dir():
            shutil.copytree(path, target, copy_function=lambda a, b: workspace.link(Path(a), Path(b)))
        else:
            workspace.link(path, target)
        return {FILE_KEY: str(target.relative_to(self.folder))}

    def _resolve(self, value: dict[str, Any]) -> Any:
        return self.folder / value[FILE_KEY] if value.keys() == {FILE_KEY} else value


def store_works() -> bool:
    """Whether the current store answers."""
    try:
        store.client().search_experiments(max_results=1)
    except Exception:  # a database or a server fails in many ways
        return False
    return True


def error_reason(error: Exception) -> str:
    """The reason of a failed call in one line: the first network or system error in the chain of causes, if any."""
    from urllib3.exceptions import HTTPError  # comes with MLflow

    first: BaseException = error
    while (cause := first.__cause__ or first.__context__) is not None:
        first = cause
    error = first if isinstance(first, OSError | HTTPError) and str(first) else error
    return " ".join(str(error).split())[:MAX_REASON] or type(error).__name__
