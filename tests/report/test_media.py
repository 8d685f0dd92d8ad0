"""Pictures and sounds as the page holds them."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from pipeline.audio.files import write_wav
from pipeline.report.media import Library
from tests.artefacts import music

RATE = 22050


def decoded(uri: str) -> Image.Image:
    kind, _, data = uri.partition(",")
    assert kind == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_what_is_compared_is_kept_without_loss_and_the_rest_is_smaller(tmp_path: Path) -> None:
    for number in (0, 1):
        write_wav(tmp_path / f"{number}.wav", 0.5 * music(number, RATE, 3.0), RATE)
    with Library() as library:
        names = [library.sound(tmp_path / "0.wav", lossless=True), library.sound(tmp_path / "1.wav", lossless=False)]
        flac, mp3 = library.sounds
        sizes = [len(flac.data), len(mp3.data)]  # waits for both
    assert names == [flac.name, mp3.name] and [flac.media, mp3.media] == ["audio/flac", "audio/mpeg"]
    kept, rate = soundfile.read(io.BytesIO(base64.b64decode(flac.data)), dtype="int16")
    true, _ = soundfile.read(tmp_path / "0.wav", dtype="int16")
    assert rate == RATE and np.array_equal(kept, true)
    near, _ = soundfile.read(io.BytesIO(base64.b64decode(mp3.data)), dtype="float32")
    true, _ = soundfile.read(tmp_path / "1.wav", dtype="float32")
    lag = int(np.argmax(np.correlate(near[:8000], true[:4000], "valid")))  # an encoder starts with a pause
    assert np.corrcoef(near[lag : lag + RATE], true[:RATE])[0, 1] > 0.98
    assert sizes[1] < 0.5 * sizes[0]


@pytest.mark.parametrize("rate", [10_000, 96_000])
def test_a_rate_that_mp3_has_not_is_kept_without_loss(tmp_path: Path, rate: int) -> None:
    write_wav(tmp_path / "0.wav", 0.5 * music(0, rate, 0.5), rate)
    with Library() as library:
        library.sound(tmp_path / "0.wav", lossless=False)
        (sound,) = library.sounds
        assert sound.media == "audio/flac"
        assert soundfile.info(io.BytesIO(base64.b64decode(sound.data))).samplerate == rate


def test_equal_sounds_are_kept_once(tmp_path: Path) -> None:
    for name, number in (("a", 0), ("b", 0), ("c", 1)):
        write_wav(tmp_path / f"{name}.wav", 0.5 * music(number, RATE, 0.5), RATE)
    with Library() as library:
        names = [library.sound(tmp_path / f"{name}.wav", lossless=True) for name in "abc"]
        assert names[0] == names[1] != names[2] and len(library.sounds) == 2


def test_a_drawing_keeps_every_pixel_and_a_spectrogram_nearly(tmp_path: Path) -> None:
    drawing = Image.new("RGB", (600, 300), "white")
    drawing.paste((11, 110, 117), (100, 100, 103, 250))
    drawing.save(tmp_path / "curves.png")
    noise = np.random.default_rng(0).uniform(0, 1, (30, 60)).repeat(10, 0).repeat(10, 1)
    noise = np.clip(noise + 0.1 * np.random.default_rng(1).standard_normal(noise.shape), 0, 1)
    Image.fromarray((255 * noise).astype(np.uint8)).save(tmp_path / "levels.png")
    with Library() as library:
        exact, near = library.picture(tmp_path / "curves.png"), library.picture(tmp_path / "levels.png")
        assert np.array_equal(np.asarray(decoded(exact.uri).convert("RGB")), np.asarray(drawing))
        shown = np.asarray(decoded(near.uri).convert("L"), float)
    assert (near.width, near.height) == (600, 300) and np.abs(shown - 255 * noise).mean() < 12


def test_a_wide_picture_is_made_smaller_and_an_animation_keeps_its_frames(tmp_path: Path) -> None:
    Image.new("RGB", (2800, 700), "white").save(tmp_path / "wide.png")
    frames = [Image.new("RGB", (80, 60), colour) for colour in ("red", "green", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:], duration=200)
    with Library() as library:
        wide, moving = library.picture(tmp_path / "wide.png"), library.picture(tmp_path / "moving.gif")
        still = library.still(tmp_path / "moving.gif")
        assert decoded(wide.uri).size == (wide.width, wide.height) == (1400, 350)
        assert getattr(decoded(moving.uri), "n_frames", 1) == 3
        last = decoded(still.uri)
    assert getattr(last, "n_frames", 1) == 1
    assert np.asarray(last.convert("RGB"))[30, 40] == pytest.approx([0, 0, 255], abs=6)
