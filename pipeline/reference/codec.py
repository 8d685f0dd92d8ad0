"""Rows of lossy codecs at constant bit rates, by FFmpeg's libraries (PyAV)."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np

from pipeline.audio.cut import pad
from pipeline.audio.resample import resample
from pipeline.core.process import cores
from pipeline.metrics.config import EvaluateConfig
from pipeline.reference.common_scores import score_audio
from pipeline.reference.config import CodecName
from pipeline.reference.read import Reference
from pipeline.reference.row import write_clips, write_row

# Opus without its speech modes, which it would choose for some music at low rates, and which have a delay.
ENCODERS = {
    "opus": ("libopus", "ogg", "flt", {"vbr": "off", "application": "lowdelay"}),
    "mp3": ("libmp3lame", "mp3", "fltp", {}),
}
RATES = {"opus": (48000,), "mp3": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)}  # Hz


def through_codec(audio: np.ndarray, rate: int, codec: CodecName, kbps: int) -> tuple[np.ndarray, float]:
    """Encode and decode (samples,) float32 at `rate` Hz.

    The codec works at the lowest of its `RATES` that is not below `rate`, else at its highest. MP3 takes the bit rate
    nearest to `kbps` that it has.

    Returns:
        (samples,) float32, without the codec's delay; and the bit rate in kbit/s of its packets, without the container.
    """
    encoder, container, sample_format, options = ENCODERS[codec]
    codec_rate = next((r for r in RATES[codec] if r >= rate), RATES[codec][-1])
    file, size = io.BytesIO(), 0
    with av.open(file, "w", format=container) as output:
        stream: Any = output.add_stream(encoder, rate=codec_rate, layout="mono", options=options)
        stream.bit_rate = 1000 * kbps
        samples = np.ascontiguousarray(resample(audio, rate, codec_rate)[None])
        frame = av.AudioFrame.from_ndarray(samples, format=sample_format, layout="mono")
        frame.sample_rate, frame.pts = codec_rate, 0
        for part in (frame, None):
            for packet in stream.encode(part):
                size += packet.size
                output.mux(packet)
    file.seek(0)
    with av.open(file, "r") as encoded:
        decoded = np.concatenate([frame.to_ndarray().reshape(-1) for frame in encoded.decode(audio=0)])
    result = resample(decoded.astype(np.float32), codec_rate, rate)[: len(audio)]
    return pad(result, len(audio)), 8 * size / (len(audio) / rate) / 1000


def write_codec(out: Path, reference: Reference, settings: EvaluateConfig, codec: CodecName, kbps: int) -> None:
    """Score a codec on the windows with audio; write the files of `write_row` and its clips into `out`."""
    rate = reference.mel_config.sample_rate
    with ThreadPoolExecutor(cores()) as executor:
        coded = list(executor.map(lambda audio: through_codec(audio, rate, codec, kbps), reference.audio))
    audio = np.stack([samples for samples, _ in coded])
    windows = score_audio(audio, reference, settings)
    write_row(out, reference, windows, audio, settings, kbps=float(np.mean([bit_rate for _, bit_rate in coded])))
    write_clips(out, reference, audio)
