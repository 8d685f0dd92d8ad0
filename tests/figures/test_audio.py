"""Audio clips: a common gain, interpolations without clicks, 16 bits without clipping."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.audio import clip
from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.figures import audio
from pipeline.figures.variant_data import Window, read_variant_data
from tests import artefacts
from tests.figures.conftest import draw

EXAMPLE_ROLES = ("original", "ceiling", "reconstruction")
ROLES = {*EXAMPLE_ROLES, "sample", "linear", "slerp", "perturbed"}
VARIANTS = {"mel_fake": ROLES, "wave_fake": ROLES | {"transfer"}}


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_role_has_its_files(data: Path, variant: str) -> None:
    folder = data / "figures" / variant
    entries = [e for e in json.loads((folder / "figures.json").read_text()) if e["kind"] == "audio"]
    assert {e["role"] for e in entries} == VARIANTS[variant]
    names = {f"example-{n}-{role}" for n in range(4) for role in EXAMPLE_ROLES}
    names |= {f"sample-{n}" for n in range(4)} | {"walk-0-linear", "walk-0-slerp"}
    names |= {f"perturbed-{step}" for step in range(len(artefacts.PERTURBATIONS))}
    if variant == "wave_fake":
        names |= {f"transfer-0-{step}" for step in range(4)} | {f"transfer-{n}-0" for n in (1, 2, 3)}
        transfers = [e for e in entries if e["role"] == "transfer" and e["example"] == 0]
        assert [e["label"] for e in transfers] == ["$cash$", "_hidden", "<b>", "waltz"]
    assert {e["file"] for e in entries} == {f"audio/{name}.wav" for name in names}


@pytest.mark.parametrize("variant", VARIANTS)
def test_clips_have_16_bits_and_the_length_of_the_window(data: Path, variant: str) -> None:
    for path in (data / "figures" / variant / "audio").iterdir():
        is_example = path.name.startswith("example")
        rate = 22050 if variant == "mel_fake" or is_example else clip.MIN_RATE  # a waveform of 3,000 Hz
        info = soundfile.info(path)
        assert (info.samplerate, info.frames, info.channels, info.subtype) == (rate, rate, 1, "PCM_16"), path.name
        samples, _ = soundfile.read(path)
        assert 0.01 < np.abs(samples).max() <= 0.9999, path.name


@pytest.mark.parametrize("variant", VARIANTS)
def test_examples_have_half_the_gain(data: Path, variant: str) -> None:
    for number, clips in read_variant_data(variant, data).audio.items():
        for role in EXAMPLE_ROLES:
            samples, _ = soundfile.read(data / "figures" / variant / "audio" / f"example-{number}-{role}.wav")
            assert samples == pytest.approx(0.5 * getattr(clips, role), abs=1e-4), (number, role)


def test_set_that_would_clip_is_turned_down_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artefacts, "blur", lambda array, amount: 4 * array)
    artefacts.make_variant(tmp_path, "loud", "waveform", labels=["waltz"])
    entries = {e["file"]: e for e in draw(tmp_path, "loud")}
    files = {role: f"audio/example-0-{role}.wav" for role in EXAMPLE_ROLES}
    clips = {role: soundfile.read(tmp_path / "figures/loud" / file)[0] for role, file in files.items()}
    assert 0.99 < np.abs(clips["reconstruction"]).max() < 0.9999
    assert clips["reconstruction"].std() / clips["ceiling"].std() == pytest.approx(4, rel=0.01)
    gain = clips["original"].std() / artefacts.music(0, 22050).std() / clip.GAIN
    assert gain < 0.9
    note = f"Turned down by {-20 * np.log10(gain):.1f} dB"
    assert all(note in entries[file]["caption"] for file in files.values())
    assert "Turned down" in entries["audio/perturbed-0.wav"]["caption"]


def test_morph_of_waveforms_has_the_given_ends_and_no_click() -> None:
    rate, config = 3000, WaveformConfig()
    time = np.arange(rate) / rate
    steps = [
        Window("linear", 0, np.sin(2 * np.pi * hertz * time + phase).astype(np.float32), step=i)
        for i, (hertz, phase) in enumerate([(100, 0.0), (130, 1.0), (170, 2.0), (200, 3.0)])
    ]
    array = audio.morph(steps, config).array
    assert array.shape == (rate,) and array.dtype == np.float32
    assert array[:30] == pytest.approx(steps[0].array[:30], abs=0.1)
    assert array[-30:] == pytest.approx(steps[-1].array[-30:], abs=0.1)
    assert array[1000] == pytest.approx(steps[1].array[1000], abs=0.02)  # a third of the way
    steepest = max(np.abs(np.diff(step.array)).max() for step in steps)
    assert np.abs(np.diff(array)).max() < 1.05 * steepest  # a cut between steps would be a jump


def test_morph_of_mels_interpolates_decibels_and_peaks() -> None:
    values, peaks = (0.25, 0.75, 0.5), (0.0, 20.0, 40.0)
    steps = [
        Window("slerp", 0, np.full((4, 101), value, np.float32), step=i, peak_db=peak)
        for i, (value, peak) in enumerate(zip(values, peaks, strict=True))
    ]
    morphed = audio.morph(steps, MelConfig())
    db = 80 * (morphed.array - 1) + morphed.peak_db
    assert db[:, 0] == pytest.approx(80 * (0.25 - 1) + 0.0)
    assert db[:, 50] == pytest.approx(80 * (0.75 - 1) + 20.0)
    assert db[:, 25] == pytest.approx((80 * (0.25 - 1) + 80 * (0.75 - 1) + 20) / 2)
    assert db[:, 100] == pytest.approx(80 * (0.5 - 1) + 40.0)
    assert np.abs(np.diff(db, axis=1)).max() < 2.5  # no jump from frame to frame
    assert morphed.array.max() == pytest.approx(1) and morphed.array.min() >= 0


@pytest.mark.parametrize("config", [MelConfig(), WaveformConfig()])
def test_morph_of_a_single_step_is_that_step(config: MelConfig | WaveformConfig) -> None:
    array = np.linspace(0, 1, 40, dtype=np.float32).reshape((4, 10) if config.kind == "mel" else (40,))
    morphed = audio.morph([Window("linear", 0, array, peak_db=3.0)], config)
    assert morphed.array == pytest.approx(array, abs=1e-5)
    assert morphed.peak_db == (pytest.approx(3.0, abs=1e-4) if config.kind == "mel" else 0)


def test_interpolation_clip_begins_and_ends_as_its_windows(data: Path) -> None:
    steps = read_variant_data("wave_fake", data).select("linear", 0)
    samples, rate = soundfile.read(data / "figures" / "wave_fake" / "audio" / "walk-0-linear.wav")
    first, last = (audio.raise_rate(steps[i].array, 3000)[0] for i in (0, -1))
    part = rate // 100
    assert samples[part : 2 * part] == pytest.approx(0.5 * first[part : 2 * part], abs=0.03)
    assert samples[-2 * part : -part] == pytest.approx(0.5 * last[-2 * part : -part], abs=0.03)


def test_low_rate_is_raised_for_browsers() -> None:
    tone = np.sin(2 * np.pi * 100 * np.arange(3000) / 3000).astype(np.float32)
    samples, rate = audio.raise_rate(tone, 3000)
    assert rate == 8000 and len(samples) == 8000
    assert audio.raise_rate(tone, 22050)[1] == 22050
