"""`python -m pipeline.repro.child PARENT ARGUMENTS`: DVC's command line, whose stage ends with the process PARENT."""

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from pipeline.core.process import POLL_SECONDS, collect_garbage_rarely


def signal_stage(dvc: int, number: int, signalled: set[int]) -> None:
    """Send a signal to the processes of the stage that `dvc` runs, but for those in `signalled`; add them there.

    DVC gets none, and ends after its stage: it rewrites dvc.lock in place, so a signal could leave an empty file. The
    ranks of a training have a group of their own, and get the signal from their parent.
    """
    with suppress(psutil.Error):
        for process in psutil.Process(dvc).children(recursive=True):
            with suppress(psutil.Error, ProcessLookupError):
                if process.pid not in signalled and os.getpgid(process.pid) == dvc:
                    signalled.add(process.pid)
                    process.send_signal(number)


def end_stage_with(parent: int) -> None:
    """End this DVC's stage when the process `parent` has ended, also after `kill -9`."""
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    signalled: set[int] = set()
    while True:  # DVC may be about to start a stage
        signal_stage(os.getpid(), signal.SIGTERM, signalled)
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    threading.Thread(target=end_stage_with, args=(int(sys.argv.pop(1)),), daemon=True).start()
    sys.argv[0] = "dvc"  # DVC names its processes by it
    os.environ["PATH"] = (
        f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"  # for the stage
    )
    collect_garbage_rarely()
    from dvc.cli import main

    sys.exit(main())
