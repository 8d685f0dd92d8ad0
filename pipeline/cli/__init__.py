"""The `melisma` command. Whatever is slow to import (torch, MLflow, DVC) is imported by the command that needs it."""

from pipeline.cli import project, runs, study, ui, variant
from pipeline.cli.base import app

__all__ = ["app", "project", "runs", "study", "ui", "variant"]
