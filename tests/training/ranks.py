"""Functions that the ranks of the tests run; also a program that launches two ranks."""

import os
import signal
import sys
import time
from pathlib import Path

from pipeline.core import process
from pipeline.core.errors import ParamsError
from pipeline.training.launch import launch


def fail(number: str, how: str) -> None:
    """One rank fails while the other waits for it in a reduction."""
    import torch

    from pipeline.core import distributed

    with distributed.process_group(torch.device("cpu")):
        distributed.all_reduce_sum(torch.ones(3))
        if distributed.rank() == int(number):
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ParamsError("its own words")
        distributed.all_reduce_sum(torch.ones(3))


def work(folder: str) -> None:
    """Write a file, work until a signal comes, then save: write another file."""
    path = Path(folder) / os.environ["RANK"]
    try:
        path.write_text(str(os.getpid()))
        time.sleep(60)
    finally:
        time.sleep(0.5)
        path.with_suffix(".saved").touch()


def hang() -> None:
    """One rank fails at once; the other ignores SIGTERM."""
    if os.environ["RANK"] == "1":
        raise ZeroDivisionError("its own words")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)


def main(name: str, *arguments: str) -> None:
    """Run a function of this file as two ranks."""
    launch(globals()[name], arguments, 2)


if __name__ == "__main__":
    with process.clean_exit():
        main(*sys.argv[1:])
