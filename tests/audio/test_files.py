"""Decoding block by block, and the samples that come out."""

import os

import numpy as np
import pytest
import soundfile

from pipeline.audio import files
from pipeline.audio.files import Recording, UndecodableError, limit
from tests.recordings import tone

RATE = 22050


def whole(path) -> np.ndarray:
    with Recording(path) as recording:
        return np.concatenate(list(recording.blocks()))


def reason(path) -> UndecodableError:
    with pytest.raises(UndecodableError) as caught:
        whole(path)
    return caught.value


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff", "au"])
def test_every_format_decodes_to_the_same_tone(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, tone(1.0), RATE)
    with Recording(path) as recording:
        assert recording.rate == RATE
        audio = np.concatenate(list(recording.blocks()))
        assert len(audio) == recording.frames
    spectrum = np.abs(np.fft.rfft(audio[:RATE]))
    assert audio.dtype == np.float32
    assert abs(len(audio) - RATE) < 2500  # mp3 pads
    assert abs(int(spectrum.argmax()) - 440) <= 2


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [("wav", "PCM_U8"), ("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "PCM_32"), ("wav", "FLOAT"), ("wav", "DOUBLE"),
     ("flac", "PCM_S8"), ("aiff", "PCM_16"), ("au", "PCM_24")],
)  # fmt: skip
def test_blocks_are_the_whole_file(tmp_path, monkeypatch, channels, suffix, subtype):
    monkeypatch.setattr(files, "BLOCK_SAMPLES", 1000)
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, np.random.default_rng(0).uniform(-1, 1, (12_345, channels)), RATE, subtype=subtype)
    expected = soundfile.read(path, dtype="float32", always_2d=True)[0]
    with Recording(path) as recording:
        blocks = list(recording.blocks())
    assert {len(block) for block in blocks[:-1]} == {1000 // channels} and 0 < len(blocks[-1]) <= 1000 // channels
    result = np.concatenate(blocks)
    assert len(result) == 12_345
    if channels == 1:
        np.testing.assert_array_equal(result, expected[:, 0])
    np.testing.assert_allclose(result, expected.astype(np.float64).mean(axis=1), atol=1e-7)


def test_more_channels_than_a_block_holds_samples(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BLOCK_SAMPLES", 4)
    soundfile.write(tmp_path / "a.wav", np.tile(np.linspace(-0.5, 0.5, 9)[:, None], 8), RATE, subtype="FLOAT")
    np.testing.assert_allclose(whole(tmp_path / "a.wav"), np.linspace(-0.5, 0.5, 9), atol=1e-7)


def test_channels_in_opposite_phase_cancel(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.stack([tone(0.5), -tone(0.5)], 1), RATE, subtype="FLOAT")
    assert np.abs(whole(tmp_path / "a.wav")).max() == 0


@pytest.mark.parametrize(
    ("content", "expected"), [(b"", "empty"), (b"not audio at all" * 100, "undecodable"), (b"RIFF\0\0", "undecodable")]
)
def test_unusable_files_name_their_reason(tmp_path, content, expected):
    (tmp_path / "a.wav").write_bytes(content)
    error = reason(tmp_path / "a.wav")
    assert error.reason == expected
    assert str(tmp_path) not in error.detail  # rejects are compared between machines


def test_header_without_samples_is_empty(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0, np.float32), RATE)
    assert reason(tmp_path / "a.wav").reason == "empty"


@pytest.mark.parametrize("rate", [1, 999, 768_001, 2_000_000_000])
def test_a_sample_rate_that_no_recording_has_is_a_broken_header(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", tone(0.1), RATE)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[24:28] = rate.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(content)
    error = reason(tmp_path / "a.wav")
    assert error.reason == "undecodable" and f"{rate} Hz" in error.detail


@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT"), ("aiff", "PCM_16"), ("au", "PCM_16")],
)
def test_a_file_that_was_cut_off_still_tells_what_its_header_promised(tmp_path, suffix, subtype):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, np.stack([tone(2.0)] * 2, 1), RATE, subtype=subtype)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3])
    with Recording(path) as recording:
        assert recording.frames == pytest.approx(2 * RATE, abs=10)
        assert sum(map(len, recording.blocks())) == pytest.approx(2 * RATE / 3, abs=10)


@pytest.mark.parametrize("size", [2**32 - 1, 2**31 - 1, 2**31 - 1 - 36, 2**32 - 4096])
def test_a_length_that_was_not_known_when_it_was_written_is_no_promise(tmp_path, size):
    soundfile.write(tmp_path / "a.wav", tone(0.1), RATE)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[40:44] = size.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(content)
    with Recording(tmp_path / "a.wav") as recording:
        assert recording.frames == 2205


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BLOCK_SAMPLES", 1000)
    soundfile.write(tmp_path / "a.wav", tone(0.5), RATE)
    with Recording(tmp_path / "a.wav") as recording, pytest.raises(UndecodableError) as caught:
        for number, _ in enumerate(recording.blocks()):
            if number == 2:
                with (tmp_path / "a.wav").open("ab") as file:
                    file.write(b"\0" * 100)
    assert caught.value.reason == "changed"
    assert len(whole(tmp_path / "a.wav")) == 11025  # the header decides, once nobody writes


def test_what_is_no_regular_file_is_unreadable(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")  # opening it would wait for a writer
    (tmp_path / "gone.wav").symlink_to("nowhere.wav")
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    (tmp_path / "folder.wav").mkdir()
    found = {path.name: reason(path) for path in sorted(tmp_path.iterdir())}
    assert {error.reason for error in found.values()} == {"unreadable"}
    assert {name: error.detail for name, error in found.items()} == {
        "folder.wav": "not a regular file",
        "gone.wav": "No such file or directory",
        "loop.wav": "Too many levels of symbolic links",
        "pipe.wav": "not a regular file",
    }


def test_a_link_to_a_recording_is_read(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(0.5), RATE)
    (tmp_path / "b.wav").symlink_to("a.wav")
    np.testing.assert_array_equal(whole(tmp_path / "b.wav"), whole(tmp_path / "a.wav"))


@pytest.mark.filterwarnings("error")
def test_infinities_that_cancel_are_not_a_number_and_no_warning(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([[np.inf, -np.inf], [3e38, 3e38], [0.5, 0.25]]), RATE, subtype="FLOAT")
    np.testing.assert_array_equal(whole(tmp_path / "a.wav"), np.array([np.nan, 3e38, 0.375], np.float32))


def test_limited_brings_every_sample_into_range_and_leaves_good_ones_alone():
    good = np.array([-1, -0.3, 0, 0.7, 1], np.float32)
    assert limit(good) is good
    bad = np.array([-1.5, -1, 0.25, 3e38, np.nan, np.inf, -np.inf], np.float32)
    np.testing.assert_array_equal(limit(bad), np.array([-1, -1, 0.25, 1, 0, 0, 0], np.float32))
    np.testing.assert_array_equal(limit(np.array([0.5, np.nan], np.float32)), np.array([0.5, 0], np.float32))
