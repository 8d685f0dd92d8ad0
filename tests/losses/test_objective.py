"""All terms of the loss block together."""

import pytest
import torch

from pipeline.losses.config import LossConfig, ReconstructionConfig
from pipeline.losses.objective import Objective, range_penalty
from pipeline.models.bottlenecks import Code
from pipeline.models.signal import Signal
from pipeline.vocoder.config import VocoderConfig

MEL = Signal("mel", (32, 20), [0.5] * 32, [0.2] * 32, {"kind": "mel", "sample_rate": 22050, "bands": 32})
WAVE = Signal("waveform", (3000,), 0.0, 0.1, {"kind": "waveform", "sample_rate": 3000})
CODE = Code(torch.zeros(3, 2), torch.zeros(3, 2))
DISTANCES = ["gaussian", "mse", "l1", "bce", "log_magnitude"]


def make_objective(signal: Signal, name: str = "gaussian") -> Objective:
    config = LossConfig(reconstruction=ReconstructionConfig(type=name), spectral={"weight": 0.5}, range=0.25)
    return Objective(config, signal)


def windows(signal: Signal, seed: int = 0) -> torch.Tensor:
    values = torch.rand(3, 1, *signal.shape, generator=torch.Generator().manual_seed(seed))
    return values if signal.kind == "mel" else 0.3 * (2 * values - 1)


@pytest.mark.parametrize(
    ("name", "signal"),
    [*((name, MEL) for name in DISTANCES), *((name, WAVE) for name in (*DISTANCES[:-1], "mrstft", "multi_mel"))],
)
def test_every_term_is_zero_for_a_perfect_reconstruction_and_grows_with_the_error(name, signal):
    objective, x = make_objective(signal, name), windows(signal)
    perfect = objective.distances(x, x, CODE)
    assert list(perfect) == ["distance", "spectral", "range"]
    assert max(float(term.abs().max()) for term in perfect.values()) < 1e-6
    y = 3 * windows(signal, 1)
    terms, near = (objective.distances(reconstruction, x, CODE) for reconstruction in (y, x + 0.1 * (y - x)))
    assert ((near["distance"] > 0) & (near["distance"] < terms["distance"])).all()
    assert all((term > 1e-6).all() for name, term in terms.items() if name != "range" or signal is MEL)
    expected = terms["distance"] + 0.5 * terms["spectral"] + 0.25 * terms["range"]
    torch.testing.assert_close(objective.combine(terms), expected)


def test_terms_without_a_weight_are_not_computed():
    assert list(Objective(LossConfig(), MEL).distances(windows(MEL), windows(MEL, 1), CODE)) == ["distance"]


@pytest.mark.parametrize("silent", ["target", "reconstruction", "both"])
@pytest.mark.parametrize("signal", [MEL, WAVE], ids=["mel", "waveform"])
def test_silence_has_finite_losses_and_gradients(signal, silent):
    x = windows(signal) * (silent == "reconstruction")
    y = (windows(signal, 1) * (silent == "target")).requires_grad_()
    objective = make_objective(signal)
    terms = objective.distances(y, x, CODE)
    assert all(torch.isfinite(term).all() for term in terms.values())
    objective.nll(objective.combine(terms)).mean().backward()
    assert torch.isfinite(y.grad).all()
    if silent == "target":  # a silent window does not dominate the others
        assert terms["spectral"].max() < 50 * terms["distance"].max()


@pytest.mark.parametrize("signal", [MEL, WAVE], ids=["mel", "waveform"])
def test_terms_are_computed_in_32_bits_under_autocast(signal):
    objective = make_objective(signal, "bce")
    y, x = windows(signal, 1), windows(signal)
    expected = objective.distances(y.bfloat16(), x, CODE)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = objective.distances(y.bfloat16(), x, CODE)
    for name, term in terms.items():
        assert term.dtype == torch.float32
        torch.testing.assert_close(term, expected[name])


def test_the_loss_of_a_vocoder_ignores_the_polarity():
    objective = Objective(VocoderConfig().loss, WAVE)
    x, other = windows(WAVE), windows(WAVE, 1)
    terms = objective.distances(-x, x, CODE)
    assert list(terms) == ["distance", "spectral"] and float(objective.combine(terms).max()) < 1e-6
    assert float(objective.combine(objective.distances(other, x, CODE)).min()) > 1e-3


@pytest.mark.parametrize(("low", "edges"), [(0.0, (-0.1, 1.1)), (-1.0, (-1.2, 1.2))])
def test_the_range_penalty_is_zero_within_the_margin_and_quadratic_outside(low, edges):
    inside = torch.tensor([*edges, low, 1.0, 0.5]).reshape(1, 1, -1).requires_grad_()
    range_penalty(inside, low).sum().backward()
    assert float(range_penalty(inside.detach(), low)) < 1e-12 and float(inside.grad.abs().max()) < 1e-6
    for outside, sign in ((edges[0] - 0.3, -1), (edges[1] + 0.3, 1)):
        y = torch.tensor([[[outside]]], requires_grad=True)
        range_penalty(y, low).sum().backward()
        assert float(range_penalty(y.detach(), low)) == pytest.approx(0.09, rel=1e-4)
        assert float(y.grad) == pytest.approx(sign * 0.6, rel=1e-4)
