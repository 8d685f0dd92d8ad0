"""The results of a study as a table."""

from pipeline.core.text import align
from pipeline.report.formatting import DASH, digits, duration, factor, interval, percent
from pipeline.studies.results import Row, format_setting, is_common_scale

MAX_NAMED = 2  # reference experiments that a title names; more are not named
MAX_WITH_INTERVALS = 2  # with more changed settings, the table has no room for intervals


def format_text(rows: list[Row], is_markdown: bool = False) -> str:
    """A table for people. It skips columns without any value."""
    references = list(dict.fromkeys(str(row.compared_with) for row in rows if row.changes))
    reference = " or ".join(references) if len(references) <= MAX_NAMED else "the first"
    texts = [_cells(row, reference, is_common_scale(rows)) for row in rows]
    titles = [title for title in texts[0] if {line[title] for line in texts} != {DASH}]
    lines = [titles, *([line[title] for title in titles] for line in texts)]
    if is_markdown:
        lines.insert(1, ["---"] * 2 + ["---:"] * (len(titles) - 2))
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return "".join(f"{line}\n" for line in align(lines, range(2, len(titles))))


def _cells(row: Row, reference: str, has_common_scale: bool) -> dict[str, str]:
    """Title -> text of a row, compared with `reference`."""
    own_scale = {} if has_common_scale else {f"MSE against {reference}": _change(row, "mse")}
    return {
        "experiment": row.name,
        "variant": row.variant,
        **{key: format_setting(value) for key, value in row.settings.items()},
        "MSE": _error(row, "mse"),
        **own_scale,
        "against PCA of its size": factor(row.pca_ratio),
        "mel MSE": _error(row, "mel_mse"),
        f"mel MSE against {reference}": _change(row, "mel_mse"),
        "KL, nats": digits(row.metrics["kl"]),
        "cosine": digits(row.metrics["cosine_similarity"]),
        "label accuracy": percent(row.metrics["probe_accuracy"]),
        "codes in use": digits(row.metrics["perplexity"]),
        "collapsed": "yes" if row.metrics["collapsed"] else "no",
        "training": duration(row.seconds),
    }


def _error(row: Row, name: str) -> str:
    """An error with its interval, if the table has room for it."""
    bounds = interval(row.metrics[f"{name}_low"], row.metrics[f"{name}_high"])
    return digits(row.metrics[name]) + (f" ({bounds})" if bounds and len(row.settings) <= MAX_WITH_INTERVALS else "")


def _change(row: Row, error: str) -> str:
    """The difference from the reference in per cent, with its interval."""
    reference = row.reference and row.reference.metrics[error]
    if error not in row.changes or not reference:
        return DASH
    share, bounds = row.changes[error].in_percent(reference)
    return f"{share} ({bounds})"
