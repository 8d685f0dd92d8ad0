"""Terms of the loss, and weightings: what each is blind to, what it sees, and what it does with silence."""

import math

import numpy as np
import pytest
import torch

from pipeline.losses import bounds, weighting
from pipeline.losses.config import LossConfig, ReconstructionConfig
from pipeline.losses.objective import Objective
from pipeline.losses.spectral import Fourier, MultiResolutionSTFT
from pipeline.models.bottlenecks import Code
from pipeline.models.signal import Signal

MEL = Signal("mel", (32, 20), [0.5] * 32, [0.2] * 32, {"kind": "mel", "sample_rate": 22050, "bands": 32})
WAVE = Signal("waveform", (3000,), 0.0, 0.1, {"kind": "waveform", "sample_rate": 3000})
CODE = Code(torch.zeros(3, 2), torch.zeros(3, 2))
ALL = {"spectral": 0.5, "range": 0.25}
NAMES = ["gaussian", "mse", "l1", "bce", "log_magnitude"]


def windows(signal: Signal, seed: int = 0) -> torch.Tensor:
    values = torch.rand(3, 1, *signal.shape, generator=torch.Generator().manual_seed(seed))
    return values if signal.kind == "mel" else 0.3 * (2 * values - 1)


@pytest.mark.parametrize(("name", "signal"), [*((name, MEL) for name in NAMES), *((name, WAVE) for name in NAMES[:-1])])
def test_every_term_is_zero_for_a_perfect_reconstruction_and_positive_for_another(name, signal):
    objective = Objective(LossConfig(reconstruction=ReconstructionConfig(type=name), **ALL), signal)
    x = windows(signal)
    perfect = objective.distances(x, x, CODE)
    assert list(perfect) == ["distance", "spectral", "range"]
    assert max(float(term.abs().max()) for term in perfect.values()) < 1e-6
    other = objective.distances(3 * windows(signal, 1), x, CODE)
    assert all((term > 1e-6).all() for name, term in other.items() if name != "range" or signal is MEL)
    expected = other["distance"] + 0.5 * other["spectral"] + 0.25 * other["range"]
    torch.testing.assert_close(objective.combined(other), expected)


def test_terms_without_a_weight_are_not_there():
    assert list(Objective(LossConfig(), MEL).distances(windows(MEL), windows(MEL, 1), CODE)) == ["distance"]


@pytest.mark.parametrize("axis", [-1, -2])
def test_fourier_forgives_a_shift_that_the_complex_difference_and_the_squared_error_do_not(axis):
    """Sums of sines that fit the axis: shifted, they have other phases and the same magnitudes."""
    size = MEL.shape[axis]
    place = torch.arange(size) / size
    sines = torch.stack([torch.sin(2 * math.pi * k * place + k) for k in (1, 2, 5)]).sum(0)
    x = (sines[None] if axis == -1 else sines[:, None]).expand(MEL.shape)[None, None]
    y = x.roll(size // 3, axis)
    squared = (y - x).square().mean()
    full = torch.fft.fft(y, dim=axis, norm="ortho") - torch.fft.fft(x, dim=axis, norm="ortho")
    torch.testing.assert_close(full.abs().square().mean(), squared)  # Parseval: no term of its own
    assert squared > 1 and float(Fourier()(y, x)) < 0.15 * float(squared)  # what is left is seen along the other axis
    assert float(Fourier()(0.5 * x, x)) > 0.1 * float(x.square().mean())


def test_stft_forgives_another_phase_and_sees_a_missing_partial():
    time = torch.arange(3000) / 3000
    tone = [0.2 * torch.sin(2 * math.pi * f * time)[None, None] for f in (200, 700)]
    shifted = 0.2 * torch.cos(2 * math.pi * 200 * time)[None, None]
    x, term = tone[0] + tone[1], MultiResolutionSTFT(WAVE)
    assert (shifted + tone[1] - x).square().mean() > 0.9 * (tone[0] - x).square().mean()
    assert float(term(shifted + tone[1], x)) < 0.25 * float(term(tone[0], x))


def test_stft_takes_the_windows_that_fit_and_stands_beside_a_squared_error():
    assert MultiResolutionSTFT(WAVE).sizes == [2048, 1024, 512, 256, 128]
    short = Signal("waveform", (600,), 0.0, 0.1, {})
    assert MultiResolutionSTFT(short).sizes == [512, 256, 128]
    x = 0.1 * torch.randn(3, 1, 3000, generator=torch.Generator().manual_seed(0))
    quiet, loud = (MultiResolutionSTFT(Signal("waveform", (3000,), 0.0, s, {})) for s in (0.1, 0.2))
    torch.testing.assert_close(loud(0.6 * x, 2 * x), 4 * quiet(0.3 * x, x))  # as a squared error would
    assert 1 < float(quiet(0 * x, x).mean()) / 0.01 < 6


@pytest.mark.parametrize("silent", ["target", "reconstruction", "both"])
@pytest.mark.parametrize("signal", [MEL, WAVE], ids=["mel", "waveform"])
def test_silence_has_finite_losses_and_gradients(signal, silent):
    x = windows(signal) * (silent == "reconstruction")
    y = (windows(signal, 1) * (silent == "target")).requires_grad_()
    objective = Objective(LossConfig(**ALL), signal)
    found = objective.distances(y, x, CODE)
    assert all(torch.isfinite(term).all() for term in found.values())
    objective.nats(objective.combined(found)).mean().backward()
    assert torch.isfinite(y.grad).all()
    if silent == "target":  # a silent window does not drown the others
        assert found["spectral"].max() < 50 * found["distance"].max()


def test_terms_are_taken_in_32_bits_under_autocast():
    for signal in (MEL, WAVE):
        objective = Objective(LossConfig(reconstruction=ReconstructionConfig(type="bce"), **ALL), signal)
        y, x = windows(signal, 1), windows(signal)
        expected = objective.distances(y.bfloat16(), x, CODE)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = objective.distances(y.bfloat16(), x, CODE)
        for name, term in found.items():
            assert term.dtype == torch.float32
            torch.testing.assert_close(term, expected[name])


@pytest.mark.parametrize(("low", "edge"), [(0.0, (-0.1, 1.1)), (-1.0, (-1.2, 1.2))])
def test_range_is_free_inside_the_margin_and_grows_with_the_square_outside(low, edge):
    inside = torch.tensor([*edge, low, 1.0, 0.5]).reshape(1, 1, -1).requires_grad_()
    bounds.excess(inside, low).sum().backward()
    assert float(bounds.excess(inside.detach(), low)) < 1e-12 and float(inside.grad.abs().max()) < 1e-6
    for outside, sign in ((edge[0] - 0.3, -1), (edge[1] + 0.3, 1)):
        y = torch.tensor([[[outside]]], requires_grad=True)
        bounds.excess(y, low).sum().backward()
        assert float(bounds.excess(y.detach(), low)) == pytest.approx(0.09, rel=1e-4)
        assert float(y.grad) == pytest.approx(sign * 0.6, rel=1e-4)


def test_musical_weighting_prefers_the_middle_then_the_bass():
    weights, centres = weighting.make("musical", MEL)[:, 0].numpy(), weighting.centres(MEL)
    assert weights.mean() == pytest.approx(1, abs=1e-6)
    low, middle, high = weights[centres < 250], weights[(centres > 250) & (centres < 4000)], weights[centres > 4000]
    assert len(low) and len(middle) and len(high)
    np.testing.assert_allclose([np.ptp(part) for part in (low, middle, high)], 0, atol=1e-6)
    np.testing.assert_allclose([middle[0] / low[0], high[0] / low[0]], [2 / 1.5, 0.8 / 1.5], rtol=1e-5)


def test_a_weighting_is_the_ears_sensitivity():
    weights, centres = weighting.make("a_weighting", MEL)[:, 0].numpy(), weighting.centres(MEL)
    assert weights.mean() == pytest.approx(1, abs=1e-6) and weights.min() > 0
    assert 2000 < centres[weights.argmax()] < 3500  # where A-weighting has its greatest gain
    bass, one = weights[np.abs(centres - 100).argmin()], weights[np.abs(centres - 1000).argmin()]
    assert 0.02 < bass / one < 0.25  # -19.1 dB at 100 Hz


@pytest.mark.parametrize("name", ["gaussian", "l1"])
def test_a_weighting_moves_an_error_with_its_band(name):
    config = ReconstructionConfig(type=name, weighting="musical")
    term, x = Objective(LossConfig(reconstruction=config), MEL).distance, windows(MEL)
    plain = Objective(LossConfig(reconstruction=ReconstructionConfig(type=name)), MEL).distance
    torch.testing.assert_close(term(x + 0.1, x), plain(x + 0.1, x))  # the same error in all bands
    middle, high = x.clone(), x.clone()
    middle[:, :, 12] += 0.1
    high[:, :, -1] += 0.1
    assert (term(middle, x) > plain(middle, x)).all() and (term(high, x) < plain(high, x)).all()


def test_log_magnitude_weighs_ratios_not_differences():
    term = Objective(LossConfig(reconstruction=ReconstructionConfig(type="log_magnitude")), MEL).distance
    quiet, loud = torch.full((1, 1, 32, 20), 0.1), torch.full((1, 1, 32, 20), 0.8)
    assert float(term(quiet + 0.05, quiet)) == pytest.approx(math.log(0.16 / 0.11), rel=1e-4)
    assert term(quiet + 0.05, quiet) > 4 * term(loud + 0.05, loud)
    assert torch.isfinite(term(0 * quiet, loud)).all()
