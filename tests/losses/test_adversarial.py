"""The adversarial term learns, and is not there unless asked for."""

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


def pair(signal: Signal) -> tuple[torch.Tensor, torch.Tensor]:
    """Fixed reconstructions, too smooth, and rough originals."""
    noise = torch.randn(8, 1, *signal.shape, generator=torch.Generator().manual_seed(0))
    mean, std = (0.5, 0.2) if signal.kind == "mel" else (0.0, 0.1)
    return torch.full_like(noise, mean), mean + std * noise


def objective(signal: Signal, weight: float) -> Objective:
    torch.manual_seed(0)
    return Objective(LossConfig(adversarial=weight), signal)


@pytest.mark.parametrize("signal", [MEL, WAVE], ids=["mel", "waveform"])
def test_the_discriminator_learns_to_tell_fixed_reconstructions_from_originals(signal):
    made, (y, x) = objective(signal, 0.1), pair(signal)
    rows = [made.discriminator_step(y, x, CODE) for _ in range(80)]
    assert {tuple(term.shape) for term in rows[0].values()} == {(8,)}
    losses = [float(row["discriminator"].mean()) for row in rows]
    assert losses[0] == pytest.approx(2, abs=0.4) and losses[-1] < 0.5 * losses[0]
    # What passes for an original costs the model less.
    assert (made.adversary(x) < 0.6 * made.adversary(y)).all()


@pytest.mark.parametrize("signal", [MEL, WAVE], ids=["mel", "waveform"])
def test_the_model_gets_a_gradient_through_its_term_alone(signal):
    made, (y, x) = objective(signal, 0.1), pair(signal)
    y.requires_grad_()
    found = made.discriminator_step(y, x, CODE)
    assert not found["discriminator"].requires_grad
    terms = made.distances(y.detach(), x, CODE)
    made.combined(terms | found).mean().backward()
    assert torch.isfinite(y.grad).all() and y.grad.abs().sum() > 0
    torch.testing.assert_close(made.combined(terms | found), terms["distance"] + 0.1 * found["adversarial"])
    assert "adversarial" not in terms  # which is what validation sees


def test_each_challenge_is_one_step_of_the_discriminator_and_none_of_the_model():
    made, (y, x) = objective(MEL, 0.1), pair(MEL)
    before = [p.clone() for p in made.adversary.discriminator.parameters()]
    y.requires_grad_()
    made.discriminator_step(y, x, CODE)
    after = list(made.adversary.discriminator.parameters())
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True)) and y.grad is None


def test_a_checkpoint_holds_the_discriminator_and_its_optimiser():
    made, (y, x) = objective(MEL, 0.1), pair(MEL)
    for _ in range(3):
        made.discriminator_step(y, x, CODE)
    kept = io.BytesIO()
    torch.save(made.state_dict(), kept)
    kept.seek(0)
    torch.manual_seed(1)
    other = Objective(LossConfig(adversarial=0.1), MEL)
    other.load_state_dict(torch.load(kept, weights_only=True))
    for each in (made, other):
        for _ in range(2):
            each.discriminator_step(y, x, CODE)
    assert all(torch.equal(a, b) for a, b in zip(made.parameters(), other.parameters(), strict=True))


def test_without_a_weight_there_is_no_discriminator():
    torch.manual_seed(0)
    expected = torch.rand(1)
    made, (y, x) = objective(MEL, 0.0), pair(MEL)
    assert torch.equal(torch.rand(1), expected)  # nor has it drawn any weights
    assert made.adversary is None and list(made.parameters()) == [] and made.discriminator_step(y, x, CODE) == {}


def test_a_gradient_that_is_not_finite_changes_no_weight_of_the_discriminator():
    made, (y, x) = objective(MEL, 0.1), pair(MEL)
    made.discriminator_step(y, x, CODE)
    before = [p.clone() for p in made.adversary.discriminator.parameters()]
    made.discriminator_step(torch.full_like(y, float("nan")), x, CODE)
    after = made.adversary.discriminator.parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
