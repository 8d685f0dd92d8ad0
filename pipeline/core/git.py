"""Git commands in this project."""

import os
import subprocess

from pipeline.core import workspace
from pipeline.core.errors import MelismaError

TIMEOUT_SECONDS = 30.0  # a dead network drive makes Git hang
# For a ZIP download.
INIT_HINT = "run `git init` in the project's folder, then try again (experiments also need a commit)"


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
    except FileNotFoundError as error:
        raise MelismaError(f"git {arguments[0]} failed: there is no program git on PATH; install Git") from error
    except (OSError, subprocess.SubprocessError) as error:
        reason = error.stderr.decode(errors="replace") if isinstance(error, subprocess.CalledProcessError) else error
        is_repository = any((parent / ".git").exists() for parent in (folder, *folder.parents))
        hint = "" if is_repository or "GIT_DIR" in variables else f"; {INIT_HINT}"
        raise MelismaError(f"git {arguments[0]} failed: {str(reason).strip()}{hint}") from error
    return result.stdout.decode(errors="replace").rstrip()
