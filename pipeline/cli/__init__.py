"""The `melisma` command, one module for each command or family of commands.

A command imports slow libraries (torch, MLflow, DVC) itself, so that `melisma --help` is fast.
"""

from pipeline.cli import apply, board, doctor, export_test, gc, params, repro, runs, search, study, ui
from pipeline.cli.base import app

__all__ = ["app", "apply", "board", "doctor", "export_test", "gc", "params", "repro", "runs", "search", "study", "ui"]
