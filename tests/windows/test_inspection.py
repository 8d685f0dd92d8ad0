"""Where windows start, and what is repaired or rejected."""

import os

import numpy as np
import pytest
import soundfile

from pipeline.audio import recording
from pipeline.windows import inspection
from pipeline.windows.config import WindowsConfig
from pipeline.windows.inspection import REASONS, Inspection, inspect_recording

RATE = 8000


def music(seconds: float, rate: int = RATE) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, round(seconds * rate)).astype(np.float32)


def check(folder, audio, name="a.wav", rate=RATE, **settings) -> Inspection:
    soundfile.write(folder / name, audio, rate, subtype="FLOAT")
    return inspect_recording(name, folder, WindowsConfig(**settings))


def starts(result: Inspection) -> list[float]:
    return [window.start_seconds for window in result.windows]


def rejections(result: Inspection) -> list[tuple[float | None, str]]:
    return [(rejection.start_seconds, rejection.reason) for rejection in result.rejections]


def test_a_gtzan_clip_has_six_windows(tmp_path):
    result = check(tmp_path, np.random.default_rng(0).normal(0, 0.1, 660_000).astype(np.float32), rate=22050)
    assert starts(result) == [0, 5, 10, 15, 20, 25] and result.rejections == []
    assert [window.repair for window in result.windows] == [None] * 5 + ["padded"]


@pytest.mark.parametrize(
    ("seconds", "length", "settings", "expected"),
    [
        (30.0, 5.0, {}, 6),
        (29.0, 5.0, {}, 5),  # the last is 80 % full
        (29.0, 5.0, {"partial": "pad"}, 6),
        (29.8, 5.0, {}, 6),  # 96 %
        (4.9, 5.0, {}, 1),
        (4.0, 5.0, {}, 0),
        (30.0, 1.0, {}, 30),
        (30.0, 30.0, {}, 1),
        (10.0, 5.0, {"hop_seconds": 2.5}, 3),  # and none that only repeats the end
        (10.0, 5.0, {"hop_seconds": 2.5, "partial": "pad"}, 3),
        (10.0, 1.0, {"hop_seconds": 2.0}, 5),
    ],
)
def test_number_of_windows(tmp_path, seconds, length, settings, expected):
    result = check(tmp_path, music(seconds), seconds=length, **settings)
    assert len(result.windows) == expected
    assert rejections(result) == ([] if expected else [(None, "too_short")])


@pytest.mark.parametrize("rate", [8000, 11025, 44100])
@pytest.mark.parametrize("seconds", [1.0, 1.2])
def test_windows_in_sequence_are_the_recording(tmp_path, monkeypatch, rate, seconds):
    """No sample is lost or doubled at a window's border or a block's border."""
    monkeypatch.setattr(recording, "BLOCK_SAMPLES", 3001)
    path = tmp_path / "a.wav"
    soundfile.write(path, music(9.7, rate), rate, subtype="PCM_16")
    config = WindowsConfig(seconds=seconds, partial="pad")
    pieces = []

    def problem(window, _):
        pieces.append(window.copy())

    monkeypatch.setattr(inspection, "window_problem", problem)
    result = inspect_recording("a.wav", tmp_path, config)
    np.testing.assert_array_equal(np.concatenate(pieces), soundfile.read(path, dtype="float32")[0])
    first_samples = [round(window.start_seconds * rate) for window in result.windows]
    assert first_samples == np.cumsum([0, *(len(window) for window in pieces[:-1])]).tolist()
    assert [window.repair for window in result.windows] == [None] * (len(pieces) - 1) + ["padded"]


def test_windows_of_a_fractional_number_of_samples_do_not_drift(tmp_path):
    result = check(tmp_path, music(20, 11025), rate=11025, seconds=1.3)  # 14332.5 samples
    assert len(result.windows) == 15
    assert starts(result) == pytest.approx(1.3 * np.arange(15), abs=1e-9)


def test_only_silent_and_constant_windows_are_rejected(tmp_path):
    audio = music(25)
    audio[5 * RATE : 10 * RATE] = 0
    audio[10 * RATE : 15 * RATE] = 0.25
    audio[15 * RATE : 20 * RATE] = 0.25 + 1e-4 * audio[15 * RATE : 20 * RATE]  # an offset makes it no louder
    result = check(tmp_path, audio)
    assert starts(result) == [0, 20]
    assert rejections(result) == [(5, "silent"), (10, "constant"), (15, "silent")]
    assert result.rejections[1].detail == "every sample is 0.25"
    assert starts(check(tmp_path, audio, silence_db=-120.0)) == [0, 15, 20]


def test_only_windows_with_nan_or_infinity_are_rejected(tmp_path):
    audio = music(15)
    audio[11 * RATE] = np.nan
    audio[1] = np.inf
    result = check(tmp_path, audio)
    assert starts(result) == [5]
    assert rejections(result) == [(0, "non_finite"), (10, "non_finite")]


def test_few_samples_beyond_one_are_limited_and_many_are_rejected(tmp_path):
    audio = music(15)
    audio[RATE : RATE + 3] = 1.2
    audio[5 * RATE : 6 * RATE] *= 32768  # a fifth of the window
    result = check(tmp_path, audio)
    assert [(w.start_seconds, w.repair) for w in result.windows] == [(0, "limited"), (10, None)]
    assert rejections(result) == [(5, "out_of_range")]
    assert "20% of the samples are beyond -1 and 1" in result.rejections[0].detail
    audio = music(4.9)
    audio[7] = -1.01
    assert check(tmp_path, audio).windows[0].repair == "limited, padded"


@pytest.mark.parametrize("suffix", ["wav", "aiff", "au"])
def test_a_file_that_is_shorter_than_its_header_says_is_truncated(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, music(20), RATE, subtype="PCM_16")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    result = inspect_recording(path.name, tmp_path, WindowsConfig())
    assert starts(result) == [0, 5] and rejections(result) == [(10, "truncated")]
    assert result.rejections[0].detail == "ends after 12.00 s, its header says 20.00 s"
    path.write_bytes(content[: len(content) // 10])
    assert rejections(inspect_recording(path.name, tmp_path, WindowsConfig())) == [(None, "truncated")]


def test_a_file_that_changes_during_decoding_is_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "BLOCK_SAMPLES", RATE)
    soundfile.write(tmp_path / "a.wav", music(20), RATE)
    problem = inspection.window_problem

    def append_and_check(window, silence_db):
        with (tmp_path / "a.wav").open("ab") as file:
            file.write(b"\0\0")
        return problem(window, silence_db)

    monkeypatch.setattr(inspection, "window_problem", append_and_check)
    result = inspect_recording("a.wav", tmp_path, WindowsConfig())
    assert result.windows == [] and rejections(result) == [(None, "changed")]


def test_reasons_and_details_of_unusable_files(tmp_path):
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_bytes(b"junk" * 50)
    soundfile.write(tmp_path / "header.wav", np.zeros(0, np.float32), RATE)
    soundfile.write(tmp_path / "short.wav", music(2), RATE)
    os.mkfifo(tmp_path / "pipe.wav")
    expected = {
        "empty.wav": ("empty", "the file has no bytes"),
        "header.wav": ("empty", "the file has a header but no samples"),
        "short.wav": ("too_short", "2.00 s, a window takes 5 s"),
        "pipe.wav": ("unreadable", "not a regular file"),
        "gone.wav": ("unreadable", "No such file or directory"),
        "na\\xefve.wav": ("unreadable", "its name is not UTF-8; rename the file"),
    }
    for name, reason_and_detail in expected.items():
        (rejection,) = inspect_recording(name, tmp_path, WindowsConfig()).rejections
        assert (rejection.path, rejection.start_seconds, rejection.reason, rejection.detail) == (
            name,
            None,
            *reason_and_detail,
        )
    (rejection,) = inspect_recording("text.wav", tmp_path, WindowsConfig()).rejections
    assert rejection.reason == "undecodable" and str(tmp_path) not in rejection.detail
    assert {reason for reason, _ in expected.values()} | {"undecodable"} <= set(REASONS)


def test_equal_audio_has_equal_digests_in_every_file_format(tmp_path):
    samples = (music(5) * 2**15).astype(np.int16)

    def digest(name, audio, rate=RATE):
        soundfile.write(tmp_path / name, audio, rate)
        return inspect_recording(name, tmp_path, WindowsConfig(seconds=2.0)).digest

    names = ["a.wav", "b.wav", "c.flac", "d.aiff", "e.au"]
    assert len({digest(name, samples) for name in names} | {digest("f.wav", np.stack([samples] * 2, 1))}) == 1
    assert len({digest("g.wav", samples), digest("h.wav", -samples), digest("i.wav", samples, 2 * RATE)}) == 3
    assert digest("j.wav", 0 * samples) is None
