"""What is drawn is told from silence, from a constant and from a single answer."""

import numpy as np
import pytest
import torch

from pipeline.dataset.split import Split
from pipeline.evaluation.prior_samples import DRAWN, score
from pipeline.models.collapse import flat

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
LABELS = np.repeat("a", 40)
MEL = Split("mel", (6, 20), RNG.uniform(-80, 0, (40, 6, 20)).astype(np.float16), np.arange(40), LABELS, LABELS)
WAVE = Split("waveform", (50,), (8000 * RNG.standard_normal((40, 50))).astype(np.int16), np.arange(40), LABELS, LABELS)


class Draws:
    """A model whose samples are given by `draw(noise)`; noise is (n, 1, *shape) standard normal."""

    labels, latent_dims = (), 1

    def __init__(self, shape, draw):
        self.shape, self.draw = shape, draw

    def sample(self, number, generator, label):
        assert len(label) == number
        return self.draw(torch.randn(number, 1, *self.shape, generator=generator))


def mel(draw) -> dict[str, float]:
    return score(Draws((6, 20), draw), MEL, 16, CPU)


def wave(draw) -> dict[str, float]:
    return score(Draws((50,), draw), WAVE, 16, CPU)


def test_samples_like_the_data_are_not_flat():
    found = mel(lambda noise: 0.5 + noise / 12**0.5)  # of a uniform variable's variance
    assert found == {"sample_variance_ratio": pytest.approx(1, abs=0.1), "sample_time_ratio": pytest.approx(1, abs=0.1)}
    assert flat(found) is None


def test_the_ratios_are_of_variances():
    found = wave(lambda noise: 0.5 * 8000 / 32768 * noise)
    assert found["sample_variance_ratio"] == pytest.approx(0.25, rel=0.1)
    assert found["sample_time_ratio"] == pytest.approx(0.25, rel=0.1)
    assert found["sample_level_db"] == pytest.approx(20 * np.log10(0.5), abs=0.3)


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda noise: torch.linspace(0, 1, 20).expand_as(noise), "samples differ 0.00 times as much as the data"),
        (lambda noise: noise.mean((2, 3), keepdim=True).sign().expand_as(noise), "vary over time 0.00 times"),
        (lambda noise: noise.fill_(torch.nan), "samples differ nan times"),
    ],
)
def test_one_answer_or_a_constant_is_flat(draw, said):
    assert said in flat(mel(draw))


def test_silence_is_flat():
    found = wave(torch.zeros_like)
    assert found["sample_level_db"] <= -60
    assert "dB of the data's level" in flat(found)


def test_all_labels_are_drawn_and_the_batch_size_is_kept():
    seen = []

    class Labelled(Draws):
        labels = ("a", "b", "c")

        def sample(self, number, generator, label):
            seen.append(label)
            return super().sample(number, generator, label)

    score(Labelled((6, 20), torch.sigmoid), MEL, 24, CPU)
    assert [len(part) for part in seen] == [24, 24, DRAWN - 48]
    assert torch.cat(seen).bincount().tolist() == [22, 21, 21]
