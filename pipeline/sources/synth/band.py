"""Rendering: a score, played by a band in a room and mastered, becomes a waveform."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from pipeline.sources.synth.instruments import DRUMS, INSTRUMENTS, Audio, Drum, Instrument, note, stroke
from pipeline.sources.synth.score import Score
from pipeline.sources.synth.styles import Style

LEVELS = {"lead": 0.16, "chords": 0.075, "bass": 0.16, "drums": 0.6}
PEAK = 0.95
FADE = 0.01  # seconds at either end
SPREAD = 1.5  # dB: how far the balance and the tone colour of recordings lie apart


@dataclass(frozen=True)
class Band:
    """How a group's recordings sound, whatever is played."""

    instruments: dict[str, Instrument]  # part -> its player's own version of an instrument
    drums: dict[str, Drum]
    levels: dict[str, float]
    colour: tuple[float, ...]  # dB: weights of slow waves over log frequency, as in Style
    room: float  # reverberation, level beside the direct sound
    decay: float  # of the room, seconds to 1 / e
    hiss: float  # level of the background


def hire(style: Style, names: dict[str, str], rng: Generator) -> Band:
    """A band for a style, its parts on the named instruments, each a little different from another band's."""

    def near(value: float, octaves: float) -> float:
        return float(value * 2 ** rng.uniform(-octaves, octaves))

    def around(decibels: float) -> float:
        return decibels + float(rng.uniform(-SPREAD, SPREAD))

    def own(instrument: Instrument) -> Instrument:
        return replace(
            instrument,
            attack=near(instrument.attack, 0.3),
            decay=near(instrument.decay, 0.3),
            slope=instrument.slope + float(rng.uniform(-0.15, 0.15)),
            bite=near(instrument.bite, 0.4),
            formant=(near(instrument.formant[0], 0.2), instrument.formant[1]),
        )

    def tuned(drum: Drum) -> Drum:
        return replace(
            drum, tone=near(drum.tone, 0.25), tone_decay=near(drum.tone_decay, 0.4),
            noise_decay=near(drum.noise_decay, 0.4), level=near(drum.level, 0.4),
        )  # fmt: skip

    return Band(
        instruments={part: own(INSTRUMENTS[name]) for part, name in names.items()},
        drums={name: tuned(drum) for name, drum in DRUMS.items()},
        levels={
            part: level * 10 ** (around(decibels) / 20)
            for (part, level), decibels in zip(LEVELS.items(), style.balance, strict=True)
        },
        colour=tuple(around(decibels) for decibels in style.colour),
        room=near(style.room, 0.5),
        decay=near(0.15, 0.7),
        hiss=near(0.001, 0.7),
    )


def perform(score: Score, band: Band, rng: Generator, samples: int, sample_rate: int) -> Audio:
    """The score as audio.

    Args:
        rng: the clip's own; what is drawn from it is noise and loudness.
        samples: length of the result; notes that outlast it are cut and faded.

    Returns:
        (samples,) float32, mono, within [-0.95, 0.95].
    """
    noise = rng.standard_normal(samples + sample_rate, dtype=np.float32)
    parts = {part: np.zeros(samples, dtype=np.float32) for part in LEVELS}
    sounds: dict[tuple[str, int, int], Audio] = {}  # notes repeat, so that most are read from here
    for part, start, seconds, pitch, velocity in score.notes:
        key = part, pitch, round(100 * min(seconds, samples / sample_rate))
        if key not in sounds:
            sounds[key] = note(band.instruments[part], pitch, key[2] / 100, sample_rate, noise)
        _add(parts[part], sounds[key], round(start * sample_rate), velocity)
    strokes: dict[str, Audio] = {}
    for drum, start, velocity in score.hits:
        if drum not in strokes:
            strokes[drum] = stroke(band.drums[drum], sample_rate, rng)
        _add(parts["drums"], strokes[drum], round(start * sample_rate), velocity)
    for part, instrument in band.instruments.items():
        if instrument.drive:
            parts[part] = np.tanh(np.float32(instrument.drive) * parts[part])
    dry = np.float32(band.hiss) * noise[:samples]
    for part, audio in parts.items():
        dry += np.float32(band.levels[part]) * audio
    return _master(_room(dry, band, rng, sample_rate), rng, sample_rate)


def _add(track: Audio, sound: Audio, start: int, gain: float) -> None:
    """Mix a sound into a track in place, as far as the track goes."""
    room = max(0, min(len(sound), len(track) - start))
    track[start : start + room] += np.float32(gain) * sound[:room]


def _room(dry: Audio, band: Band, rng: Generator, sample_rate: int) -> Audio:
    """Reverberation (exponentially decaying noise above 150 Hz) and tone colour, in one filter."""
    echo = rng.standard_normal(round(5 * band.decay * sample_rate))
    echo *= np.exp(-np.arange(len(echo)) / (band.decay * sample_rate))
    echo /= np.sqrt(np.sum(echo**2))
    size = 1 << (len(dry) + len(echo) - 1).bit_length()
    bins = np.fft.rfftfreq(size, 1 / sample_rate)
    reply = 1 + band.room * np.fft.rfft(echo, size) * (bins > 150)
    octaves = np.log2(np.maximum(bins, 40) / 40) / 8  # 0 at 40 Hz, 1 at 10 kHz
    waves = -np.cos(np.pi * np.outer(np.arange(1, len(band.colour) + 1), np.minimum(octaves, 1)))
    reply *= 10 ** (np.asarray(band.colour) @ waves / 20) * (bins > 20)
    wet: Audio = np.fft.irfft(np.fft.rfft(dry, size) * reply, size)[: len(dry)].astype(np.float32)
    return wet


def _master(audio: Audio, rng: Generator, sample_rate: int) -> Audio:
    """Loudness as recordings differ in it, no peak above `PEAK`, and a fade at either end."""
    wanted = 10 ** (rng.uniform(-24, -16) / 20)
    rms, peak = float(np.sqrt(np.mean(audio**2))), float(np.abs(audio).max())
    audio *= np.float32(min(wanted / rms, PEAK / peak))
    fade = min(len(audio) // 2, round(FADE * sample_rate))
    ramp = np.linspace(0, 1, fade, endpoint=False, dtype=np.float32)
    audio[:fade] *= ramp
    audio[len(audio) - fade :] *= ramp[::-1]
    return np.clip(audio, -PEAK, PEAK)
