"""Where windows start, and what is rejected."""

import numpy as np
import pytest
import soundfile

from pipeline.windows.config import WindowsConfig
from pipeline.windows.plan import REASONS, inspect, starts

RATE = 8000


def music(seconds: float, rate: int = RATE) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, round(seconds * rate)).astype(np.float32)


def test_gtzan_clip_has_six_windows():
    assert list(starts(660_000, 22050, WindowsConfig())) == [0, 5, 10, 15, 20, 25]


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
        (10.0, 1.0, {"hop_seconds": 2.0}, 5),
    ],
)
def test_number_of_windows(seconds, length, settings, expected):
    config = WindowsConfig(seconds=length, **settings)
    assert len(list(starts(round(seconds * RATE), RATE, config))) == expected


def check(tmp_path, audio, name="a.wav", frames=None, **settings):
    soundfile.write(tmp_path / name, audio, RATE, subtype="FLOAT")
    return inspect((name, len(audio) if frames is None else frames), tmp_path, WindowsConfig(**settings))


def test_good_recording_is_used_whole(tmp_path):
    good, bad = check(tmp_path, music(20))
    assert good == [0, 5, 10, 15] and bad == []


def test_silent_window_is_rejected_alone(tmp_path):
    audio = music(20)
    audio[5 * RATE : 10 * RATE] = 0.25  # a constant is silence too
    good, bad = check(tmp_path, audio)
    assert good == [0, 10, 15]
    assert [(r.start_seconds, r.reason) for r in bad] == [(5, "silent")]


def test_window_with_nan_is_rejected_alone(tmp_path):
    audio = music(15)
    audio[11 * RATE] = np.nan
    audio[1] = np.inf
    good, bad = check(tmp_path, audio)
    assert good == [5]
    assert [(r.start_seconds, r.reason) for r in bad] == [(0, "non_finite"), (10, "non_finite")]


def test_file_that_ends_before_its_header_says_loses_the_missing_windows(tmp_path):
    soundfile.write(tmp_path / "a.wav", music(20), RATE, subtype="PCM_16")
    whole = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(whole[: len(whole) * 6 // 10])
    good, bad = inspect(("a.wav", 20 * RATE), tmp_path, WindowsConfig())
    assert good == [0, 5]
    assert [(r.start_seconds, r.reason) for r in bad] == [(10, "truncated"), (15, "truncated")]


def test_short_empty_and_broken_files_are_named(tmp_path):
    _, short = check(tmp_path, music(2))
    (tmp_path / "b.wav").write_bytes(b"")
    (tmp_path / "c.wav").write_bytes(b"junk" * 50)
    _, empty = inspect(("b.wav", None), tmp_path, WindowsConfig())
    _, broken = inspect(("c.wav", None), tmp_path, WindowsConfig())
    assert [r[0].reason for r in (short, empty, broken)] == ["too_short", "empty", "undecodable"]
    assert all(r[0].start_seconds is None and r[0].reason in REASONS for r in (short, empty, broken))
