"""Encode pictures as WebP and sounds as FLAC or MP3, in base64, for a page that contains all its files."""

import base64
import hashlib
import io
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import soundfile
from PIL import Image

from pipeline.core.process import cores

WEBP_QUALITY = 65
ANIMATION_QUALITY = 50
LOSSLESS_EFFORT = 20  # compression effort, 0 to 100
# A PNG, or a frame of a GIF, with fewer bytes per pixel consists of lines and text: it is encoded without loss.
LINE_ART_BYTES, LINE_ART_FRAME_BYTES = 0.2, 0.1
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz; MPEG audio has no others
MAX_WEBP_SIDE = 16_383  # pixels; the format's limit
MAX_WIDTH = 1400  # pixels; the page shows pictures at most 1,100 wide


class Picture(NamedTuple):
    """An image as a data URI, and its size in pixels."""

    width: int
    height: int
    uri: str


class Sound(NamedTuple):
    """A sound and its HTML id; `data` gives its base64 when it is encoded."""

    name: str
    media_type: str
    data: Future[str]


class MediaEncoder(AbstractContextManager["MediaEncoder"]):
    """Encodes pictures and sounds in threads on all cores; it keeps equal sounds once."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(cores())
        self.sounds: dict[str, Sound] = {}  # hash of the WAV file -> sound

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def add_sound(self, path: Path, lossless: bool) -> str:
        """Encode a WAV file as FLAC or MP3 and return its name; an equal sound keeps its first format."""
        content = path.read_bytes()
        key = hashlib.sha256(content).hexdigest()
        if key not in self.sounds:
            lossless = lossless or soundfile.info(io.BytesIO(content)).samplerate not in MP3_RATES
            media_type = "audio/flac" if lossless else "audio/mpeg"
            encoded = self._pool.submit(_encode_sound, content, lossless)
            self.sounds[key] = Sound(f"sound-{len(self.sounds)}", media_type, encoded)
        return self.sounds[key].name

    def picture(self, path: Path, last_frame: bool = False) -> Future[Picture]:
        """A PNG, or a GIF with all its frames or only the last one."""
        return self._pool.submit(_encode_picture, path, last_frame)


def _encode_sound(content: bytes, lossless: bool) -> str:
    samples, rate = soundfile.read(io.BytesIO(content), dtype="int16")
    encoded = io.BytesIO()
    if lossless:
        soundfile.write(encoded, samples, rate, format="FLAC", subtype="PCM_16", compression_level=1.0)
    else:
        soundfile.write(encoded, samples, rate, format="MP3", bitrate_mode="VARIABLE", compression_level=0.5)
    return _to_base64(encoded)


def _encode_picture(path: Path, last_frame: bool) -> Picture:
    encoded = io.BytesIO()
    with Image.open(path) as image:
        width, height = image.size
        frames = getattr(image, "n_frames", 1)
        bytes_per_pixel = path.stat().st_size / (frames * image.width * image.height)
        if frames > 1 and not last_frame:
            lossless = bytes_per_pixel < LINE_ART_FRAME_BYTES
            quality = LOSSLESS_EFFORT if lossless else ANIMATION_QUALITY
            image.save(encoded, "WEBP", save_all=True, lossless=lossless, quality=quality, method=2, loop=0)
        else:
            image.seek(frames - 1)
            lossless = frames == 1 and bytes_per_pixel < LINE_ART_BYTES
            quality = LOSSLESS_EFFORT if lossless else WEBP_QUALITY
            picture = image.convert("RGB")
            picture.thumbnail((MAX_WIDTH, MAX_WEBP_SIDE), Image.Resampling.LANCZOS)
            width, height = picture.size
            picture.save(encoded, "WEBP", lossless=lossless, quality=quality, method=2)
    return Picture(width, height, f"data:image/webp;base64,{_to_base64(encoded)}")


def _to_base64(encoded: io.BytesIO) -> str:
    return base64.b64encode(encoded.getvalue()).decode("ascii")
