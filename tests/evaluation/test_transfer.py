"""A conditional model that uses the label is told from one that ignores it."""

import numpy as np
import pytest
import torch

from pipeline.dataset.batches import WindowLoader
from pipeline.dataset.loader import window_loader
from pipeline.dataset.split import Split
from pipeline.evaluation.transfer import score, target_labels
from tests.evaluation.small import CPU, LABELS, TEST, TRAIN, build_model, split


def loaders(*splits: Split) -> list[WindowLoader]:
    return [window_loader(split, CPU, LABELS) for split in splits]


def fitted_model():
    """The network is untrained, so the condition's statistics alone change a window."""
    model = build_model()
    model.fit(lambda: loaders(TRAIN)[0].batches(8))
    return model


def mean_scores(model, test=TEST, batch_size: int = 7) -> dict[str, float]:
    scores = score(model, *loaders(TRAIN, test), batch_size)
    assert {len(hits) for hits in scores.windows.values()} == {len(test)}
    return {name: float(hits.mean()) for name, hits in scores.windows.items()} | scores.numbers


def test_model_with_label_statistics_transfers():
    scores = mean_scores(fitted_model())
    assert scores["transfer_accuracy"] == scores["transfer_real"] == scores["transfer_reconstruction"] == 1
    assert scores["transfer_statistics"] == 1  # the metric shows that the statistics do all
    assert scores["transfer_source"] == 0 and scores["transfer_chance"] == pytest.approx(1 / 3)
    assert scores["transfer_change"] > 0.5


def test_model_that_ignores_the_label_keeps_the_source():
    model = build_model()
    model.transfer = lambda x, source, target: x
    model.reconstruct = lambda x, label=None: x
    scores = mean_scores(model)
    assert (scores["transfer_accuracy"], scores["transfer_source"], scores["transfer_change"]) == (0, 1, 0)


def test_model_without_condition_has_no_scores():
    assert score(build_model(condition=False), *loaders(TRAIN, TEST), 7) == ({}, {})


def test_window_with_a_label_unknown_to_training_is_transferred():
    scores = mean_scores(fitted_model(), split(2, 12, ("a", "z")), batch_size=5)
    assert 0 < scores["transfer_real"] <= 0.5  # the probe cannot predict "z"
    assert scores["transfer_accuracy"] > 1 / 3


def test_target_labels_rotate_whatever_the_batches():
    label = torch.tensor([0, 0, 0, 0, 2, 2, 4, 4])  # 4: unknown
    target = target_labels(label, 4)
    assert (target < 4).all() and (target != label).all()
    assert target.tolist() == [1, 2, 3, 1, 0, 1, 1, 2]
    assert torch.equal(target, torch.cat([target_labels(label[:3], 4), target_labels(label[3:], 4, start=3)]))


def test_windows_that_are_not_finite_have_no_score():
    model = build_model()
    model.reconstruct = lambda x, label=None: torch.full_like(x, torch.nan)
    windows = score(model, *loaders(TRAIN, TEST), 7).windows
    assert np.isnan(windows["transfer_reconstruction"]).all() and np.isfinite(windows["transfer_real"]).all()
