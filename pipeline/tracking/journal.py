"""The calls for one run, in a folder of their own until MLflow has taken all of them.

`calls.jsonl` holds each call in order, `files/` what they name, `sent.json` how far they were sent. A call whose answer
was lost is made again: each says itself when it was made, so that the second time changes nothing.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.core import workspace
from pipeline.tracking import log

CALLS, FILES, SENT, ABOUT = "calls.jsonl", "files", "sent.json", "about.json"
REFUSED = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST")  # what MLflow would find wrong with a call each time
LONGEST = 200  # characters of why a call failed


class Journal:
    """One process adds calls, and one sends them; `run_id` is known to the latter, once the first call was sent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.refused: list[str] = []  # lines that name calls that MLflow will never take, and why
        sent = workspace.read_json(folder / SENT) if (folder / SENT).exists() else {}
        self.run_id: str | None = sent.get("run_id")
        self.ended: bool = sent.get("ended", False)
        self._sent: int = sent.get("bytes", 0)
        self._files = 0
        self._said: set[str] = set()  # functions that were refused

    @classmethod
    def begin(cls, folder: Path, about: Mapping[str, str]) -> "Journal":
        """A new one, which says what it is about."""
        hidden = folder.with_name(f".{folder.name}")  # until it is whole
        hidden.mkdir()
        workspace.write_json(hidden / ABOUT, about)
        return cls(hidden.rename(folder))

    @property
    def about(self) -> dict[str, str]:
        """What `begin` was told."""
        found: dict[str, str] = workspace.read_json(self.folder / ABOUT)
        return found

    def add(self, function: str, *arguments: Any) -> None:
        """Write down a call of `pipeline.tracking.log`: JSON data, and files or folders, of which it keeps a link."""
        line = json.dumps({"function": function, "arguments": arguments}, default=self._keep)
        with (self.folder / CALLS).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def send(self, whole: bool = False) -> None:
        """Make every call that was not made before, and remove the folder when that was the last one of the run.

        Args:
            whole: nothing more will be added. A call that fails though the store answers (artifacts that cannot be
                written) then stays alone, and those after it are made.

        Raises:
            Exception: a store fails in many ways. What failed is made again next time.
        """
        if not (self.folder / CALLS).exists():  # sent before, or nothing was added yet
            return
        failed: list[tuple[bytes, Exception]] = []
        with (self.folder / CALLS).open("rb") as file:
            file.seek(self._sent)
            for line in file:
                if not line.endswith(b"\n"):  # killed while writing it
                    break
                call = json.loads(line, object_hook=self._path)
                try:
                    self._make(call["function"], call["arguments"])
                except Exception as error:
                    if not whole or self.run_id is None or not answers():
                        raise
                    failed.append((line, error))
                self._sent += len(line)
                self._note()
        if failed:
            self._keep_only([line for line, _ in failed])
            raise failed[0][1]
        if self.ended:
            self.discard()

    def close(self) -> None:
        """End the run of a stage that was killed, when all else was sent.

        Raises:
            Exception: as `send`.
        """
        if self.run_id and not self.ended:
            log.end(self.run_id, "KILLED", int((self.folder / CALLS).stat().st_mtime * 1000))
        self.discard()

    def discard(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make(self, function: str, arguments: list[Any]) -> None:
        from mlflow.exceptions import MlflowException

        if function == "open_run":
            self.run_id = log.open_run(*arguments)
            return
        try:
            getattr(log, function)(self.run_id, *arguments)
        except MlflowException as error:
            if error.error_code not in REFUSED:
                raise
            if function not in self._said:
                self.refused.append(f"MLflow refused {function} of {self.about['run']} ({reason(error)})")
            self._said.add(function)
        self.ended = self.ended or function == "end"

    def _keep_only(self, lines: list[bytes]) -> None:
        partial = self.folder / f".{CALLS}"
        partial.write_bytes(b"".join(lines))
        self._sent = 0
        self._note()  # killed here, all is made again, which changes nothing
        partial.replace(self.folder / CALLS)

    def _note(self) -> None:
        partial = self.folder / f".{SENT}"
        workspace.write_json(partial, {"bytes": self._sent, "run_id": self.run_id, "ended": self.ended})
        partial.replace(self.folder / SENT)

    def _keep(self, value: Any) -> dict[str, str]:
        if not isinstance(value, Path):
            raise TypeError(f"{type(value).__name__} is neither JSON data nor a path")
        kept = self.folder / FILES / str(self._files) / value.name
        self._files += 1
        kept.parent.mkdir(parents=True)
        if value.is_dir():
            shutil.copytree(value, kept, copy_function=lambda a, b: workspace.link(Path(a), Path(b)))
        else:
            workspace.link(value, kept)
        return {"kept file": str(kept.relative_to(self.folder))}

    def _path(self, value: dict[str, Any]) -> Any:
        return self.folder / value["kept file"] if value.keys() == {"kept file"} else value


def answers() -> bool:
    """Whether the store that is named now works."""
    try:
        log.client().search_experiments(max_results=1)
    except Exception:  # any failure of a database or a server
        return False
    return True


def reason(error: Exception) -> str:
    """Why a call failed, in a line: what the system or a server said, where a chain of libraries began with that."""
    from urllib3.exceptions import HTTPError  # comes with MLflow

    first: BaseException = error
    while (earlier := first.__cause__ or first.__context__) is not None:
        first = earlier
    error = first if isinstance(first, OSError | HTTPError) and str(first) else error
    return " ".join(str(error).split())[:LONGEST] or type(error).__name__
