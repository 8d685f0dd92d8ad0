"""The adversarial term and its discriminator."""

import io

import pytest
import torch

from pipeline.losses.config import LossConfig
from pipeline.losses.objective import Objective
from pipeline.models.bottlenecks import Code
from pipeline.models.signal import Signal

MEL = Signal("mel", (32, 40), [0.5] * 32, [0.2] * 32, {})
WAVE = Signal("waveform", (3000,), 0.0, 0.1, {})
CODE = Code(torch.zeros(8, 2), torch.zeros(8, 2))
both_signals = pytest.mark.parametrize("signal", [MEL, WAVE], ids=["mel", "waveform"])


def pair(signal: Signal) -> tuple[torch.Tensor, torch.Tensor]:
    """Constant reconstructions and noisy originals."""
    noise = torch.randn(8, 1, *signal.shape, generator=torch.Generator().manual_seed(0))
    mean, std = (0.5, 0.2) if signal.kind == "mel" else (0.0, 0.1)
    return torch.full_like(noise, mean), mean + std * noise


def make_objective(signal: Signal = MEL, weight: float = 0.1, seed: int = 0) -> Objective:
    torch.manual_seed(seed)
    return Objective(LossConfig(adversarial=weight), signal)


def weights(objective: Objective) -> list[torch.Tensor]:
    return [p.detach().clone() for p in objective.adversary.discriminator.parameters()]


@both_signals
def test_the_discriminator_learns_to_distinguish_reconstructions_from_originals(signal):
    objective, (y, x) = make_objective(signal), pair(signal)
    terms = [objective.discriminator_step(y, x, CODE) for _ in range(80)]
    assert {tuple(term.shape) for term in terms[0].values()} == {(8,)}
    losses = [float(row["discriminator"].mean()) for row in terms]
    assert losses[0] == pytest.approx(2, abs=0.4) and losses[-1] < 0.5 * losses[0]
    assert (objective.adversary(x) < 0.6 * objective.adversary(y)).all()


@both_signals
def test_the_model_gets_a_gradient_from_the_adversarial_term(signal):
    objective, (y, x) = make_objective(signal), pair(signal)
    y.requires_grad_()
    adversarial = objective.discriminator_step(y, x, CODE)
    assert not adversarial["discriminator"].requires_grad
    terms = objective.distances(y.detach(), x, CODE)
    combined = objective.combine(terms | adversarial)
    combined.mean().backward()
    assert torch.isfinite(y.grad).all() and y.grad.abs().sum() > 0
    torch.testing.assert_close(combined, terms["distance"] + 0.1 * adversarial["adversarial"])
    assert "adversarial" not in terms  # validation uses these


def test_a_step_changes_the_discriminator_and_not_the_model():
    objective, (y, x) = make_objective(), pair(MEL)
    before = weights(objective)
    y.requires_grad_()
    objective.discriminator_step(y, x, CODE)
    assert not any(torch.equal(a, b) for a, b in zip(before, weights(objective), strict=True)) and y.grad is None


def test_a_checkpoint_has_the_discriminator_and_its_optimiser():
    objective, (y, x) = make_objective(), pair(MEL)
    for _ in range(3):
        objective.discriminator_step(y, x, CODE)
    file = io.BytesIO()
    torch.save(objective.state_dict(), file)
    file.seek(0)
    resumed = make_objective(seed=1)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for each in (objective, resumed):
        for _ in range(2):
            each.discriminator_step(y, x, CODE)
    assert all(torch.equal(a, b) for a, b in zip(objective.parameters(), resumed.parameters(), strict=True))


def test_without_a_weight_there_is_no_discriminator():
    torch.manual_seed(0)
    expected = torch.rand(1)
    objective, (y, x) = make_objective(weight=0.0), pair(MEL)
    assert torch.equal(torch.rand(1), expected)  # it has drawn no random weights
    assert objective.adversary is None and list(objective.parameters()) == []
    assert objective.discriminator_step(y, x, CODE) == {}


def test_a_gradient_that_is_not_finite_does_not_change_the_discriminator():
    objective, (y, x) = make_objective(), pair(MEL)
    objective.discriminator_step(y, x, CODE)
    before = weights(objective)
    objective.discriminator_step(torch.full_like(y, float("nan")), x, CODE)
    assert all(torch.equal(a, b) for a, b in zip(before, weights(objective), strict=True))
