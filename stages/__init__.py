"""One thin script per DVC stage: read params, call the library, write the outputs."""

import os
import signal
import sys
from collections.abc import Callable

from pipeline.core import process

if sys.argv[0] == "-m":  # `python -m stages.x`, before x is imported, which may take seconds
    process.use_utf8()
    signal.signal(signal.SIGINT, lambda *_: os._exit(128 + signal.SIGINT))
    if "DVC_STAGE" in os.environ:
        process.exit_with_dvc()
    process.collect_garbage_rarely()
    process.use_one_thread()
    process.reuse_memory()


def run(main: Callable[..., None], *arguments: str, at_end: Callable[[], None] = lambda: None) -> None:
    """Run a stage's `main`, then `at_end` even if it failed; see `process.clean_exit` for how it may end.

    All of params.yaml is checked first, so that a mistake in any section shows at once, not after an hour.
    """
    with process.clean_exit():
        from pipeline.schema.schema import load

        load()
        try:
            main(*arguments)
        finally:
            at_end()
