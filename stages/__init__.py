"""One thin script per DVC stage: read params, call the library, write the outputs."""

import atexit
import contextlib
import gc
import os
import signal
import sys
import threading
import time


def _end_with_dvc() -> None:
    """End this process by SIGTERM when DVC is gone: `dvc queue kill` ends DVC, but not the stage that it began.

    Between the two there may be a shell, which outlives DVC. It has DVC_STAGE in its environment, DVC itself has not.
    """
    import psutil  # type: ignore[import-untyped]  # comes with DVC, and training must run without

    below = psutil.Process()
    dvc = below.ppid()
    with contextlib.suppress(psutil.Error):
        for above in below.parents():
            dvc = above.pid
            if "DVC_STAGE" not in above.environ():
                break
            below = above

    def watch() -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            while below.ppid() == dvc:
                time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


if sys.argv[0] == "-m":  # `python -m stages.x`, before x is imported, which may take seconds
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    if "DVC_STAGE" in os.environ:
        _end_with_dvc()
    # Half a million objects come with the libraries and stay to the end. Searched for garbage again and again, and
    # once more at exit, they would make a start half as long again.
    gc.set_threshold(10_000, 50, 100)
    atexit.register(gc.freeze)
