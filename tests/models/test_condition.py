"""Statistics of labels, and unknown labels."""

import pytest
import torch

from pipeline.models.condition import MIN_STD_RATIO, Condition
from pipeline.models.config import ConditionConfig
from pipeline.models.signal import Signal

MEL = Signal("mel", (3, 8), [0.5] * 3, [0.2] * 3, {})


def make_condition(dropout: float = 0.1) -> Condition:
    return Condition(ConditionConfig(type="film", dropout=dropout), MEL, (4, 2, 2), 3)


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Windows of the labels 0 and 1 with different means and deviations; none of label 2; 3 is unknown."""
    label = torch.tensor([0, 1] * 20 + [3] * 4)
    x = torch.randn(len(label), 1, 3, 8, generator=torch.Generator().manual_seed(0))
    mean, std = torch.tensor([0.3, 0.6, 0, 0.5]), torch.tensor([0.05, 0.2, 0, 0.1])
    return mean[label].reshape(-1, 1, 1, 1) + std[label].reshape(-1, 1, 1, 1) * x, label


def test_the_encoder_gets_windows_of_every_label_with_the_same_mean_and_half_of_the_deviation_in_db():
    condition, (x, label) = make_condition(), data()
    condition.fit(zip(x.split(7), label.split(7), strict=True))
    inside = condition.before_encoder(x, label)
    for number in (0, 1):
        part, outside = inside[label == number], x[label == number]
        torch.testing.assert_close(part.mean((0, 1, 3)), torch.full((3,), 0.5))
        geometric_mean = (0.2 * outside.std((0, 1, 3), correction=0)).sqrt()
        torch.testing.assert_close(part.std((0, 1, 3), correction=0), geometric_mean)
    torch.testing.assert_close(condition.after_decoder(inside, label), x)


def test_labels_without_windows_and_unknown_labels_change_nothing():
    condition, (x, label) = make_condition(), data()
    condition.fit([(x, label)])
    unknown = torch.full_like(label, 3)
    for labels in (None, torch.full_like(label, 2), unknown):
        torch.testing.assert_close(condition.before_encoder(x, labels), x)
        torch.testing.assert_close(condition.after_decoder(x, labels), x)
    features = torch.randn(len(x), 4, 2, 2)
    torch.nn.init.normal_(condition.decoder.weight)
    assert torch.equal(condition.before_decoder(features, None), condition.before_decoder(features, unknown))
    assert not torch.equal(condition.before_decoder(features, None), condition.before_decoder(features, label))


def test_a_label_with_constant_windows_is_finite():
    condition = make_condition()
    x = torch.cat([torch.full((2, 1, 3, 8), 0.2), torch.rand(2, 1, 3, 8)])
    condition.fit([(x, torch.tensor([0, 0, 1, 1]))])
    assert condition.ratio.min() == pytest.approx(MIN_STD_RATIO**0.5)


def test_the_share_of_dropped_labels_is_the_dropout():
    label = torch.zeros(4000, dtype=torch.long)
    uniform = torch.rand(4000, generator=torch.Generator().manual_seed(0))
    dropped = make_condition(0.25).drop_labels(label, uniform) == 3
    assert dropped.float().mean() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(make_condition(0.0).drop_labels(label, torch.zeros(4000)), label)
