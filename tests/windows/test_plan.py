"""Where windows start, and what is repaired or rejected."""

import os

import numpy as np
import pytest
import soundfile

from pipeline.audio import decode
from pipeline.windows import plan
from pipeline.windows.config import WindowsConfig
from pipeline.windows.plan import REASONS, Inspected, inspect

RATE = 8000


def music(seconds: float, rate: int = RATE) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, round(seconds * rate)).astype(np.float32)


def check(folder, audio, name="a.wav", rate=RATE, promised=None, **settings) -> Inspected:
    soundfile.write(folder / name, audio, rate, subtype="FLOAT")
    return inspect((name, promised), folder, WindowsConfig(**settings))


def starts(found: Inspected) -> list[float]:
    return [window.start_seconds for window in found.good]


def faults(found: Inspected) -> list[tuple[float | None, str]]:
    return [(bad.start_seconds, bad.reason) for bad in found.bad]


def test_gtzan_clip_has_six_windows(tmp_path):
    found = check(tmp_path, np.random.default_rng(0).normal(0, 0.1, 660_000).astype(np.float32), rate=22050)
    assert starts(found) == [0, 5, 10, 15, 20, 25] and found.bad == []
    assert [window.repair for window in found.good] == [None] * 5 + ["padded"]


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
    found = check(tmp_path, music(seconds), seconds=length, **settings)
    assert len(found.good) == expected
    assert faults(found) == ([] if expected else [(None, "too_short")])


@pytest.mark.parametrize("rate", [8000, 11025, 44100])
@pytest.mark.parametrize("seconds", [1.0, 1.2])
def test_windows_laid_end_to_end_are_the_recording(tmp_path, monkeypatch, rate, seconds):
    """No sample is left out or stands twice at a window's border, whatever the blocks."""
    monkeypatch.setattr(decode, "BLOCK_SAMPLES", 3001)
    path = tmp_path / "a.wav"
    soundfile.write(path, music(9.7, rate), rate, subtype="PCM_16")
    config = WindowsConfig(seconds=seconds, partial="pad")
    cut = []

    def problem(window, _):
        cut.append(window.copy())

    monkeypatch.setattr(plan, "_problem", problem)
    found = inspect(("a.wav", None), tmp_path, config)
    whole = soundfile.read(path, dtype="float32")[0]
    np.testing.assert_array_equal(np.concatenate(cut), whole)
    begin = [round(window.start_seconds * rate) for window in found.good]
    assert begin == np.cumsum([0, *(len(window) for window in cut[:-1])]).tolist()
    assert [window.repair for window in found.good] == [None] * (len(cut) - 1) + ["padded"]


def test_windows_of_no_whole_number_of_samples_do_not_drift(tmp_path):
    found = check(tmp_path, music(20, 11025), rate=11025, seconds=1.3)  # 14332.5 samples
    assert len(found.good) == 15
    assert starts(found) == pytest.approx(1.3 * np.arange(15), abs=1e-9)


def test_silent_and_constant_windows_are_rejected_alone(tmp_path):
    audio = music(25)
    audio[5 * RATE : 10 * RATE] = 0
    audio[10 * RATE : 15 * RATE] = 0.25
    audio[15 * RATE : 20 * RATE] = 0.25 + 1e-4 * audio[15 * RATE : 20 * RATE]  # an offset makes it no louder
    found = check(tmp_path, audio)
    assert starts(found) == [0, 20]
    assert faults(found) == [(5, "silent"), (10, "constant"), (15, "silent")]
    assert found.bad[1].detail == "every sample is 0.25"
    assert starts(check(tmp_path, audio, silence_db=-120.0)) == [0, 15, 20]


def test_window_with_nan_or_infinity_is_rejected_alone(tmp_path):
    audio = music(15)
    audio[11 * RATE] = np.nan
    audio[1] = np.inf
    found = check(tmp_path, audio)
    assert starts(found) == [5]
    assert faults(found) == [(0, "non_finite"), (10, "non_finite")]


def test_a_little_beyond_one_is_limited_and_much_is_rejected(tmp_path):
    audio = music(15)
    audio[RATE : RATE + 3] = 1.2
    audio[5 * RATE : 6 * RATE] *= 32768  # a fifth of the window
    found = check(tmp_path, audio)
    assert [(w.start_seconds, w.repair) for w in found.good] == [(0, "limited"), (10, None)]
    assert faults(found) == [(5, "out_of_range")]
    assert "20% of the samples are beyond -1 and 1" in found.bad[0].detail


def test_a_window_may_be_limited_and_padded(tmp_path):
    audio = music(4.9)
    audio[7] = -1.01
    assert check(tmp_path, audio).good[0].repair == "limited, padded"


@pytest.mark.parametrize("suffix", ["wav", "aiff", "au"])
def test_file_that_ends_before_its_header_says_tells_from_where(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, music(20), RATE, subtype="PCM_16")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])
    found = inspect((path.name, None), tmp_path, WindowsConfig())
    assert starts(found) == [0, 5] and faults(found) == [(10, "truncated")]
    assert found.bad[0].detail == "ends after 12.00 s, its header says 20.00 s"
    path.write_bytes(whole[: len(whole) // 10])
    assert faults(inspect((path.name, None), tmp_path, WindowsConfig())) == [(None, "truncated")]


def test_file_that_lost_its_end_since_stage_download_is_truncated(tmp_path):
    assert faults(check(tmp_path, music(10), promised=20 * RATE)) == [(10, "truncated")]
    assert faults(check(tmp_path, music(10), promised=10 * RATE)) == []


def test_a_file_that_changes_while_it_is_read_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "BLOCK_SAMPLES", RATE)
    soundfile.write(tmp_path / "a.wav", music(20), RATE)
    problem = plan._problem

    def and_append(window, silence_db):
        with (tmp_path / "a.wav").open("ab") as file:
            file.write(b"\0\0")
        return problem(window, silence_db)

    monkeypatch.setattr(plan, "_problem", and_append)
    found = inspect(("a.wav", None), tmp_path, WindowsConfig())
    assert found.good == [] and faults(found) == [(None, "changed")]


def test_every_reason_of_a_file_is_one_of_the_closed_set(tmp_path):
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
    for name, said in expected.items():
        (bad,) = inspect((name, None), tmp_path, WindowsConfig()).bad
        assert (bad.path, bad.start_seconds, bad.reason, bad.detail) == (name, None, *said)
    (bad,) = inspect(("text.wav", None), tmp_path, WindowsConfig()).bad
    assert bad.reason == "undecodable" and str(tmp_path) not in bad.detail
    assert {reason for reason, _ in expected.values()} | {"undecodable"} <= set(REASONS)


def test_equal_audio_has_equal_digests_whatever_holds_it(tmp_path):
    whole = (music(5) * 2**15).astype(np.int16)

    def digest(name, audio, rate=RATE):
        soundfile.write(tmp_path / name, audio, rate)
        return inspect((name, None), tmp_path, WindowsConfig(seconds=2.0)).digest

    names = ["a.wav", "b.wav", "c.flac", "d.aiff", "e.au"]
    assert len({digest(name, whole) for name in names} | {digest("f.wav", np.stack([whole] * 2, 1))}) == 1
    assert len({digest("g.wav", whole), digest("h.wav", -whole), digest("i.wav", whole, 2 * RATE)}) == 3
    assert digest("j.wav", 0 * whole) is None
