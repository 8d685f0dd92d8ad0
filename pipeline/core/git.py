"""Git commands in this project."""

import os
import subprocess

from pipeline.core import workspace
from pipeline.core.errors import MelismaError

TIMEOUT_SECONDS = 30.0  # a dead network drive makes Git hang


def git(*arguments: str, content: bytes | None = None, environment: dict[str, str] | None = None) -> str:
    """The output of a Git command; a file in it may have bytes that are not UTF-8.

    Raises:
        MelismaError: it failed, or Git is not installed.
    """
    variables, folder = os.environ | (environment or {}), workspace.root()
    try:
        result = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=variables,
            input=content,
            capture_output=True,
            check=True,
            timeout=TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        reason = error.stderr.decode(errors="replace") if isinstance(error, subprocess.CalledProcessError) else error
        raise MelismaError(f"git {arguments[0]} failed: {str(reason).strip()}") from error
    return result.stdout.decode(errors="replace").rstrip()
