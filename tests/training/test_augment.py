"""Random gains and polarities of train windows."""

import math

import torch

from pipeline.training.augment import augment
from pipeline.training.config import AugmentConfig
from tests.training.small import new_model, new_objective, train


def waveforms(number: int, peak: float) -> torch.Tensor:
    x = torch.rand(number, 1, 50, generator=torch.Generator().manual_seed(0)) - 0.5
    return peak * x / x.abs().amax(-1, keepdim=True)


def factors(peak: float, **settings) -> torch.Tensor:
    """(4000,) what windows with this peak are multiplied by."""
    x = waveforms(4000, peak)
    uniform = torch.rand(4000, 2, generator=torch.Generator().manual_seed(1))
    result = augment(x, AugmentConfig(**settings), uniform)
    ratios = (result / x).flatten(1)
    torch.testing.assert_close(ratios, ratios[:, :1].expand_as(ratios), rtol=1e-4, atol=0)  # one for each window
    return ratios[:, 0]


def test_gains_are_even_in_decibels_on_both_sides():
    decibels = 20 * factors(0.4, gain_db=6.0).log10()
    assert -6 <= decibels.min() < -5.9 and 5.9 < decibels.max() <= 6
    assert abs(float(decibels.mean())) < 0.2 and abs(float(decibels.std()) - 12 / math.sqrt(12)) < 0.1


def test_no_sample_exceeds_1():
    assert 0.999 < 0.8 * float(factors(0.8, gain_db=6.0).max()) <= 1 + 1e-6
    assert not augment(torch.zeros(1, 1, 9), AugmentConfig(gain_db=6.0), torch.ones(1, 2)).any()  # silence


def test_half_of_the_windows_change_their_polarity():
    signs = factors(0.4, flip_polarity=True)
    assert set(signs.round(decimals=5).tolist()) == {-1.0, 1.0} and abs(float(signs.mean())) < 0.05


def test_a_training_augments_if_it_is_set_the_same_way_each_time():
    def weights(**settings):
        model = new_model()
        train(model, new_objective(), epochs=1, **settings)
        return torch.cat([weight.detach().reshape(-1) for weight in model.parameters()])

    plain, off, on, again, flipped = (
        weights(**settings)
        for settings in (
            {},
            {"augment": {"gain_db": 0.0}},
            {"augment": {"gain_db": 3.0}},
            {"augment": {"gain_db": 3.0}},
            {"augment": {"flip_polarity": True}},
        )
    )
    assert torch.equal(plain, off) and torch.equal(on, again)
    assert not torch.equal(plain, on) and not torch.equal(plain, flipped) and not torch.equal(on, flipped)
