"""A small labelled folder of recordings for tests."""

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile


def chord(seed: int, seconds: float, rate: int) -> np.ndarray:
    """(samples,) float32: a few decaying notes over quiet noise, so that windows differ."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    audio = 0.01 * rng.standard_normal(len(time))
    for begin in np.arange(0, seconds, 0.5):
        hertz = 55.0 * 2 ** (rng.integers(0, 36) / 12)
        since = np.clip(time - begin, 0, None)
        audio += 0.3 * (time >= begin) * np.exp(-3 * since) * np.sin(2 * np.pi * hertz * since)
    return (0.7 * audio / np.abs(audio).max()).astype(np.float32)


def tone(seconds: float, rate: int = 22050, hertz: float = 440.0) -> np.ndarray:
    """(samples,) float32: a sine of amplitude 0.5."""
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def encode_with_ffmpeg(suffix: str, codec: str, audio: np.ndarray, rate: int, file: Any = None) -> bytes:
    """(samples,) float32 in a format that libsndfile does not write. `file` is written to instead, if it is given."""
    content = io.BytesIO()
    content.name = f"a.{suffix}"
    container_format = {"m4a": "ipod", "wma": "asf", "mka": "matroska"}.get(suffix, suffix)
    with av.open(file or content, "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = "mono"
        stream.bit_rate = 64000
        resampler = av.AudioResampler(stream.format, "mono", rate, stream.frame_size or 1024)
        frame = av.AudioFrame.from_ndarray(audio[None], "fltp", "mono")
        frame.sample_rate, frame.pts = rate, 0
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(stream.encode(part))
    return content.getvalue()


def make_folder(folder: Path, labels: int = 2, tracks: int = 6, seconds: float = 10.0, rate: int = 11025) -> Path:
    """Write `labels` folders of `tracks` WAV files each; every file is a group of its own."""
    for label in range(labels):
        for track in range(tracks):
            path = folder / f"label{label}" / f"track{track}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, chord(100 * label + track, seconds, rate), rate)
    return folder
