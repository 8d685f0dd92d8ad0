"""Flat samples (silence, constants, one window for all latents) are told from samples that vary."""

import numpy as np
import pytest
import torch

from pipeline.dataset.loader import window_loader
from pipeline.dataset.split import Split
from pipeline.evaluation.frechet import FrechetSets
from pipeline.evaluation.prior_samples import SAMPLES, score
from pipeline.models.collapse import why_flat

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
LABELS = np.repeat("a", 40)
MEL = Split("mel", (6, 20), RNG.uniform(-80, 0, (40, 6, 20)).astype(np.float16), np.arange(40), LABELS, LABELS)
WAVE = Split("waveform", (50,), (8000 * RNG.standard_normal((40, 50))).astype(np.int16), np.arange(40), LABELS, LABELS)


class Sampler:
    """A model whose samples are `draw(noise)`; noise is (n, 1, *shape) standard normal."""

    labels, latent_dims = (), 1

    def __init__(self, shape, draw):
        self.shape, self.draw = shape, draw

    def sample(self, number, generator, label):
        assert len(label) == number
        return self.draw(torch.randn(number, 1, *self.shape, generator=generator))


def sets(size: int = 0) -> FrechetSets:
    return FrechetSets(size, lambda x: x.squeeze(1))


def score_mel(draw) -> dict[str, float]:
    return score(Sampler((6, 20), draw), window_loader(MEL, CPU), sets(), 16)


def score_waveform(draw) -> dict[str, float]:
    return score(Sampler((50,), draw), window_loader(WAVE, CPU), sets(), 16)


def test_samples_like_the_data_are_not_flat():
    metrics = score_mel(lambda noise: 0.5 + noise / 12**0.5)  # the variance of a uniform variable
    one = pytest.approx(1, abs=0.1)
    assert metrics == {"sample_variance_ratio": one, "sample_time_ratio": one}
    assert why_flat(metrics) is None


def test_ratios_compare_variances():
    metrics = score_waveform(lambda noise: 0.5 * 8000 / 32768 * noise)
    assert metrics["sample_variance_ratio"] == pytest.approx(0.25, rel=0.1)
    assert metrics["sample_time_ratio"] == pytest.approx(0.25, rel=0.1)
    assert metrics["sample_level_db"] == pytest.approx(20 * np.log10(0.5), abs=0.3)


@pytest.mark.parametrize(
    ("draw", "reason"),
    [
        (lambda noise: torch.linspace(0, 1, 20).expand_as(noise), "samples differ 0.00 times as much as the data"),
        (lambda noise: noise.mean((2, 3), keepdim=True).sign().expand_as(noise), "vary over time 0.00 times"),
        (lambda noise: noise.fill_(torch.nan), "samples differ nan times"),
    ],
)
def test_equal_constant_or_nan_samples_are_flat(draw, reason):
    assert reason in why_flat(score_mel(draw))


def test_silence_is_flat():
    metrics = score_waveform(torch.zeros_like)
    assert metrics["sample_level_db"] <= -60
    assert "dB of the data's level" in why_flat(metrics)


def test_all_labels_are_given_in_batches():
    given = []

    class Conditional(Sampler):
        labels = ("a", "b", "c")

        def sample(self, number, generator, label):
            given.append(label)
            return super().sample(number, generator, label)

    few, many = sets(30), sets(100)
    score(Conditional((6, 20), torch.sigmoid), window_loader(MEL, CPU), few, 24)
    assert [len(part) for part in given] == [24, 24, SAMPLES - 48]
    assert torch.cat(given).bincount().tolist() == [22, 21, 21]
    metrics = score(Conditional((6, 20), torch.sigmoid), window_loader(MEL, CPU), many, 24)
    assert len(torch.cat(given)) == SAMPLES + 100
    assert few.missing("samples") == many.missing("samples") == 0
    assert metrics == score(Conditional((6, 20), torch.sigmoid), window_loader(MEL, CPU), few, 24)  # of the same 64
