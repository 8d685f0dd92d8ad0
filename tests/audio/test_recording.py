"""Decoding block by block, what is missing of a recording, and the reasons for which a file cannot be decoded."""

import os

import numpy as np
import pytest
import soundfile

from pipeline.audio import recording as module
from pipeline.audio.recording import Recording, UndecodableError
from pipeline.audio.scale import limit
from tests.recordings import tone

RATE = 22050


def decode(path) -> np.ndarray:
    with Recording(path) as recording:
        return np.concatenate(list(recording.blocks()))


def decode_error(path) -> UndecodableError:
    with pytest.raises(UndecodableError) as caught:
        decode(path)
    return caught.value


def write_wav_header(path, start: int, value: int) -> None:
    """Write 2205 samples as a WAV with four other bytes in its header."""
    soundfile.write(path, tone(0.1), RATE)
    content = bytearray(path.read_bytes())
    content[start : start + 4] = value.to_bytes(4, "little")
    path.write_bytes(content)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff", "au"])
def test_every_format_decodes_to_the_same_tone(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, tone(1.0), RATE)
    with Recording(path) as recording:
        assert recording.rate == RATE
        audio = np.concatenate(list(recording.blocks()))
        assert len(audio) == recording.samples and recording.missing is None
        assert recording.seconds == pytest.approx(1.0, abs=0.15)
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
def test_blocks_hold_all_samples_of_the_file(tmp_path, monkeypatch, channels, suffix, subtype):
    monkeypatch.setattr(module, "BLOCK_SAMPLES", 1000)
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, np.random.default_rng(0).uniform(-1, 1, (12_345, channels)), RATE, subtype=subtype)
    expected = soundfile.read(path, dtype="float32", always_2d=True)[0]
    with Recording(path) as recording:
        blocks = list(recording.blocks())
    assert {len(block) for block in blocks[:-1]} == {1000 // channels} and 0 < len(blocks[-1]) <= 1000 // channels
    audio = np.concatenate(blocks)
    assert len(audio) == 12_345
    if channels == 1:
        np.testing.assert_array_equal(audio, expected[:, 0])
    np.testing.assert_allclose(audio, expected.astype(np.float64).mean(axis=1), atol=1e-7)


def test_more_channels_than_samples_per_block(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_SAMPLES", 4)
    soundfile.write(tmp_path / "a.wav", np.tile(np.linspace(-0.5, 0.5, 9)[:, None], 8), RATE, subtype="FLOAT")
    np.testing.assert_allclose(decode(tmp_path / "a.wav"), np.linspace(-0.5, 0.5, 9), atol=1e-7)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty"), (None, "empty"), (b"not audio at all" * 100, "undecodable"), (b"RIFF\0\0", "undecodable")],
)
def test_the_error_has_a_reason_but_no_path(tmp_path, content, reason):
    if content is None:
        soundfile.write(tmp_path / "a.wav", np.zeros(0, np.float32), RATE)
    else:
        (tmp_path / "a.wav").write_bytes(content)
    error = decode_error(tmp_path / "a.wav")
    assert error.reason == reason
    assert str(tmp_path) not in error.detail  # rejects are compared between machines


@pytest.mark.parametrize("rate", [1, 999, 768_001, 2_000_000_000])
def test_an_impossible_sample_rate_is_a_broken_header(tmp_path, rate):
    write_wav_header(tmp_path / "a.wav", 24, rate)
    error = decode_error(tmp_path / "a.wav")
    assert error.reason == "undecodable" and f"{rate} Hz" in error.detail


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_SAMPLES", 1000)
    soundfile.write(tmp_path / "a.wav", tone(0.5), RATE)
    with Recording(tmp_path / "a.wav") as recording, pytest.raises(UndecodableError) as caught:
        for number, _ in enumerate(recording.blocks()):
            if number == 2:
                with (tmp_path / "a.wav").open("ab") as file:
                    file.write(b"\0" * 100)
    assert caught.value.reason == "changed"
    assert len(decode(tmp_path / "a.wav")) == 11025  # complete again: bytes after the samples do not count


def test_pipes_folders_and_broken_links_are_unreadable(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")  # opening it would wait for a writer
    (tmp_path / "gone.wav").symlink_to("nowhere.wav")
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    (tmp_path / "folder.wav").mkdir()
    assert {path.name: str(decode_error(path)) for path in tmp_path.iterdir()} == {
        "folder.wav": "unreadable: not a regular file",
        "gone.wav": "unreadable: No such file or directory",
        "loop.wav": "unreadable: Too many levels of symbolic links",
        "pipe.wav": "unreadable: not a regular file",
    }


def test_a_link_to_a_recording_is_read(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(0.5), RATE)
    (tmp_path / "b.wav").symlink_to("a.wav")
    np.testing.assert_array_equal(decode(tmp_path / "b.wav"), decode(tmp_path / "a.wav"))


@pytest.mark.filterwarnings("error")
def test_channels_are_averaged_and_opposite_infinities_are_nan_without_a_warning(tmp_path):
    frames = np.array([[np.inf, -np.inf], [3e38, 3e38], [0.5, 0.25], [0.5, -0.5]])
    soundfile.write(tmp_path / "a.wav", frames, RATE, subtype="FLOAT")
    np.testing.assert_array_equal(decode(tmp_path / "a.wav"), np.array([np.nan, 3e38, 0.375, 0], np.float32))


def test_limit_clips_samples_and_returns_a_good_block_itself():
    good = np.array([-1, -0.3, 0, 0.7, 1], np.float32)
    assert limit(good) is good
    bad = np.array([-1.5, -1, 0.25, 3e38, np.nan, np.inf, -np.inf], np.float32)
    np.testing.assert_array_equal(limit(bad), np.array([-1, -1, 0.25, 1, 0, 0, 0], np.float32))
    np.testing.assert_array_equal(limit(np.array([0.5, np.nan], np.float32)), np.array([0.5, 0], np.float32))
