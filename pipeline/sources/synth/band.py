"""Rendering: a band plays a score; reverb, equaliser and mastering make the recording."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from pipeline.sources.synth.instruments import DRUMS, INSTRUMENTS, Audio, Drum, Instrument, render_note, render_stroke
from pipeline.sources.synth.score import Score
from pipeline.sources.synth.styles import Style

GAINS = {"lead": 0.16, "chords": 0.075, "bass": 0.16, "drums": 0.6}
MAX_AMPLITUDE = 0.95
FADE_SECONDS = 0.01  # fade at both ends
VARIATION_DB = 1.5  # largest variation of balance and equaliser between bands


@dataclass(frozen=True)
class Band:
    """The instruments and the studio of a group's clips."""

    instruments: dict[str, Instrument]  # part -> its instrument
    drums: dict[str, Drum]
    gains: dict[str, float]
    equaliser: tuple[float, ...]  # dB, as in Style
    reverb: float  # gain relative to the direct sound
    reverb_decay: float  # seconds to 1 / e
    hiss: float  # gain of the background noise


def draw_band(style: Style, instruments: dict[str, str], rng: Generator) -> Band:
    """A band of a style; its instruments differ a little between bands."""

    def vary(value: float, octaves: float) -> float:
        return float(value * 2 ** rng.uniform(-octaves, octaves))

    def vary_db(decibels: float) -> float:
        return decibels + float(rng.uniform(-VARIATION_DB, VARIATION_DB))

    def vary_instrument(instrument: Instrument) -> Instrument:
        return replace(
            instrument,
            attack=vary(instrument.attack, 0.3),
            decay=vary(instrument.decay, 0.3),
            slope=instrument.slope + float(rng.uniform(-0.15, 0.15)),
            brightness=vary(instrument.brightness, 0.4),
            formant=(vary(instrument.formant[0], 0.2), instrument.formant[1]),
        )

    def vary_drum(drum: Drum) -> Drum:
        return replace(
            drum, tone=vary(drum.tone, 0.25), tone_decay=vary(drum.tone_decay, 0.4),
            noise_decay=vary(drum.noise_decay, 0.4), gain=vary(drum.gain, 0.4),
        )  # fmt: skip

    return Band(
        instruments={part: vary_instrument(INSTRUMENTS[name]) for part, name in instruments.items()},
        drums={name: vary_drum(drum) for name, drum in DRUMS.items()},
        gains={
            part: gain * 10 ** (vary_db(decibels) / 20)
            for (part, gain), decibels in zip(GAINS.items(), style.balance, strict=True)
        },
        equaliser=tuple(vary_db(decibels) for decibels in style.equaliser),
        reverb=vary(style.reverb, 0.5),
        reverb_decay=vary(0.15, 0.7),
        hiss=vary(0.001, 0.7),
    )


def perform(score: Score, band: Band, rng: Generator, samples: int, sample_rate: int) -> Audio:
    """Render a score to (samples,) float32, mono, within [-0.95, 0.95]; `rng` gives noise and loudness.

    Notes that end after `samples` are cut and faded out.
    """
    noise = rng.standard_normal(samples + sample_rate, dtype=np.float32)
    parts = {part: np.zeros(samples, dtype=np.float32) for part in GAINS}
    notes: dict[tuple[str, int, int], Audio] = {}  # a cache, since notes repeat
    for part, start, seconds, pitch, velocity in score.notes:
        key = part, pitch, round(100 * min(seconds, samples / sample_rate))
        if key not in notes:
            notes[key] = render_note(band.instruments[part], pitch, key[2] / 100, sample_rate, noise)
        _mix(parts[part], notes[key], round(start * sample_rate), velocity)
    strokes: dict[str, Audio] = {}
    for drum, start, velocity in score.strokes:
        if drum not in strokes:
            strokes[drum] = render_stroke(band.drums[drum], sample_rate, rng)
        _mix(parts["drums"], strokes[drum], round(start * sample_rate), velocity)
    for part, instrument in band.instruments.items():
        if instrument.distortion:
            parts[part] = np.tanh(np.float32(instrument.distortion) * parts[part])
    dry = np.float32(band.hiss) * noise[:samples]
    for part, audio in parts.items():
        dry += np.float32(band.gains[part]) * audio
    return _master(_reverberate(dry, band, rng, sample_rate), rng, sample_rate)


def _mix(track: Audio, audio: Audio, start: int, gain: float) -> None:
    """Add `audio` to a track in place, up to the end of the track."""
    length = max(0, min(len(audio), len(track) - start))
    track[start : start + length] += np.float32(gain) * audio[:length]


def _reverberate(dry: Audio, band: Band, rng: Generator, sample_rate: int) -> Audio:
    """Reverb (exponentially decaying noise above 150 Hz) and equaliser, as one filter."""
    echo = rng.standard_normal(round(5 * band.reverb_decay * sample_rate))
    echo *= np.exp(-np.arange(len(echo)) / (band.reverb_decay * sample_rate))
    echo /= np.sqrt(np.sum(echo**2))
    size = 1 << (len(dry) + len(echo) - 1).bit_length()
    hertz = np.fft.rfftfreq(size, 1 / sample_rate)
    response = 1 + band.reverb * np.fft.rfft(echo, size) * (hertz > 150)
    position = np.log2(np.maximum(hertz, 40) / 40) / 8  # 0 at 40 Hz, 1 at 10 kHz
    waves = -np.cos(np.pi * np.outer(np.arange(1, len(band.equaliser) + 1), np.minimum(position, 1)))
    response *= 10 ** (np.asarray(band.equaliser) @ waves / 20) * (hertz > 20)
    wet: Audio = np.fft.irfft(np.fft.rfft(dry, size) * response, size)[: len(dry)].astype(np.float32)
    return wet


def _master(audio: Audio, rng: Generator, sample_rate: int) -> Audio:
    """Set a random loudness, limit the peak to MAX_AMPLITUDE, and fade in and out."""
    target_rms = 10 ** (rng.uniform(-24, -16) / 20)
    rms, peak = float(np.sqrt(np.mean(audio**2))), float(np.abs(audio).max())
    audio *= np.float32(min(target_rms / rms, MAX_AMPLITUDE / peak))
    fade = min(len(audio) // 2, round(FADE_SECONDS * sample_rate))
    ramp = np.linspace(0, 1, fade, endpoint=False, dtype=np.float32)
    audio[:fade] *= ramp
    audio[len(audio) - fade :] *= ramp[::-1]
    return np.clip(audio, -MAX_AMPLITUDE, MAX_AMPLITUDE)
