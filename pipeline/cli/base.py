"""The program that commands are added to, and how any of them ends."""

import os
import signal
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pipeline.core import workspace
from pipeline.core.errors import MelismaError


class Commands(TyperGroup):
    """Ends a command as a stage ends: whatever went wrong is one line on standard error and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that `ctx` asks for."""
        if isinstance(sys.stdout, TextIOWrapper):  # a terminal may lack the dash of an interval, or a path's letters
            sys.stdout.reconfigure(errors="backslashreplace")
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what runs in the background
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that nothing half-written stays
        try:
            return super().invoke(ctx)
        except MelismaError as error:
            workspace.fail(str(error), error.exit_code)
        except KeyboardInterrupt:
            workspace.fail("interrupted; nothing half-written was left", 130)
        except BrokenPipeError:  # `melisma params | head`
            raise
        except OSError as error:  # a full or read-only disk, a file that may not be read
            workspace.fail(f"{error.filename or Path.cwd()}: {error.strerror or error}", 1)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


# Plain text: it needs no colour, and saves the import of rich.
app = typer.Typer(
    cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def main(debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False) -> None:
    """A reproducible bench for variational autoencoders of music audio. `dvc repro` builds everything."""
    if debug:
        os.environ["MELISMA_DEBUG"] = "1"
