"""Decoding and resampling."""

import numpy as np
import pytest
import soundfile

from pipeline.audio.decode import UndecodableError, cut, decode, resample

RATE = 22050


def tone(seconds: float, rate: int = RATE, hertz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff", "au"])
def test_every_format_decodes_to_the_same_tone(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, tone(1.0), RATE)
    audio, rate = decode(path)
    spectrum = np.abs(np.fft.rfft(audio[:RATE]))
    assert rate == RATE and audio.dtype == np.float32
    assert abs(len(audio) - RATE) < 2500  # mp3 pads
    assert abs(int(spectrum.argmax()) - 440) <= 2


def test_channels_are_averaged(tmp_path):
    left, right = tone(0.5), tone(0.5, hertz=880)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], 1), RATE, subtype="FLOAT")
    audio, _ = decode(tmp_path / "a.wav")
    np.testing.assert_allclose(audio, (left + right) / 2, atol=1e-7)


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "empty"), (b"not audio at all" * 100, "undecodable"), (b"RIFF\0\0", "undecodable")]
)
def test_unusable_files_name_their_reason(tmp_path, content, reason):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(UndecodableError) as caught:
        decode(tmp_path / "a.wav")
    assert caught.value.reason == reason
    assert str(tmp_path) not in caught.value.detail  # rejects are compared between machines


def test_header_without_samples_is_empty(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0, np.float32), RATE)
    with pytest.raises(UndecodableError) as caught:
        decode(tmp_path / "a.wav")
    assert caught.value.reason == "empty"


def test_missing_file_is_undecodable(tmp_path):
    with pytest.raises(UndecodableError):
        decode(tmp_path / "gone.wav")


@pytest.mark.parametrize(
    ("rate", "target"), [(44100, 22050), (22050, 3000), (8000, 22050), (48000, 3000), (22050, 22050)]
)
def test_resampling_gives_the_exact_length_and_keeps_a_tone(rate, target):
    audio = resample(tone(2.0, rate), rate, target)
    assert len(audio) == 2 * target
    expected = tone(2.0, target)
    middle = slice(target // 2, -target // 2)  # a filter rings at the ends
    assert np.abs(audio[middle] - expected[middle]).max() < 2e-3


def test_resampling_does_not_alias():
    audio = resample(tone(2.0, hertz=2500), RATE, 3000)  # above the new Nyquist of 1,500 Hz
    assert np.abs(audio[300:-300]).max() < 1e-3


def test_one_bad_sample_does_not_spread():
    audio = tone(1.0)
    audio[5000] = np.nan
    result = resample(audio, RATE, 3000)
    assert np.isfinite(result).all()


def test_cut_pads_after_the_end():
    np.testing.assert_array_equal(cut(np.ones(5, np.float32), 3, 4), [1, 1, 0, 0])
    np.testing.assert_array_equal(cut(np.arange(5, dtype=np.float32), 1, 2), [1, 2])
