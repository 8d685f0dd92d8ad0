"""Pictures of the latent space, against independent implementations and for degenerate latents."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from pipeline.figures import latent_space, style
from pipeline.figures.variant_data import read_variant_data
from tests.figures.test_pictures import LONG, overlapping_texts


def test_pca_agrees_with_scikit_learn_but_for_the_sign() -> None:
    values = np.random.default_rng(0).standard_normal((40, 8)) * np.arange(1, 9)
    points, shares = latent_space.project(values)
    fitted = PCA(2).fit(values)
    assert np.abs(points) == pytest.approx(np.abs(fitted.transform(values)))
    assert shares == pytest.approx(fitted.explained_variance_ratio_)


def test_pca_finds_the_separating_direction_and_shows_its_share() -> None:
    values = np.random.default_rng(0).standard_normal((40, 8)) * 0.1
    values[20:, 3] += 5
    points, shares = latent_space.project(values)
    assert shares[0] > 0.95 and points[:20, 0].max() < points[20:, 0].min()
    ax = latent_space.draw_latent_pca(values, ["a"] * 20 + ["b"] * 20).axes[0]
    assert f"{100 * shares[0]:.0f} % of the variance" in ax.get_xlabel()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]


@pytest.mark.parametrize("values", [np.zeros((9, 4)), np.ones((1, 4)), np.arange(5.0)[:, None], np.zeros((9, 0))])
def test_degenerate_latents_have_no_second_direction(values: np.ndarray) -> None:
    points, shares = latent_space.project(values)
    assert points.shape == (len(values), 2) and np.isfinite(points).all() and shares[1] == 0
    labels = ["a"] + ["b"] * (len(values) - 1)
    assert overlapping_texts(latent_space.draw_latent_pca(values, labels)) == []
    if len(values) > 1:
        assert overlapping_texts(latent_space.draw_label_distances(values, labels)) == []


def test_labels_appear_as_written(data: Path) -> None:
    variant_data = read_variant_data("wave_fake", data)
    legend = latent_space.draw_latent_pca(variant_data.latents, variant_data.labels).axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == [r"\$cash\$", "<b>", "_hidden", "waltz"]


def test_up_to_12_labels_differ_in_marker_and_up_to_84_in_marker_or_colour() -> None:
    assert len({marker for _, marker in style.label_styles(map(str, range(12))).values()}) == 12
    assert len(set(style.label_styles(f"{i:03}" for i in range(84)).values())) == 84


def test_distances_are_between_standardised_centroids() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat(["a", "b", "c"], 10)
    values = rng.standard_normal((30, 5)) * [1, 10, 100, 1, 1] + 3
    values[:, 4] = 7.0  # constant
    names, distances = latent_space.centroid_distances(values, list(labels))
    scaled = StandardScaler().fit_transform(values[:, :4])
    centroids = np.stack([scaled[labels == name].mean(axis=0) for name in names])
    assert names == ["a", "b", "c"] and distances == pytest.approx(cdist(centroids, centroids) / 2)


def test_matrix_has_the_order_of_the_dendrogram() -> None:
    labels = list("abcd") * 5
    centres = {"a": 0.0, "b": 10.0, "c": 0.5, "d": 11.0}  # a beside c, b beside d
    values = np.array([[centres[label]] for label in labels]) + 0.001 * np.arange(20)[:, None]
    tree, matrix = latent_space.draw_label_distances(values, labels).axes[:2]
    order = [text.get_text() for text in matrix.get_yticklabels()]
    assert {frozenset(order[:2]), frozenset(order[2:])} == {frozenset("ac"), frozenset("bd")}
    names, distances = latent_space.centroid_distances(values, labels)
    index = [names.index(name) for name in order]
    assert np.asarray(matrix.images[0].get_array()) == pytest.approx(distances[np.ix_(index, index)])
    leaves = sorted({float(y) for line in tree.lines for x, y in zip(*line.get_data(), strict=True) if x == 0})
    assert leaves == [5, 15, 25, 35] and tree.get_ylim() == (40, 0)  # each beside its row


@pytest.mark.parametrize("count", [2, 12, 20])
def test_many_labels_with_long_names_do_not_overlap(count: int) -> None:
    labels = [f"{i} {LONG}" for i in range(count)] * 3
    values = np.random.default_rng(0).standard_normal((len(labels), 4))
    assert overlapping_texts(latent_space.draw_label_distances(values, labels)) == []
    assert overlapping_texts(latent_space.draw_latent_pca(values, labels)) == []


def test_one_label_has_no_distances() -> None:
    with pytest.raises(ValueError, match="one label"):
        latent_space.draw_label_distances(np.zeros((3, 2)), ["a"] * 3)


def test_dimensions_are_sorted_by_kl_and_active_ones_highlighted() -> None:
    level = ["z1"] * 3 + ["z2"] * 2
    table = pd.DataFrame({"level": level, "kl": [0.1, 5.0, 2.0, 1.0, 0.0], "active": [False, True, True, True, False]})
    figure = latent_space.draw_dimension_kl(table)
    assert overlapping_texts(figure) == []
    first, second = figure.axes
    bars = {patch.get_label(): list(patch.get_data().values) for patch in first.patches}
    assert bars["active"] == [5.0, 2.0, 0.0] and bars["not active"][:2] == [0, 0] and bars["not active"][2] > 5
    assert first.get_title(loc="left") == "z1: 2 of 3 dimensions active, 7.1 nats"
    assert second.get_title(loc="left").startswith("z2: 1 of 2") and first.get_ylabel() == "KL in nats"


@pytest.mark.parametrize("active", [True, False])
def test_all_or_no_dimensions_may_be_active(active: bool) -> None:
    table = pd.DataFrame({"level": "", "kl": [1.0, 0.0], "active": active})
    legend = latent_space.draw_dimension_kl(table).axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == (["active"] if active else ["not active"])


def test_codes_are_sorted_with_lines_for_perplexity_and_uniform_usage() -> None:
    table = pd.DataFrame({"code": range(4), "count": [0, 10, 30, 60]})
    figure = latent_space.draw_code_counts(table, 2.5)
    assert overlapping_texts(figure) == []
    ax = figure.axes[0]
    assert list(ax.patches[0].get_data().values) == [60, 30, 10, 0]
    assert ax.get_title(loc="left") == "3 of 4 codes used"
    lines = {line.get_label(): line for line in ax.lines}
    assert lines["perplexity 2.5"].get_ydata()[0] == pytest.approx(40)
    assert lines["even use of all codes"].get_ydata()[0] == pytest.approx(25)
