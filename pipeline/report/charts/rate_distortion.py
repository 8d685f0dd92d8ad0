"""rate_distortion.png: the error of each variant (distortion) over its KL (rate), beside a bound and codecs."""

from math import prod

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.core.artefacts import read_json
from pipeline.figures import style
from pipeline.metrics.pca import kbps, rate_distortion_bound
from pipeline.report.charts import marks
from pipeline.report.pca import find_baselines
from pipeline.report.table import Row, by_input

AUDIO = "audio of all inputs"
CAPTION = (
    "Error over the bit rate, on logarithmic axes, with 95 % intervals: further down and further left is better. The "
    "rate of a variant is its KL; that of a codebook, the length of its codes under their prior. On an input's own "
    "scale, the error is that of a draw from the posterior, since the KL pays for no more. The Gaussian bound is the "
    "least rate of a Gaussian source of independent components with the variances of PCA's (reverse water-filling). "
    "The panel of audio has the mel distance of the audio that one hears, from the posterior mean, beside codecs at "
    "the rate of their packets; it counts missing treble more than a wrong phase. Hollow points have collapsed or are "
    "no variants."
)


def draw(rows: list[Row]) -> Figure | None:
    """A panel for each input with a variant that has a rate, and one for audio; None without such a variant."""
    # A decoder with skip connections sees more than the KL pays for.
    variants = [row for row in rows if row.role == "variant" and row["kbps"] and not row.has_skips]
    panels = by_input([row for row in variants if row["mse_draw"]])
    if not panels:
        return None
    outside = [row for row in rows if row.role in ("codec", "external") and row["kbps"]]
    if audio := [row for row in (*variants, *outside) if row["audio_mel_distance"]]:
        panels[AUDIO] = audio
    figure, axes = marks.input_panels(panels)
    styles = marks.point_styles(rows)
    baselines = find_baselines(rows)
    for ax, (name, group) in zip(axes, panels.items(), strict=True):
        rates = [row["kbps"] or 1.0 for row in group]
        limits = min(rates) / 1.5, max(rates) * 1.3
        if name == AUDIO:
            marks.draw_errors(ax, group, styles, "kbps", "audio_mel_distance", limits)
            ax.set_ylabel("mel distance")
        else:
            limits, errors = _draw_lines(ax, group, limits, baselines.get(name))
            marks.draw_errors(ax, group, styles, "kbps", "mse_draw", limits, errors)
            ax.set_ylabel("mean squared error of a draw")
        ax.set_xlabel("kbit/s")
    return figure


def _draw_lines(
    ax: Axes, group: list[Row], limits: tuple[float, float], baseline: tuple[Row, pd.DataFrame] | None
) -> tuple[tuple[float, float], list[float]]:
    """Draw the mean predictor and the bound; the limits of the x axis with the bound, and the errors of both lines."""
    errors = [mean] if (mean := group[0]["mse_mean"]) else []
    for error in errors:
        ax.axhline(error, color=style.INK, linewidth=1, linestyle="--", zorder=0, label="mean predictor")
    if baseline is not None:
        pca, sizes = baseline
        shape = read_json(pca.folder / "config.json")["shape"]
        nats, bound = rate_distortion_bound(sizes["mse"].to_numpy(), prod(shape))
        rates = kbps(nats, pca["seconds"] or 1.0)
        if len(rates):
            limits = min(limits[0], rates[-1] / 2), limits[1]
            errors += bound[(rates >= limits[0]) & (rates <= limits[1])].tolist()
            ax.plot(rates, bound, color=style.INK, label="Gaussian bound")
    return limits, errors
