"""The program `melisma`, with the `pipeline` beside this folder: PYTHONPATH may have another package of that name."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipeline.cli import app

__all__ = ["app"]
