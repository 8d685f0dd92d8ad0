"""Walks between windows, and how even they are."""

import numpy as np
import pytest
import torch

from pipeline.dataset.batches import ResidentLoader
from pipeline.evaluation.interpolation import pairs, score, unevenness
from tests.evaluation.test_transfer import CPU, NAMES, TEST, TRAIN, model


def walk(*levels: float) -> torch.Tensor:
    return torch.tensor(levels)[:, None, None].expand(-1, 4, 5)


def test_unevenness_of_known_walks():
    assert unevenness(walk(0, 0.25, 0.5, 0.75)) == pytest.approx(1)
    assert unevenness(walk(0, 0.1, 0.2, 0.8)) == pytest.approx(0.6 / (0.8 / 3))
    assert unevenness(walk(0, 0, 0, 1)) == pytest.approx(3)  # all of it in one of three steps
    assert unevenness(walk(1, 1, 1)) is None
    assert unevenness(walk(0, float("nan"), 1)) is None


def test_a_step_is_a_root_mean_square():
    mel = torch.zeros(3, 1, 4)
    mel[1, 0, :2] = 1  # half of the values by 1: 0.707
    mel[2] = mel[1] + 1  # all of them by 1
    assert unevenness(mel) == pytest.approx(1 / ((1 + 0.5**0.5) / 2))


def test_pairs_are_of_different_labels_and_use_all_windows():
    assert pairs(["a", "b", "c", "d"], 2) == [(0, 1), (2, 3)]
    assert pairs(["a", "a", "b", "b"], 2) == [(0, 2), (1, 3)]
    assert len(set(pairs(["a", "b", "c", "d"], 9))) == 6  # all there are
    assert pairs(["a", "a", "b"], 3)[2] == (0, 1)  # one label: when nothing else is left
    assert pairs(["a"], 2) == []


def test_a_linear_decoder_makes_even_steps_of_a_straight_walk():
    made = model(condition=False)
    blend = torch.rand(3, 72, generator=torch.Generator().manual_seed(0))
    made._decode = lambda z, *_: (z @ blend).reshape(-1, 1, 6, 12)  # type: ignore[method-assign]
    found = score(made, TEST, lambda x: x.squeeze(1), 5, CPU)
    assert found["interpolation_smoothness"] == pytest.approx(1, abs=1e-3)
    assert 1 < found["interpolation_smoothness_slerp"] <= 4


def test_a_condition_changes_its_label_half_way():
    made = model()
    made.fit_condition(ResidentLoader(TRAIN, CPU, NAMES).batches(8))
    found = score(made, TEST, lambda x: x.squeeze(1), 6, CPU)
    assert found["interpolation_smoothness"] > 2  # of an untrained network the label's statistics are all there is


def test_no_latent_no_walks():
    made = model(condition=False)
    made.bottleneck.latent_dims = 0
    assert set(score(made, TEST, lambda x: x, 5, CPU).values()) == {None}


def test_a_model_that_decodes_everything_alike_has_no_smoothness():
    made = model(condition=False)
    made._decode = lambda z, *_: torch.zeros(len(z), 1, 6, 12)  # type: ignore[method-assign]
    found = score(made, TEST, lambda x: x.squeeze(1), 5, CPU)
    assert found == {"interpolation_smoothness": None, "interpolation_smoothness_slerp": None}
    assert np.isfinite(list(score(model(condition=False), TEST, lambda x: x.squeeze(1), 5, CPU).values())).all()
