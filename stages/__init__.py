"""One thin script per DVC stage: read params, call the library, write the outputs."""

import os
import signal
import sys

if sys.argv[0] == "-m":  # `python -m stages.x`, before x is imported, which may take seconds
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
