"""Encoded pictures and sounds."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from pipeline.audio.wav import write_wav
from pipeline.report.media import MediaEncoder
from tests.artefacts import music

RATE = 22050


def decoded(uri: str) -> Image.Image:
    header, _, data = uri.partition(",")
    assert header == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_flac_is_lossless_and_mp3_is_small(tmp_path: Path) -> None:
    for number in (0, 1):
        write_wav(tmp_path / f"{number}.wav", 0.5 * music(number, RATE, 3.0), RATE)
    with MediaEncoder() as encoder:
        names = [encoder.add_sound(tmp_path / f"{n}.wav", lossless) for n, lossless in enumerate((True, False))]
        flac, mp3 = encoder.sounds.values()
        assert len(mp3.data.result()) < 0.5 * len(flac.data.result())
    assert names == [flac.name, mp3.name] and [flac.media_type, mp3.media_type] == ["audio/flac", "audio/mpeg"]
    exact, rate = soundfile.read(io.BytesIO(base64.b64decode(flac.data.result())), dtype="int16")
    original, _ = soundfile.read(tmp_path / "0.wav", dtype="int16")
    assert rate == RATE and np.array_equal(exact, original)
    close, _ = soundfile.read(io.BytesIO(base64.b64decode(mp3.data.result())), dtype="float32")
    original, _ = soundfile.read(tmp_path / "1.wav", dtype="float32")
    lag = int(np.argmax(np.correlate(close[:8000], original[:4000], "valid")))  # an MP3 starts with silence
    assert np.corrcoef(close[lag : lag + RATE], original[:RATE])[0, 1] > 0.98


@pytest.mark.parametrize("rate", [10_000, 96_000])
def test_a_rate_that_mp3_lacks_becomes_flac(tmp_path: Path, rate: int) -> None:
    write_wav(tmp_path / "0.wav", 0.5 * music(0, rate, 0.5), rate)
    with MediaEncoder() as encoder:
        encoder.add_sound(tmp_path / "0.wav", lossless=False)
        (sound,) = encoder.sounds.values()
        assert sound.media_type == "audio/flac"
        assert soundfile.info(io.BytesIO(base64.b64decode(sound.data.result()))).samplerate == rate


def test_line_art_is_exact_and_a_spectrogram_is_close(tmp_path: Path) -> None:
    drawing = Image.new("RGB", (600, 300), "white")
    drawing.paste((11, 110, 117), (100, 100, 103, 250))
    drawing.save(tmp_path / "curves.png")
    noise = np.random.default_rng(0).uniform(0, 1, (30, 60)).repeat(10, 0).repeat(10, 1)
    noise = np.clip(noise + 0.1 * np.random.default_rng(1).standard_normal(noise.shape), 0, 1)
    Image.fromarray((255 * noise).astype(np.uint8)).save(tmp_path / "spectrogram.png")
    with MediaEncoder() as encoder:
        exact, close = (encoder.picture(tmp_path / f"{name}.png").result() for name in ("curves", "spectrogram"))
    assert np.array_equal(np.asarray(decoded(exact.uri).convert("RGB")), np.asarray(drawing))
    pixels = np.asarray(decoded(close.uri).convert("L"), float)
    assert (close.width, close.height) == (600, 300) and np.abs(pixels - 255 * noise).mean() < 12


def test_a_wide_picture_shrinks_and_an_animation_keeps_its_frames(tmp_path: Path) -> None:
    Image.new("RGB", (2800, 700), "white").save(tmp_path / "wide.png")
    frames = [Image.new("RGB", (80, 60), colour) for colour in ("red", "green", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:], duration=200)
    with MediaEncoder() as encoder:
        wide, animation = (encoder.picture(tmp_path / name).result() for name in ("wide.png", "moving.gif"))
        last = decoded(encoder.picture(tmp_path / "moving.gif", last_frame=True).result().uri)
    assert decoded(wide.uri).size == (wide.width, wide.height) == (1400, 350)
    assert getattr(decoded(animation.uri), "n_frames", 1) == 3
    assert getattr(last, "n_frames", 1) == 1
    assert np.asarray(last.convert("RGB"))[30, 40] == pytest.approx([0, 0, 255], abs=6)
