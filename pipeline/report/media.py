"""Encode pictures as WebP and sounds as FLAC or MP3, in base64, for a page that contains all its files."""

import base64
import hashlib
import io
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import soundfile
from PIL import Image

from pipeline.core.process import cores

WEBP_QUALITY = 65
ANIMATION_QUALITY = 50
LOSSLESS_EFFORT = 20  # of 100
# A PNG, or a frame of a GIF, with fewer bytes per pixel consists of lines and text: it is encoded without loss.
LINE_ART_BYTES, LINE_ART_FRAME_BYTES = 0.2, 0.1
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz; MPEG audio has no others
MAX_WEBP_SIDE = 16_383  # pixels; the format's limit
MAX_WIDTH = 1400  # pixels; the page shows pictures at most 1,100 wide


@dataclass(frozen=True)
class Picture:
    """An image; `uri` waits until it is encoded."""

    width: int
    height: int
    _webp: Future[bytes]

    @property
    def uri(self) -> str:
        """A data URI."""
        return f"data:image/webp;base64,{base64.b64encode(self._webp.result()).decode('ascii')}"


@dataclass(frozen=True)
class Sound:
    """A sound and its HTML id; `data` waits until it is encoded."""

    name: str
    media_type: str
    _content: Future[bytes]

    @property
    def data(self) -> str:
        """Base64."""
        return base64.b64encode(self._content.result()).decode("ascii")


class MediaEncoder:
    """A context manager that encodes pictures and sounds in threads on all cores; it keeps equal sounds once."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(cores())
        self._sounds: dict[str, Sound] = {}

    def __enter__(self) -> "MediaEncoder":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    @property
    def sounds(self) -> list[Sound]:
        """Every sound that was added."""
        return list(self._sounds.values())

    def add_sound(self, path: Path, lossless: bool) -> str:
        """Encode a WAV file and return its name. MP3 has a fifth of the size of FLAC, but does not know all rates.

        An equal sound keeps the format in which it was added first.
        """
        content = path.read_bytes()
        key = hashlib.sha256(content).hexdigest()
        if key not in self._sounds:
            lossless = lossless or soundfile.info(io.BytesIO(content)).samplerate not in MP3_RATES
            media_type = "audio/flac" if lossless else "audio/mpeg"
            encoded = self._pool.submit(_encode_sound, content, lossless)
            self._sounds[key] = Sound(f"sound-{len(self._sounds)}", media_type, encoded)
        return self._sounds[key].name

    def picture(self, path: Path) -> Picture:
        """A PNG, or a GIF with all its frames."""
        with Image.open(path) as image:
            width, height = image.size
        scale = min(1.0, MAX_WIDTH / width, MAX_WEBP_SIDE / height)
        size = round(width * scale), round(height * scale)
        return Picture(*size, self._pool.submit(_encode_picture, path, size))

    def last_frame(self, path: Path) -> Picture:
        """The last frame of a GIF."""
        with Image.open(path) as image:
            size = image.size
        return Picture(*size, self._pool.submit(_encode_picture, path, size, last_frame=True))


def _encode_sound(content: bytes, lossless: bool) -> bytes:
    samples, rate = soundfile.read(io.BytesIO(content), dtype="int16")
    encoded = io.BytesIO()
    if lossless:
        soundfile.write(encoded, samples, rate, format="FLAC", subtype="PCM_16", compression_level=1.0)
    else:
        soundfile.write(encoded, samples, rate, format="MP3", bitrate_mode="VARIABLE", compression_level=0.5)
    return encoded.getvalue()


def _encode_picture(path: Path, size: tuple[int, int], last_frame: bool = False) -> bytes:
    encoded = io.BytesIO()
    with Image.open(path) as image:
        frames = getattr(image, "n_frames", 1)
        bytes_per_pixel = path.stat().st_size / (frames * image.width * image.height)
        if frames > 1 and not last_frame:
            lossless = bytes_per_pixel < LINE_ART_FRAME_BYTES
            quality = LOSSLESS_EFFORT if lossless else ANIMATION_QUALITY
            image.save(encoded, "WEBP", save_all=True, lossless=lossless, quality=quality, method=2, loop=0)
            return encoded.getvalue()
        image.seek(frames - 1)
        picture = image.convert("RGB")
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    lossless = frames == 1 and bytes_per_pixel < LINE_ART_BYTES
    picture.save(encoded, "WEBP", lossless=lossless, quality=LOSSLESS_EFFORT if lossless else WEBP_QUALITY, method=2)
    return encoded.getvalue()
