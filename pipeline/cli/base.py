"""The program that all commands are added to."""

import os
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pipeline.core import process


class Commands(TyperGroup):
    """Ends a command as a stage ends: an error is one line on standard error and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command of `ctx`."""
        process.use_utf8()
        with process.clean_exit():
            return super().invoke(ctx)


# Plain text, without markup: importing rich is slow.
app = typer.Typer(
    cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def main(debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False) -> None:
    """A reproducible bench for variational autoencoders of music audio. `melisma repro` builds everything."""
    if debug:
        os.environ["MELISMA_DEBUG"] = "1"
