"""Pairs of windows, and the unevenness of interpolations between them."""

import numpy as np
import pytest
import torch

from pipeline.dataset.loader import window_loader
from pipeline.evaluation.interpolation import interpolation_unevenness, score, select_pairs
from tests.evaluation.small import CPU, TEST, build_model
from tests.evaluation.test_transfer import fitted_model


def constant_mels(*values: float) -> torch.Tensor:
    return torch.tensor(values)[:, None, None].expand(-1, 4, 5)


def unevenness(model, steps: int = 5) -> dict[str, float | None]:
    return score(model, window_loader(TEST, CPU, model.labels), lambda x: x.squeeze(1), steps)


def test_unevenness_of_known_interpolations():
    assert interpolation_unevenness(constant_mels(0, 0.25, 0.5, 0.75)) == pytest.approx(1)
    assert interpolation_unevenness(constant_mels(0, 0.1, 0.2, 0.8)) == pytest.approx(0.6 / (0.8 / 3))
    assert interpolation_unevenness(constant_mels(0, 0, 0, 1)) == pytest.approx(3)  # one step makes the change
    assert interpolation_unevenness(constant_mels(1, 1, 1)) is None
    assert interpolation_unevenness(constant_mels(0, float("nan"), 1)) is None


def test_step_is_a_root_mean_square():
    mel = torch.zeros(3, 1, 4)
    mel[1, 0, :2] = 1  # half of the values by 1: 0.707
    mel[2] = mel[1] + 1  # all of them by 1
    assert interpolation_unevenness(mel) == pytest.approx(1 / ((1 + 0.5**0.5) / 2))


def test_pairs_have_different_labels_and_use_all_windows():
    assert select_pairs(["a", "b", "c", "d"], 2) == [(0, 1), (2, 3)]
    assert select_pairs(["a", "a", "b", "b"], 2) == [(0, 2), (1, 3)]
    assert len(set(select_pairs(["a", "b", "c", "d"], 9))) == 6  # all pairs
    assert select_pairs(["a", "a", "b"], 3)[2] == (0, 1)  # equal labels come last
    assert select_pairs(["a"], 2) == []


def test_linear_decoder_makes_equal_steps_on_a_straight_line():
    model = build_model(condition=False)
    weights = torch.rand(3, 72, generator=torch.Generator().manual_seed(0))
    model._decode = lambda z, *_: (z @ weights).reshape(-1, 1, 6, 12)
    metrics = unevenness(model)
    assert metrics["interpolation_smoothness"] == pytest.approx(1, abs=1e-3)
    assert 1 < metrics["interpolation_smoothness_slerp"] <= 4


def test_conditional_model_changes_its_label_half_way():
    assert unevenness(fitted_model(), 6)["interpolation_smoothness"] > 2  # only the label's statistics change


def test_no_latent_no_interpolation():
    model = build_model(condition=False)
    model.bottleneck.latent_dims = 0
    assert set(unevenness(model).values()) == {None}


def test_constant_decoder_has_no_unevenness():
    model = build_model(condition=False)
    assert np.isfinite(list(unevenness(model).values())).all()
    model._decode = lambda z, *_: torch.zeros(len(z), 1, 6, 12)
    assert unevenness(model) == {"interpolation_smoothness": None, "interpolation_smoothness_slerp": None}
