"""The `melisma` command. Whatever is slow to import (torch, MLflow, DVC) is imported by the command that needs it."""

from pipeline.cli import clean, project, runs, study, ui, variant
from pipeline.cli.base import app

__all__ = ["app", "clean", "project", "runs", "study", "ui", "variant"]
