"""Pictures and sounds as the page holds them: WebP and FLAC or MP3 in base64, each sound once."""

import base64
import hashlib
import io
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import soundfile
from PIL import Image

from pipeline.core.process import cores

QUALITY = 65  # of a spectrogram's WebP
# Bytes per pixel of a PNG, and of a frame of a GIF, below which it is of lines and text, and is kept exactly.
PLAIN, PLAIN_FRAME = 0.2, 0.1
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz; MPEG audio knows no others
HIGHEST = 16_383  # pixels; WebP knows no more
WIDEST = 1400  # pixels; the page shows pictures at most 1,100 wide


@dataclass(frozen=True)
class Picture:
    """An image that is being encoded; `uri` waits for it."""

    width: int
    height: int
    _encoded: Future[bytes]

    @property
    def uri(self) -> str:
        """A data URI."""
        return f"data:image/webp;base64,{base64.b64encode(self._encoded.result()).decode('ascii')}"


@dataclass(frozen=True)
class Sound:
    """A sound that is being encoded under a name that equal sounds share."""

    name: str
    media: str
    _encoded: Future[bytes]

    @property
    def data(self) -> str:
        """Base64."""
        return base64.b64encode(self._encoded.result()).decode("ascii")


class Library:
    """Encodes what a page asks for, on all cores, and hands the sounds out once. A context manager."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(cores())
        self._sounds: dict[str, Sound] = {}

    def __enter__(self) -> "Library":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    @property
    def sounds(self) -> list[Sound]:
        """Every sound that was asked for."""
        return list(self._sounds.values())

    def sound(self, path: Path, lossless: bool) -> str:
        """The name of a WAV file's sound: FLAC, or MP3 of a fifth of the size; an equal one may be there as the other.

        At a rate that MP3 has not, it is FLAC too.

        Raises:
            OSError: the file cannot be read.
        """
        content = path.read_bytes()
        key = hashlib.sha256(content).hexdigest()
        if key not in self._sounds:
            lossless = lossless or soundfile.info(io.BytesIO(content)).samplerate not in MP3_RATES
            media = "audio/flac" if lossless else "audio/mpeg"
            name = f"sound-{len(self._sounds)}"
            self._sounds[key] = Sound(name, media, self._pool.submit(_sound, content, lossless))
        return self._sounds[key].name

    def picture(self, path: Path) -> Picture:
        """A PNG or a GIF, whose frames stay.

        Raises:
            OSError: the file is not an image.
        """
        with Image.open(path) as image:
            width, height = image.size
        scale = min(1.0, WIDEST / width, HIGHEST / height)
        size = round(width * scale), round(height * scale)
        return Picture(*size, self._pool.submit(_webp, path, size))

    def still(self, path: Path) -> Picture:
        """The last frame of a GIF."""
        with Image.open(path) as image:
            size = image.size
        return Picture(*size, self._pool.submit(_webp, path, size, last=True))


def _sound(content: bytes, lossless: bool) -> bytes:
    samples, rate = soundfile.read(io.BytesIO(content), dtype="int16")
    written = io.BytesIO()
    if lossless:
        soundfile.write(written, samples, rate, format="FLAC", subtype="PCM_16", compression_level=1.0)
    else:
        soundfile.write(written, samples, rate, format="MP3", bitrate_mode="VARIABLE", compression_level=0.5)
    return written.getvalue()


def _webp(path: Path, size: tuple[int, int], last: bool = False) -> bytes:
    written = io.BytesIO()
    with Image.open(path) as image:
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and not last:
            lossless = path.stat().st_size < PLAIN_FRAME * frames * image.width * image.height
            quality = 20 if lossless else QUALITY - 15  # of a lossless one: how hard it is tried
            image.save(written, "WEBP", save_all=True, lossless=lossless, quality=quality, method=2, loop=0)
            return written.getvalue()
        image.seek(frames - 1)
        picture = image.convert("RGB")
        width, height = image.size
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    if path.stat().st_size < PLAIN * width * height and frames == 1:
        picture.save(written, "WEBP", lossless=True, quality=20, method=2)
    else:
        picture.save(written, "WEBP", quality=QUALITY, method=2)
    return written.getvalue()
