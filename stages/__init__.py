"""One thin script per DVC stage: read params, call the library, write the outputs."""

import atexit
import gc
import os
import signal
import sys

if sys.argv[0] == "-m":  # `python -m stages.x`, before x is imported, which may take seconds
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    # Half a million objects come with the libraries and stay to the end. Searched for garbage again and again, and
    # once more at exit, they would make a start half as long again.
    gc.set_threshold(10_000, 50, 100)
    atexit.register(gc.freeze)
