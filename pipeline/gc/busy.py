"""Whether stages or experiments are running, whose results nothing refers to yet."""

from pathlib import Path

import psutil  # type: ignore[import-untyped]


def processes() -> list[int]:
    """Ids of processes of DVC and of stages that work in the current folder or below it.

    DVC's temporary workspaces are below it too. It has notes of its own of what it runs, but none between two stages,
    and none at all of `dvc exp run --temp`.
    """
    here = Path.cwd().resolve()
    mine = {process.pid for process in (psutil.Process(), *psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        try:
            words, place = process.cmdline(), Path(process.cwd())
        except (psutil.Error, OSError):  # it has just ended, or is another user's
            continue
        works = any(Path(word).name == "dvc" or word.startswith("stages.") for word in words)
        if works and place.is_relative_to(here) and process.pid not in mine:
            found.append(process.pid)
    return sorted(found)
