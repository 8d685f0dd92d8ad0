"""The figure of a search: the value of each trial, over its number and over each key."""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.figures import style
from pipeline.studies.results import format_setting
from pipeline.studies.search import Trial
from pipeline.studies.study import Search

DPI = 130
MARGIN = 0.1  # share of the range of the values


def draw(search: Search, short_keys: dict[str, str], trials: list[Trial], path: Path) -> None:
    """Write a PNG; write nothing if no trial has a value. `short_keys` names the keys of the space."""
    if any(trial.status == "done" for trial in trials):
        choices = [str(choice) for dimension in search.space.values() for choice in dimension.choices or ()]
        with style.paper_style([*short_keys.values(), *choices]):
            style.save(draw_figure(search, short_keys, trials), path, DPI)


def draw_figure(search: Search, short_keys: dict[str, str], trials: list[Trial]) -> Figure:
    """A panel over the number of the trial, with the best value so far, and one for each key."""
    done = [trial for trial in trials if trial.status == "done"]
    values = [trial.value for trial in done if trial.value is not None]
    margin = MARGIN * (max(values) - min(values)) or MARGIN * abs(values[0]) or MARGIN
    top = max(values) + margin
    figure = Figure(figsize=(2.6 * (1 + len(search.space)), 2.9))
    axes: Sequence[Axes] = figure.subplots(1, 1 + len(search.space), sharey=True)
    axes[0].step([t.number for t in done], list(accumulate(values, min)), where="post", color=style.REFERENCE,
                 label="best so far")  # fmt: skip
    axes[0].set_ylabel(search.metric)
    _draw_trials(axes[0], trials, [trial.number for trial in trials], top)
    axes[0].set_xlabel("trial")
    axes[0].xaxis.set_major_locator(MaxNLocator(4, integer=True))
    for ax, (key, dimension) in zip(axes[1:], search.space.items(), strict=True):
        settings: list[Any] = [trial.settings.get(key) for trial in trials]
        if dimension.choices is not None:
            ax.set_xticks(
                range(len(dimension.choices)),
                [style.shorten(format_setting(choice), 12) for choice in dimension.choices],
            )
            settings = [dimension.choices.index(value) if value in dimension.choices else None for value in settings]
            ax.set_xlim(-0.5, len(dimension.choices) - 0.5)
        elif dimension.log:
            ax.set_xscale("log")
        _draw_trials(ax, trials, settings, top)
        ax.set_xlabel(style.shorten(short_keys[key], 30))
    axes[0].set_ylim(min(values) - margin, top + margin / 2)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _draw_trials(ax: Axes, trials: list[Trial], x: list[Any], top: float) -> None:
    """Dots at `x`; hollow for pruned trials, at the top edge if their last value is above it."""
    for status, fill, label in (("done", style.ACCENT, "trial"), ("pruned", "white", "hollow: ended early")):
        points = [
            (where, min(trial.value, top))
            for trial, where in zip(trials, x, strict=True)
            if trial.status == status and trial.value is not None and where is not None
        ]
        if points:
            ax.plot(
                *zip(*points, strict=True), "o", color=style.ACCENT, markerfacecolor=fill, markersize=5, label=label
            )
    ax.grid(True)
