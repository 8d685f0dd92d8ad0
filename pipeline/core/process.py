"""Processes: signals, exit codes, the parent process, worker processes.

At import, this needs only the standard library: a stage watches DVC before it loads slower libraries.
"""

import atexit
import contextlib
import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Any, Self

from pipeline.core.errors import MelismaError

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GC_THRESHOLDS = (10_000, 50, 100)
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
POLL_SECONDS = 1.0


class WorkerDiedError(MelismaError):
    """A worker process was killed."""


def cores() -> int:
    """Number of CPU cores that this process may use. MELISMA_CORES is its share of them beside other stages."""
    if share := os.environ.get("MELISMA_CORES"):
        return int(share)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def collect_garbage_rarely() -> None:
    """Scan less often: libraries keep half a million objects alive, and scans can double the time of a short run."""
    gc.set_threshold(*GC_THRESHOLDS)
    atexit.register(gc.freeze)  # skips the last scan


def use_one_thread() -> None:
    """Let numeric libraries that are imported after this use one thread.

    Their results depend on the number of threads in the last bits, and their threads wait for each other actively,
    which takes many times as long if other programs run. Worker processes and Python's threads use all `cores`.
    """
    for library in ("OMP", "MKL", "OPENBLAS", "NUMBA"):
        os.environ[f"{library}_NUM_THREADS"] = "1"


def reuse_memory() -> None:
    """Let glibc reuse freed memory: else the kernel clears new pages for each large tensor.

    That takes up to a fifth of the time of a training. The process holds up to 512 MiB that it has freed. Other C
    libraries have no such setting.
    """
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        if mallopt(M_MMAP_THRESHOLD, 2**25):  # the largest that every version of glibc takes
            mallopt(M_TRIM_THRESHOLD, 2**29)


# Encodings


def use_utf8() -> None:
    """Start this program anew in Python's UTF-8 mode, unless file names already are in UTF-8.

    An old locale, or PYTHONUTF8=0 in the locale C, can name only files of its own alphabet. Child processes inherit the
    mode.
    """
    if sys.getfilesystemencoding() != "utf-8":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def escape_output() -> None:
    """Print a letter that the output's encoding lacks as an escape such as \\u53e4, as standard error always does.

    A label, the name of a file or the dash of an interval would else end the process after its work is done.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


# Signals and exit codes


@contextmanager
def clean_exit() -> Iterator[None]:
    """Turn an error or a signal in the block into one line on standard error and an exit code.

    SIGINT and SIGTERM unwind the stack, so that `finally` blocks remove half-written files. Exit codes: 1 for a
    failure, 2 for wrong params or arguments, 130 for SIGINT, 143 for SIGTERM.
    """
    escape_output()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    except MelismaError as error:
        exit_with_error(str(error), error.exit_code)
    except KeyboardInterrupt:
        exit_with_error("interrupted; no half-written file is left", 128 + signal.SIGINT)
    except BrokenPipeError:  # `melisma params | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the flush at exit would fail too
        sys.exit(1)
    except OSError as error:  # a full or read-only disk, a file without permission
        exit_with_error(f"{error.filename or Path.cwd()}: {error.strerror or error}; no half-written file is left", 1)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def exit_with_error(message: str, code: int) -> None:
    """Print `message` as one line on standard error and exit with `code`; MELISMA_DEBUG=1 adds the traceback."""
    if os.environ.get("MELISMA_DEBUG"):
        traceback.print_exc()
    print("error: " + " ".join(message.split()), file=sys.stderr, flush=True)
    sys.exit(code)


class DeferredSignals:
    """A context that only stores the first SIGINT or SIGTERM in `received`, which is 0 before; a second one acts.

    Python handles signals in the main thread only: in another thread, `received` stays 0.
    """

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._store) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _store(self, number: int, _: FrameType | None) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


# The parent process


def exit_with_parent(parent: int) -> None:
    """Exit when the process `parent` has ended, also after `kill -9`. For a child of that process."""
    collect_garbage_rarely()
    escape_output()

    def wait() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_SECONDS)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def exit_with_dvc() -> None:
    """Send SIGTERM to this stage when DVC has ended, since `dvc queue kill` does not end the stage.

    A shell may run between DVC and the stage, and outlives DVC. DVC_STAGE is in the shell's environment, not in DVC's.
    """
    import psutil  # type: ignore[import-untyped]  # not at the top: see the module's docstring

    child = psutil.Process()
    dvc = child.ppid()
    with contextlib.suppress(psutil.Error):
        for ancestor in child.parents():
            dvc = ancestor.pid
            if "DVC_STAGE" not in ancestor.environ():
                break
            child = ancestor

    def wait() -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            while child.ppid() == dvc:
                time.sleep(POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


# Worker processes


@contextmanager
def worker_pool(workers: int | None) -> Iterator[Executor]:
    """Start `workers` processes, by default one per core; an error or Ctrl-C in the block cancels pending tasks."""
    context = multiprocessing.get_context("spawn")  # forking a process that has threads can hang
    count = workers or cores()
    executor = ProcessPoolExecutor(count, context, initializer=exit_with_parent, initargs=(os.getpid(),))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited by the workers: the parent handles Ctrl-C
    for _ in range(count):
        executor.submit(int)  # starts a worker
    signal.signal(signal.SIGINT, before)
    try:
        yield executor
    except BrokenProcessPool as error:
        raise WorkerDiedError(
            "a worker process died, perhaps for lack of memory; try a lower runtime.workers"
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)
