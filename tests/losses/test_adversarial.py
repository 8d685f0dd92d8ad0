"""The adversarial terms and the discriminators."""

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
FEATURES = {"feature_matching": 2.0}
every_type = pytest.mark.parametrize(
    ("signal", "types"),
    [(MEL, ["patch"]), (WAVE, ["patch"]), (WAVE, ["multi_scale_stft"]), (WAVE, ["multi_period"]),
     (WAVE, ["multi_scale_stft", "multi_period"])],
)  # fmt: skip


def pair(signal: Signal) -> tuple[torch.Tensor, torch.Tensor]:
    """Constant reconstructions and noisy originals."""
    noise = torch.randn(8, 1, *signal.shape, generator=torch.Generator().manual_seed(0))
    mean, std = (0.5, 0.2) if signal.kind == "mel" else (0.0, 0.1)
    return torch.full_like(noise, mean), mean + std * noise


def make_objective(signal: Signal = MEL, seed: int = 0, **adversarial) -> Objective:
    torch.manual_seed(seed)
    return Objective(LossConfig(adversarial={"weight": 0.1, "width": 4} | adversarial), signal)


def weights(objective: Objective) -> list[torch.Tensor]:
    return [p.detach().clone() for p in objective.adversary.discriminators.parameters()]


@every_type
def test_the_discriminators_learn_to_distinguish_reconstructions_from_originals(signal, types):
    objective, (y, x) = make_objective(signal, types=types, learning_rate=2e-3), pair(signal)
    terms = [objective.discriminator_step(y, x, CODE, 0.0) for _ in range(30)]
    assert {tuple(term.shape) for term in terms[0].values()} == {(8,)}
    losses = [float(row["discriminator"].mean()) for row in terms]
    assert losses[0] == pytest.approx(2, abs=0.4) and losses[-1] < 0.5 * losses[0]
    of_original, of_reconstruction = (objective.adversary(v, x)["adversarial"] for v in (x, y))
    assert (of_original < 0.6 * of_reconstruction).all()


@every_type
def test_the_model_and_not_the_discriminators_get_a_gradient_from_the_adversarial_terms(signal, types):
    objective, (y, x) = make_objective(signal, types=types, **FEATURES), pair(signal)
    y.requires_grad_()
    adversarial = objective.discriminator_step(y, x, CODE, 0.0)
    assert not adversarial["discriminator"].requires_grad
    gradients = [p.grad.clone() for p in objective.adversary.parameters()]
    terms = objective.distances(y.detach(), x, CODE)
    combined = objective.combine(terms | adversarial)
    combined.mean().backward()
    assert torch.isfinite(y.grad).all() and y.grad.abs().sum() > 0
    expected = terms["distance"] + 0.1 * adversarial["adversarial"] + 2.0 * adversarial["feature_matching"]
    torch.testing.assert_close(combined, expected)
    assert list(terms) == ["distance"]  # validation uses these
    assert all(torch.equal(p.grad, g) for p, g in zip(objective.adversary.parameters(), gradients, strict=True))


@every_type
def test_matched_features_are_relative_to_those_of_the_originals_and_zero_for_equal_windows(signal, types):
    adversary, (y, x) = make_objective(signal, types=types, **FEATURES).adversary.eval(), pair(signal)
    expected = [
        (a - b).abs().flatten(1).mean(1) / b.abs().mean()
        for network in adversary.discriminators
        for a, b in zip(network(y)[:-1], network(x)[:-1], strict=True)
    ]
    matched = adversary(y, x)["feature_matching"]
    torch.testing.assert_close(matched, signal.variance * torch.stack(expected).mean(0))
    adversary.train()  # where spectral normalisation changes with each pass
    near, far, equal = (adversary(v, x)["feature_matching"] for v in (x + 0.1 * (y - x), y, x))
    assert not equal.any() and (near > 0).all() and (near < 0.3 * far).all()


@pytest.mark.parametrize("samples", [100, 999])
def test_a_waveform_may_be_shorter_than_the_windows_of_a_discriminator(samples):
    signal = Signal("waveform", (samples,), 0.0, 0.1, {})
    objective, (y, x) = make_objective(signal, types=["multi_scale_stft", "multi_period"], **FEATURES), pair(signal)
    terms = objective.discriminator_step(y, x, CODE, 0.0)
    assert all(torch.isfinite(term).all() and (term > 0).all() for term in terms.values())


def test_before_the_adversarial_phase_nothing_trains_and_all_terms_are_zero():
    objective, (y, x) = make_objective(start=0.25, **FEATURES), pair(MEL)
    before = weights(objective)
    early = objective.discriminator_step(y, x, CODE, 0.249)
    assert all(torch.equal(a, b) for a, b in zip(before, weights(objective), strict=True))
    assert all(term.shape == (8,) and not term.any() for term in early.values())
    late = objective.discriminator_step(y, x, CODE, 0.25)
    assert list(early) == list(late) == ["discriminator", "adversarial", "feature_matching"]
    assert all(term.all() for term in late.values())
    assert [objective.is_adversarial(progress) for progress in (0.0, 0.249, 0.25, 1.0)] == [False, False, True, True]


def test_a_step_changes_the_discriminator_and_not_the_model():
    objective, (y, x) = make_objective(), pair(MEL)
    before = weights(objective)
    y.requires_grad_()
    objective.discriminator_step(y, x, CODE, 0.0)
    assert not any(torch.equal(a, b) for a, b in zip(before, weights(objective), strict=True)) and y.grad is None


def test_a_checkpoint_has_the_discriminator_and_its_optimiser():
    objective, (y, x) = make_objective(), pair(MEL)
    for _ in range(3):
        objective.discriminator_step(y, x, CODE, 0.0)
    file = io.BytesIO()
    torch.save(objective.state_dict(), file)
    file.seek(0)
    resumed = make_objective(seed=1)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for each in (objective, resumed):
        for _ in range(2):
            each.discriminator_step(y, x, CODE, 0.0)
    assert all(torch.equal(a, b) for a, b in zip(objective.parameters(), resumed.parameters(), strict=True))


def test_without_a_weight_there_is_no_discriminator():
    torch.manual_seed(0)
    expected = torch.rand(1)
    objective, (y, x) = make_objective(weight=0.0), pair(MEL)
    assert torch.equal(torch.rand(1), expected)  # it has drawn no random weights
    assert objective.adversary is None and list(objective.parameters()) == []
    assert objective.discriminator_step(y, x, CODE, 0.0) == {}


def test_a_gradient_that_is_not_finite_does_not_change_the_discriminator():
    objective, (y, x) = make_objective(), pair(MEL)
    objective.discriminator_step(y, x, CODE, 0.0)
    before = weights(objective)
    objective.discriminator_step(torch.full_like(y, float("nan")), x, CODE, 0.0)
    assert all(torch.equal(a, b) for a, b in zip(before, weights(objective), strict=True))
