"""Training curves: every term of the objective, epoch by epoch, all seeds."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.figures import style

# title, unit, columns of history.csv
PANELS = [
    ("Objective", "nats per window", ("train_loss", "valid_loss")),
    ("Reconstruction term", "nats per window", ("train_reconstruction", "valid_reconstruction")),
    ("KL term", "nats per window", ("train_kl", "valid_kl")),
    ("Weight of the KL term", "beta", ("beta",)),
    ("Validation MSE", "on the input's scale", ("valid_mse",)),
    ("Active units", "latent dimensions", ("active_units",)),
]


def training_curves(histories: dict[int, pd.DataFrame]) -> Figure:
    """Six small plots over the epochs, with one line per seed; a dot marks each seed's lowest validation objective."""
    picture = style.figure(10, 5.2)
    axes = picture.subplots(2, 3, sharex=True)
    for ax, (title, unit, columns) in zip(axes.flat, PANELS, strict=True):
        for history in histories.values():
            for column in columns:
                train = column.startswith("train_")
                ax.plot(
                    history["epoch"],
                    history[column],
                    color=style.REFERENCE if train else style.ACCENT,
                    linestyle="--" if train else "-",
                    alpha=1 if len(histories) == 1 else 0.65,
                    marker="." if len(history) == 1 else None,
                )
        ax.set_title(title)
        ax.set_ylabel(unit)
        ax.grid(axis="y")
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        ax.yaxis.set_major_locator(MaxNLocator(5))
        ax.ticklabel_format(axis="y", scilimits=(-4, 6))
    for history in histories.values():
        best = history.iloc[int(history["valid_loss"].argmin())]
        axes[0, 0].plot(best["epoch"], best["valid_loss"], "o", color=style.ACCENT, markersize=5)
    for ax in axes[:, 1:].flat:
        ax.margins(y=0.08)
    for ax in axes[1, 1:]:
        ax.set_ylim(bottom=0)
    for ax in axes[1]:
        ax.set_xlabel("epoch")
    axes[0, 0].plot([], [], "--", color=style.REFERENCE, label="training")
    axes[0, 0].plot([], [], "-", color=style.ACCENT, label="validation")
    axes[0, 0].plot([], [], "o", color=style.ACCENT, markersize=5, label="lowest validation")
    axes[0, 0].legend(loc="upper right")
    return picture
