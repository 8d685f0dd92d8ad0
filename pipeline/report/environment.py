"""Jinja for the pages. The leaderboard uses it too, without the charts of the report, whose import is slow."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline.report import formatting

FILTERS = (formatting.digits, formatting.percent, formatting.factor, formatting.count, formatting.interval)


def make_environment() -> Environment:
    """Jinja with number filters; it escapes text in HTML, and an undefined name is an error."""
    environment = Environment(
        loader=PackageLoader("pipeline.report", "page"),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({function.__name__: function for function in FILTERS})
    return environment
