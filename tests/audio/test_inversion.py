"""The way from mels to audio, by Griffin-Lim and by an exported network."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.audio.inversion import Inversion
from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.core.errors import DataError
from pipeline.core.workspace import CHOICE_FILE, EXPORTED_FILE
from pipeline.vocoder.read import read_inversion

MEL = MelConfig(sample_rate=8000, n_fft=256, hop_length=64, bands=20)
FRAMES, SAMPLES = 30, 1900


class Loudness(nn.Module):
    """A constant waveform: the sum of the mel's mean."""

    def __init__(self, hop: int, factor: float = 1.0) -> None:
        super().__init__()
        self.hop, self.factor = hop, factor

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        return self.factor * mel.mean(1).repeat_interleave(self.hop, 1)


class Other(Loudness):
    """Its waveform in 64 bits, or two of them."""

    def __init__(self, number: int) -> None:
        super().__init__(MEL.hop_length)
        self.number = number

    def forward(self, mel: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        audio = super().forward(mel).double()
        return audio if self.number == 1 else (audio,) * self.number


def export(folder: Path, network: nn.Module, bands: int = MEL.bands, uses: str = "vocoder") -> Path:
    frames = torch.export.Dim("frames", min=2, max=10_000)
    program = torch.export.export(network, (torch.zeros(1, bands, 50),), dynamic_shapes=({2: frames},))
    torch.export.save(program, folder / EXPORTED_FILE)
    (folder / CHOICE_FILE).write_text(json.dumps({"uses": uses, "iterations": 3}))
    return folder


@pytest.fixture(scope="module")
def inversions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Inversion]:
    folder = export(tmp_path_factory.mktemp("vocoder"), Loudness(MEL.hop_length))
    read = {"vocoder": read_inversion(folder, MEL), "griffin_lim": read_inversion(folder / "none", MEL)}
    return {name: inversion for name, inversion in read.items() if inversion}


@pytest.fixture
def mel() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.1, 1, (MEL.bands, FRAMES)).astype(np.float32)


@pytest.mark.parametrize("way", ["vocoder", "griffin_lim"])
def test_the_peak_sets_the_loudness_and_the_result_is_deterministic(inversions, mel, way):
    loud, again, quiet = (inversions[way](mel, peak, SAMPLES) for peak in (10.0, 10.0, -10.0))
    assert loud.dtype == np.float32 and loud.shape == (SAMPLES,) and loud.tobytes() == again.tobytes()
    np.testing.assert_allclose(loud, 10 * quiet, rtol=1e-3, atol=1e-5 * np.abs(loud).max())


@pytest.mark.parametrize("way", ["vocoder", "griffin_lim"])
def test_values_outside_the_range_are_clipped(inversions, mel, way):
    too_large, clipped = mel.copy(), mel.copy()
    too_large[3], clipped[3] = 5.0, 1.0
    assert inversions[way](too_large, 0.0, SAMPLES).tobytes() == inversions[way](clipped, 0.0, SAMPLES).tobytes()


@pytest.mark.parametrize("way", ["vocoder", "griffin_lim"])
@pytest.mark.parametrize("wrong", [np.full((20, 9), np.nan), np.zeros(20)])
def test_a_mel_that_is_not_finite_or_2d_is_refused(inversions, way, wrong):
    with pytest.raises(DataError, match="cannot become audio"):
        inversions[way](wrong, 0.0, 512)


def test_the_network_gets_the_mel_and_its_end_is_filled_with_silence(inversions, mel):
    audio = inversions["vocoder"](mel, 0.0, FRAMES * MEL.hop_length + 7)
    np.testing.assert_allclose(audio[:-7], mel.mean(0).repeat(MEL.hop_length), rtol=1e-5)
    assert not audio[-7:].any()


def test_a_network_in_64_bits_gives_audio_in_32(tmp_path, inversions, mel):
    inversion = read_inversion(export(tmp_path, Other(1)), MEL)
    assert inversion is not None
    audio = inversion(mel, 0.0, SAMPLES)
    assert audio.dtype == np.float32 and np.array_equal(audio, inversions["vocoder"](mel, 0.0, SAMPLES))


def test_the_stage_chooses(tmp_path, inversions):
    assert inversions["griffin_lim"].name == "Griffin-Lim with 32 iterations"
    assert inversions["vocoder"].name == "a vocoder"
    chosen = read_inversion(export(tmp_path, Loudness(64), uses="griffin_lim"), MEL)
    assert chosen is not None and chosen.name == "Griffin-Lim with 3 iterations"
    assert read_inversion(tmp_path, WaveformConfig()) is None


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Loudness(32), "for 30 frames; it must be finite"),
        (Loudness(64, float("nan")), "it must be finite"),
        (Other(2), "it gives a tuple, not a tensor"),
        (None, "not a file"),
    ],
)
def test_a_network_that_breaks_the_contract_is_refused(tmp_path, mel, network, message):
    export(tmp_path, network or Loudness(64))
    if network is None:
        (tmp_path / EXPORTED_FILE).write_bytes(b"no zip")
    with pytest.raises(DataError, match=message):
        inversion = read_inversion(tmp_path, MEL)
        assert inversion is not None
        inversion(mel, 0.0, SAMPLES)


def test_a_mel_with_other_bands_is_refused(inversions):
    with pytest.raises(DataError, match="it does not take"):
        inversions["vocoder"](np.zeros((21, 30)), 0.0, SAMPLES)
