"""`python -m pipeline.repro.child PARENT ARGUMENTS`: DVC's command line, which ends with the process PARENT.

This holds after `kill -9` of the parent too; the stage in turn ends with its DVC.
"""

import signal
import sys

from pipeline.core.process import exit_with_parent

if __name__ == "__main__":
    parent = int(sys.argv.pop(1))
    sys.argv[0] = "dvc"  # DVC names its processes by it
    exit_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback of an interrupted import
    from dvc.cli import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
