"""Statistics of labels, and labels that are not known."""

import pytest
import torch

from pipeline.models.condition import NARROWEST, Condition
from pipeline.models.config import ConditionConfig
from pipeline.models.signal import Signal

MEL = Signal("mel", (3, 8), [0.5] * 3, [0.2] * 3, {})


def condition(dropout: float = 0.1) -> Condition:
    return Condition(ConditionConfig(type="film", dropout=dropout), MEL, (4, 2, 2), 3)


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Windows of the labels 0 and 1 at other levels and ranges; 2 has none, 3 is not known."""
    label = torch.tensor([0, 1] * 20 + [3] * 4)
    x = torch.randn(len(label), 1, 3, 8, generator=torch.Generator().manual_seed(0))
    level, spread = torch.tensor([0.3, 0.6, 0, 0.5]), torch.tensor([0.05, 0.2, 0, 0.1])
    return level[label].reshape(-1, 1, 1, 1) + spread[label].reshape(-1, 1, 1, 1) * x, label


def test_windows_of_every_label_go_in_with_the_same_statistics():
    made, (x, label) = condition(), data()
    made.fit(zip(x.split(7), label.split(7), strict=True))
    inside = made.before_encoder(x, label)
    for number in (0, 1):
        part = inside[label == number]
        torch.testing.assert_close(part.mean((0, 1, 3)), torch.full((3,), 0.5))
        torch.testing.assert_close(part.std((0, 1, 3), correction=0), torch.full((3,), 0.2))
    torch.testing.assert_close(made.after_decoder(inside, label), x)


def test_labels_without_windows_and_no_label_change_nothing():
    made, (x, label) = condition(), data()
    made.fit([(x, label)])
    for chosen in (None, torch.full_like(label, 2), torch.full_like(label, 3)):
        torch.testing.assert_close(made.before_encoder(x, chosen), x)
        torch.testing.assert_close(made.after_decoder(x, chosen), x)
    features = torch.randn(len(x), 4, 2, 2)
    torch.nn.init.normal_(made.decoder.weight)
    assert torch.equal(made.before_decoder(features, None), made.before_decoder(features, torch.full_like(label, 3)))
    assert not torch.equal(made.before_decoder(features, None), made.before_decoder(features, label))


def test_a_label_whose_windows_never_change_is_finite():
    made = condition()
    made.fit([(torch.cat([torch.full((2, 1, 3, 8), 0.2), torch.rand(2, 1, 3, 8)]), torch.tensor([0, 0, 1, 1]))])
    assert made.ratio.min() == pytest.approx(NARROWEST)


def test_forgetting_takes_the_share_that_was_asked_for():
    label = torch.zeros(4000, dtype=torch.long)
    drawn = torch.rand(4000, generator=torch.Generator().manual_seed(0))
    assert (condition(0.25).forget(label, drawn) == 3).float().mean() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(condition(0.0).forget(label, torch.zeros(4000)), label)
