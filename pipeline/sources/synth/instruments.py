"""Instruments and drums: a table of their sounds, and the sound of one note or stroke.

A note reads two single-cycle waves of band-limited partials, a bright one that dies soon and a dark one that stays.
Phases are 32-bit integers, which wrap by themselves and stay exact however long a note is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Audio = NDArray[np.float32]  # mono, (samples,)

CYCLE_BITS = 14
PARTIALS = 160


@dataclass(frozen=True)
class Instrument:
    """A pitched sound. Amplitudes of partials fall as 1 / k ** slope."""

    attack: float  # seconds to full level
    decay: float  # seconds in which a note at 220 Hz falls to 1 / e
    sustain: float  # level at which the fall ends, 0 for struck and plucked
    release: float  # seconds from the note's end to silence
    slope: float
    cut: float  # Hz above which they fall by 24 dB per octave more, in the dark wave; 3 times that in the bright one
    bite: float  # level of the bright wave
    even: float = 1.0  # level of the even partials
    formant: tuple[float, float] = (1000.0, 0.0)  # Hz and gain of a resonance half an octave wide
    vibrato: float = 0.0  # cents
    detune: float = 0.0  # cents between two voices; 0 is one voice
    breath: float = 0.0  # level of noise
    drive: float = 0.0  # distortion of the whole part


INSTRUMENTS = {
    # attack, decay, sustain, release, slope, cut, bite
    "piano": Instrument(0.004, 0.9, 0.0, 0.15, 1.7, 1500, 0.6),
    "epiano": Instrument(0.004, 1.1, 0.05, 0.2, 2.2, 1200, 0.4, formant=(900, 0.8), detune=4),
    "guitar": Instrument(0.003, 0.6, 0.0, 0.1, 1.4, 1800, 0.9, formant=(450, 1.0)),
    "overdriven": Instrument(0.004, 2.5, 0.4, 0.08, 1.2, 3000, 0.5, formant=(1200, 1.0), detune=5, drive=4.0),
    "bell": Instrument(0.002, 0.8, 0.0, 0.5, 1.9, 4000, 1.0, even=0.2, formant=(2400, 1.5)),
    "organ": Instrument(0.015, 1.0, 0.9, 0.06, 1.5, 3000, 0.3, formant=(800, 0.5), vibrato=5),
    "reed": Instrument(0.04, 1.0, 0.85, 0.07, 1.0, 3500, 0.2, formant=(1100, 0.8), detune=9),
    "clarinet": Instrument(0.035, 1.0, 0.85, 0.07, 1.3, 2500, 0.3, even=0.15, vibrato=4, breath=0.01),
    "flute": Instrument(0.06, 1.0, 0.9, 0.08, 2.4, 3000, 0.2, vibrato=14, breath=0.05),
    "brass": Instrument(0.05, 0.4, 0.75, 0.08, 1.2, 2200, 0.7, formant=(1300, 1.0), vibrato=5),
    "strings": Instrument(0.09, 1.0, 0.9, 0.2, 1.3, 3500, 0.2, formant=(600, 0.6), vibrato=12, detune=8),
    "voice": Instrument(0.1, 1.0, 0.9, 0.2, 1.8, 2500, 0.1, formant=(750, 2.5), vibrato=18, detune=10, breath=0.02),
    "saw": Instrument(0.006, 0.5, 0.5, 0.12, 1.1, 3500, 0.8, detune=12),
    "square": Instrument(0.004, 0.4, 0.5, 0.06, 1.1, 3000, 0.4, even=0.0),
    "upright": Instrument(0.008, 0.8, 0.1, 0.08, 1.9, 350, 0.5, formant=(250, 0.8)),
    "electric": Instrument(0.005, 1.4, 0.2, 0.06, 1.5, 500, 0.6, formant=(500, 0.6)),
    "synth": Instrument(0.006, 0.6, 0.6, 0.05, 1.2, 500, 0.7),
    "tuba": Instrument(0.04, 0.8, 0.8, 0.07, 1.8, 450, 0.3, formant=(300, 0.8)),
}


@dataclass(frozen=True)
class Drum:
    """A stroke: a gliding tone and a band of noise, each with its own decay to 1 / e in seconds."""

    level: float
    tone: float  # Hz at the end of the glide
    glide: float  # how many times higher it starts
    tone_decay: float
    noise: float  # level beside the tone's 1
    noise_decay: float
    band: tuple[float, float]  # Hz between which the noise lies


DRUMS = {
    "kick": Drum(1.0, 50, 4.0, 0.12, 0.15, 0.01, (1000, 4000)),
    "snare": Drum(0.7, 180, 1.5, 0.06, 1.2, 0.09, (800, 8000)),
    "roll": Drum(0.5, 190, 1.5, 0.04, 1.4, 0.07, (1000, 8000)),
    "rim": Drum(0.5, 830, 1.1, 0.018, 0.8, 0.008, (1500, 6000)),
    "clap": Drum(0.6, 900, 1.0, 0.004, 1.5, 0.08, (900, 5000)),
    "tom": Drum(0.8, 95, 1.6, 0.16, 0.2, 0.03, (500, 3000)),
    "hat": Drum(0.3, 6000, 1.0, 0.005, 2.0, 0.035, (5500, 16000)),
    "ride": Drum(0.25, 3300, 1.0, 0.03, 2.5, 0.18, (4000, 14000)),
    "shaker": Drum(0.25, 5000, 1.0, 0.004, 2.0, 0.05, (3500, 12000)),
    "brush": Drum(0.35, 220, 1.2, 0.02, 1.6, 0.11, (1200, 9000)),
}


def note(instrument: Instrument, pitch: float, seconds: float, sample_rate: int, noise: Audio) -> Audio:
    """One note at full velocity, about 1 RMS at its height, silent at both ends.

    Args:
        pitch: MIDI number, 69 is 440 Hz.
        seconds: until the release starts.
        noise: at least as long as the note, for its breath.
    """
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    samples = max(2, round((seconds + instrument.release) * sample_rate))
    time = np.arange(samples, dtype=np.float32) / np.float32(sample_rate)
    decay = instrument.decay * min(2.0, (220 / frequency) ** 0.5)
    fall = np.exp(-time / np.float32(decay))
    envelope = np.minimum(1, time / np.float32(instrument.attack))
    envelope *= np.clip((time[-1] - time) / np.float32(instrument.release), 0, 1) ** 2
    dark = envelope * (instrument.sustain + (1 - instrument.sustain) * fall)
    bright = envelope * fall * fall * fall * np.float32(instrument.bite)

    wobble = np.zeros(samples, dtype=np.int64)
    if instrument.vibrato:  # a phase that sways by depth / rate cycles sways in frequency by depth
        rate = 5.2
        depth = frequency * (2 ** (instrument.vibrato / 1200) - 1) / rate / (2 * np.pi)
        wobble = (np.sin(2 * np.pi * rate * time) * np.minimum(1, time / 0.3) * depth * 2**32).astype(np.int64)
    sound = np.zeros(samples, dtype=np.float32)
    voices = (-instrument.detune / 2, instrument.detune / 2) if instrument.detune else (0.0,)
    waves = [_cycle(instrument, frequency, cut, sample_rate) for cut in (instrument.cut, 3 * instrument.cut)]
    for cents in voices:
        increment = round(frequency * 2 ** (cents / 1200) / sample_rate * 2**32)
        phase = (np.arange(samples, dtype=np.int64) * increment + wobble) & 0xFFFFFFFF
        index = phase >> (32 - CYCLE_BITS)
        sound += waves[0][index] * dark + waves[1][index] * bright
    sound /= np.float32(len(voices) ** 0.5)
    if instrument.breath:
        sound += np.float32(instrument.breath) * dark * noise[:samples]
    return sound


def stroke(drum: Drum, sample_rate: int, rng: Generator) -> Audio:
    """One drum stroke at full velocity, peak `drum.level`, silent at its end."""
    samples = round(sample_rate * min(0.8, 6 * max(drum.tone_decay, drum.noise_decay)))
    time = np.arange(samples) / sample_rate
    frequency = drum.tone * (1 + (drum.glide - 1) * np.exp(-time / 0.02))
    tone = np.sin(2 * np.pi * np.cumsum(frequency) / sample_rate) * np.exp(-time / drum.tone_decay)
    if drum.tone * drum.glide > sample_rate / 2:
        tone[:] = 0
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    bins = np.fft.rfftfreq(samples, 1 / sample_rate)
    low, high = drum.band
    spectrum *= 1 / ((1 + (low / np.maximum(bins, 1)) ** 4) * (1 + (bins / high) ** 6))
    noise = np.fft.irfft(spectrum, samples)
    noise /= np.abs(noise).max()
    sound = tone + drum.noise * noise * np.exp(-time / drum.noise_decay)
    sound *= np.minimum(1, time / 0.001) * np.minimum(1, (samples - 1 - np.arange(samples)) / (0.01 * sample_rate))
    return (drum.level * sound / np.abs(sound).max()).astype(np.float32)


def _cycle(instrument: Instrument, frequency: float, cut: float, sample_rate: int) -> Audio:
    """One cycle of the wave, (2 ** CYCLE_BITS,), RMS 1, with the partials that lie below the Nyquist frequency."""
    count = max(1, min(PARTIALS, int(0.47 * sample_rate / frequency)))
    partials = np.arange(1, count + 1)
    level = partials**-instrument.slope / (1 + (partials * frequency / cut) ** 4)
    level[1::2] *= instrument.even
    centre, gain = instrument.formant
    level *= 1 + gain * np.exp(-((np.log2(partials * frequency / centre) / 0.5) ** 2))
    spectrum = np.zeros(2 ** (CYCLE_BITS - 1) + 1, dtype=np.complex128)
    # Quadratic phases spread a cycle's energy, so that no partials pile up to a spike (Schroeder 1970).
    spectrum[1 : count + 1] = level * np.exp(-1j * np.pi * partials * (partials - 1) / count)
    wave = np.fft.irfft(spectrum)
    return (wave / np.sqrt(np.mean(wave**2))).astype(np.float32)
