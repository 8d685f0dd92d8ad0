"""Training curves: which terms have a plot, and what is marked."""

from pipeline.figures import curves
from tests import artefacts


def test_training_curves_have_a_line_per_seed_and_mark_the_lowest() -> None:
    histories = {seed: artefacts.history(12, seed) for seed in (0, 1, 2)}
    axes = curves.draw_training_curves(histories).axes
    titles = [ax.get_title(loc="left") for ax in axes]
    assert {"Objective", "KL term", "Weight of the KL term", "Gradient norm", "Mean squared error"} <= set(titles)
    assert len(axes[titles.index("Mean squared error")].lines) == 3
    norm = axes[titles.index("Gradient norm")].lines[1]
    assert list(norm.get_ydata()) == list(histories[1]["grad_norm"])
    dots = [line for line in axes[0].lines if line.get_marker() == "o" and len(line.get_xdata())]
    marked = [(float(dot.get_xdata()[0]), float(dot.get_ydata()[0])) for dot in dots]
    lowest = [h.loc[h["valid_loss"].idxmin()] for h in histories.values()]
    assert marked == [(row["epoch"], row["valid_loss"]) for row in lowest]


def test_in_an_adversarial_phase_the_last_epoch_is_marked() -> None:
    history = artefacts.history(12, 0).sort_values("valid_loss", ascending=False, ignore_index=True)[::-1]
    history["epoch"], history["adversarial_phase"] = range(1, 13), [0.0] * 6 + [1.0] * 6
    axes = curves.draw_training_curves({0: history}).axes
    (dot,) = (line for line in axes[0].lines if line.get_marker() == "o" and len(line.get_xdata()))
    assert list(dot.get_xdata()) == [12] and list(dot.get_ydata()) == [history["valid_loss"].max()]
    assert "Adversarial phase" not in [ax.get_title(loc="left") for ax in axes]


def test_only_terms_that_vary_have_a_plot() -> None:
    history = artefacts.history(5, 0).drop(columns=["active_units"])
    history["train_spectral"] = history["valid_spectral"] = 0.1
    history["train_distance"] = history["valid_distance"] = 0.2
    history["valid_kl_z1"], history["valid_kl_z2"] = 3.0, 4.0
    history["train_range"] = history["valid_range"] = 0.0  # without a weight, or never out of range
    history["perplexity"], history["variance_ratio"] = 17.0, 0.8
    axes = curves.draw_training_curves({0: history}).axes
    titles = [ax.get_title(loc="left") for ax in axes]
    assert {"Spectral", "Reconstruction distance", "KL z1", "KL z2", "Perplexity"} <= set(titles)
    assert not {"Range", "Active units", "Variance ratio"} & set(titles)
    assert all(len(line.get_xdata()) for ax in axes[1:] for line in ax.lines) and all(ax.lines for ax in axes)


def test_one_epoch_is_a_dot() -> None:
    axes = curves.draw_training_curves({0: artefacts.history(1, 0)}).axes
    assert all(line.get_marker() in (".", "o") for ax in axes for line in ax.lines)
