"""The page: templates, styles and scripts, all of which end up in one file."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.report import text

FOLDER = Path(__file__).parent
STYLES = ("base.css", "table.css", "listen.css", "parts.css", "narrow.css")
SCRIPTS = ("table.js", "sound.js", "spectrogram.js", "parts.js")
FILTERS = (text.digits, text.percent, text.times, text.count, text.size, text.clock, text.hertz, text.span)


def environment() -> Environment:
    """Jinja with the filters that write numbers; text is escaped, and a name that nobody set is an error."""
    made = Environment(
        loader=PackageLoader("pipeline.report", "page"),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update({function.__name__: function for function in FILTERS})
    return made


def render(**values: Any) -> str:
    """The page as HTML that needs no other file; index.html.j2 and its parts say which values."""
    styles, scripts = (
        Markup("\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)) for names in (STYLES, SCRIPTS)
    )
    return environment().get_template("index.html.j2").render(**values, styles=styles, scripts=scripts)
