"""What is heard: one level for all, walks that morph from end to end without clicks, 16 bits that are not clipped."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.figures import audio
from pipeline.figures.variant_data import Window, load
from tests import artefacts
from tests.figures.conftest import drawn
from tests.stand_ins import SCALES

ROLES = {"original", "ceiling", "reconstruction", "sample", "linear", "slerp", "perturbed"}
VARIANTS = {"mel_fake": ROLES, "wave_fake": ROLES | {"transfer"}}


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_role_has_its_files(data: Path, variant: str) -> None:
    folder = data / "figures" / variant
    entries = [e for e in json.loads((folder / "figures.json").read_text()) if e["kind"] == "audio"]
    assert {e["role"] for e in entries} == VARIANTS[variant]
    wanted = {f"example-{n}-{role}" for n in range(4) for role in ("original", "ceiling", "reconstruction")}
    wanted |= {f"sample-{n}" for n in range(4)} | {"walk-0-linear", "walk-0-slerp"}
    wanted |= {f"perturbed-{step}" for step in range(len(SCALES))}
    if variant == "wave_fake":
        wanted |= {f"transfer-0-{step}" for step in range(4)} | {f"transfer-{n}-0" for n in (1, 2, 3)}
        moved = [e for e in entries if e["role"] == "transfer" and e["example"] == 0]
        assert [(e["step"], e["label"]) for e in moved] == [(0, "$cash$"), (1, "_hidden"), (2, "<b>"), (3, "waltz")]
    assert {e["file"] for e in entries} == {f"audio/{name}.wav" for name in wanted}


@pytest.mark.parametrize("variant", VARIANTS)
def test_audio_is_16_bit_of_the_windows_length_and_not_clipped(data: Path, variant: str) -> None:
    for path in (data / "figures" / variant / "audio").iterdir():
        is_example = path.name.startswith("example")
        rate = 22050 if variant == "mel_fake" or is_example else audio.LOWEST_RATE  # a waveform of 3,000 Hz
        info = soundfile.info(path)
        assert (info.samplerate, info.frames, info.channels, info.subtype) == (rate, rate, 1, "PCM_16"), path.name
        samples, _ = soundfile.read(path)
        assert 0.01 < np.abs(samples).max() <= 0.9999, path.name


@pytest.mark.parametrize("variant", VARIANTS)
def test_examples_are_at_half_the_level_of_what_was_heard(data: Path, variant: str) -> None:
    inputs = load(variant, data / "models", data / "evaluation", data / "reference")
    for number, sounds in inputs.heard.items():
        for role in ("original", "ceiling", "reconstruction"):
            samples, _ = soundfile.read(data / "figures" / variant / "audio" / f"example-{number}-{role}.wav")
            assert samples == pytest.approx(0.5 * getattr(sounds, role), abs=1e-4), (number, role)


def test_what_would_clip_is_turned_down_with_its_whole_set_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artefacts, "blur", lambda array, amount: 4 * array)
    artefacts.make_variant(tmp_path, "loud", "waveform", labels=["waltz"])
    entries = {e["file"]: e for e in drawn(tmp_path, "loud")}
    files = {role: f"audio/example-0-{role}.wav" for role in ("original", "ceiling", "reconstruction")}
    heard = {role: soundfile.read(tmp_path / "figures/loud" / file)[0] for role, file in files.items()}
    assert 0.99 < np.abs(heard["reconstruction"]).max() < 0.9999
    assert heard["reconstruction"].std() / heard["ceiling"].std() == pytest.approx(4, rel=0.01)
    original = artefacts.music(0, 22050, 1.0)
    factor = heard["original"].std() / original.std() / audio.GAIN
    assert factor < 0.9
    said = f"Turned down by {-20 * np.log10(factor):.1f} dB"
    assert all(said in entries[file]["caption"] for file in files.values())
    assert "Turned down" in entries["audio/perturbed-0.wav"]["caption"]


def test_a_morph_of_waveforms_starts_and_ends_as_its_ends_do_and_does_not_click() -> None:
    rate, config = 3000, WaveformConfig()
    time = np.arange(rate) / rate
    steps = [
        Window("linear", 0, np.sin(2 * np.pi * hertz * time + phase).astype(np.float32), step=i)
        for i, (hertz, phase) in enumerate([(100, 0.0), (130, 1.0), (170, 2.0), (200, 3.0)])
    ]
    found = audio.morph(steps, config).array
    assert found.shape == (rate,) and found.dtype == np.float32
    assert found[:30] == pytest.approx(steps[0].array[:30], abs=0.1)
    assert found[-30:] == pytest.approx(steps[-1].array[-30:], abs=0.1)
    assert found[1000] == pytest.approx(steps[1].array[1000], abs=0.02)  # a third of the way
    steepest = max(np.abs(np.diff(step.array)).max() for step in steps)
    assert np.abs(np.diff(found)).max() < 1.05 * steepest  # a cut between steps would be a leap


def test_a_morph_of_mels_goes_from_end_to_end_in_decibels_and_in_level() -> None:
    values, peaks = (0.25, 0.75, 0.5), (0.0, 20.0, 40.0)
    steps = [
        Window("slerp", 0, np.full((4, 101), value, np.float32), step=i, peak_db=peak)
        for i, (value, peak) in enumerate(zip(values, peaks, strict=True))
    ]
    found = audio.morph(steps, MelConfig())
    levels = 80 * (found.array - 1) + found.peak_db  # absolute, in dB
    assert levels[:, 0] == pytest.approx(80 * (0.25 - 1) + 0.0)
    assert levels[:, 50] == pytest.approx(80 * (0.75 - 1) + 20.0)
    assert levels[:, 25] == pytest.approx((80 * (0.25 - 1) + 80 * (0.75 - 1) + 20) / 2)
    assert levels[:, 100] == pytest.approx(80 * (0.5 - 1) + 40.0)
    assert np.abs(np.diff(levels, axis=1)).max() < 2.5  # no leaps from frame to frame
    assert found.array.max() == pytest.approx(1) and found.array.min() >= 0


@pytest.mark.parametrize("config", [MelConfig(), WaveformConfig()])
def test_a_morph_of_a_single_step_is_that_step(config: MelConfig | WaveformConfig) -> None:
    array = np.linspace(0, 1, 40, dtype=np.float32).reshape((4, 10) if config.kind == "mel" else (40,))
    found = audio.morph([Window("linear", 0, array, peak_db=3.0)], config)
    assert found.array == pytest.approx(array, abs=1e-5)
    assert found.peak_db == (pytest.approx(3.0, abs=1e-4) if config.kind == "mel" else 0)


def test_a_walk_as_heard_begins_and_ends_as_its_windows_sound(data: Path) -> None:
    inputs = load("wave_fake", data / "models", data / "evaluation", data / "reference")
    heard, rate = soundfile.read(data / "figures" / "wave_fake" / "audio" / "walk-0-linear.wav")
    first, last = (audio.playable(inputs.of("linear", 0)[i].array, 3000)[0] for i in (0, -1))
    piece = rate // 100
    assert heard[piece : 2 * piece] == pytest.approx(0.5 * first[piece : 2 * piece], abs=0.03)
    assert heard[-2 * piece : -piece] == pytest.approx(0.5 * last[-2 * piece : -piece], abs=0.03)


def test_what_is_an_examples_reconstruction_is_not_inverted_again(data: Path) -> None:
    inputs = load("mel_fake", data / "models", data / "evaluation", data / "reference")
    folder = data / "figures" / "mel_fake" / "audio"
    assert (folder / "perturbed-0.wav").read_bytes() == (folder / "example-0-reconstruction.wav").read_bytes()
    assert inputs.of("perturbed")[0].scale == 0
    assert (folder / "perturbed-1.wav").read_bytes() != (folder / "perturbed-0.wav").read_bytes()


def test_a_rate_that_browsers_need_not_play_is_raised() -> None:
    tone = np.sin(2 * np.pi * 100 * np.arange(3000) / 3000).astype(np.float32)
    samples, rate = audio.playable(tone, 3000)
    assert rate == 8000 and len(samples) == 8000
    assert audio.playable(tone, 22050)[1] == 22050
