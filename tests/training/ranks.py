"""What the ranks of these tests run; also a program that launches two of them."""

import os
import signal
import sys
import time
from pathlib import Path

from pipeline.core import workspace
from pipeline.core.errors import ParamsError
from pipeline.training.launch import launch


def fails(number: str, how: str) -> None:
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


def works(folder: str) -> None:
    """Says in a file that it works, and goes on until it is interrupted; then it saves, and says so."""
    name = Path(folder) / os.environ["RANK"]
    try:
        name.write_text(str(os.getpid()))
        time.sleep(60)
    finally:
        time.sleep(0.5)
        name.with_suffix(".saved").touch()


def hangs() -> None:
    """One rank fails at once; the other hears no signal."""
    if os.environ["RANK"] == "1":
        raise ZeroDivisionError("its own words")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)


def main(name: str, *arguments: str) -> None:
    """Run a function of this file as two ranks."""
    launch(globals()[name], arguments, 2)


if __name__ == "__main__":
    workspace.run(main, *sys.argv[1:])
