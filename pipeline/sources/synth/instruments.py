"""Instruments and drums: tables of their parameters, and the audio of one note or stroke.

A note plays two single-cycle waves of band-limited partials: a bright one that decays soon, and a dark one. Phases are
32-bit integers, which stay exact in notes of any length.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Audio = NDArray[np.float32]  # mono, (samples,)

CYCLE_BITS = 14
MAX_PARTIALS = 160


@dataclass(frozen=True)
class Instrument:
    """An instrument with pitch."""

    attack: float  # seconds to full amplitude
    decay: float  # seconds to 1 / e, for a note at 220 Hz
    sustain: float  # amplitude after the decay; 0 for struck and plucked strings
    release: float  # seconds from the end of the note to silence
    slope: float  # partial k has amplitude 1 / k ** slope
    cutoff: float  # Hz, of a low-pass of 24 dB per octave in the dark wave; three times that in the bright wave
    brightness: float  # amplitude of the bright wave
    even: float = 1.0  # gain of the even partials
    formant: tuple[float, float] = (1000.0, 0.0)  # Hz and gain of a resonance half an octave wide
    vibrato: float = 0.0  # cents
    detune: float = 0.0  # cents between two voices; 0: one voice
    breath: float = 0.0  # gain of noise
    distortion: float = 0.0  # applied to the whole part


INSTRUMENTS = {
    # attack, decay, sustain, release, slope, cutoff, brightness
    "piano": Instrument(0.004, 0.9, 0.0, 0.15, 1.7, 1500, 0.6),
    "epiano": Instrument(0.004, 1.1, 0.05, 0.2, 2.2, 1200, 0.4, formant=(900, 0.8), detune=4),
    "guitar": Instrument(0.003, 0.6, 0.0, 0.1, 1.4, 1800, 0.9, formant=(450, 1.0)),
    "overdriven": Instrument(0.004, 2.5, 0.4, 0.08, 1.2, 3000, 0.5, formant=(1200, 1.0), detune=5, distortion=4.0),
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
    """A drum: a tone of falling frequency and band-limited noise. Decays are seconds to 1 / e."""

    gain: float
    tone: float  # final frequency in Hz
    glide: float  # initial frequency / final frequency
    tone_decay: float
    noise: float  # gain relative to the tone
    noise_decay: float
    band: tuple[float, float]  # lowest and highest frequency of the noise in Hz


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


def render_note(instrument: Instrument, pitch: float, seconds: float, sample_rate: int, noise: Audio) -> Audio:
    """A note at full velocity, with a maximal RMS of about 1, silent at both ends.

    `pitch` is a MIDI number; the release starts after `seconds`; `noise`, for the breath, is as long as the note or
    longer.
    """
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    samples = max(2, round((seconds + instrument.release) * sample_rate))
    time = np.arange(samples, dtype=np.float32) / np.float32(sample_rate)
    decay = instrument.decay * min(2.0, (220 / frequency) ** 0.5)
    decay_curve = np.exp(-time / np.float32(decay))
    envelope = np.minimum(1, time / np.float32(instrument.attack))
    envelope *= np.clip((time[-1] - time) / np.float32(instrument.release), 0, 1) ** 2
    dark = envelope * (instrument.sustain + (1 - instrument.sustain) * decay_curve)
    bright = envelope * decay_curve * decay_curve * decay_curve * np.float32(instrument.brightness)

    vibrato = np.zeros(samples, dtype=np.int64)  # offset of the phase
    if instrument.vibrato:  # a frequency that varies by `depth` is a phase that varies by depth / rate cycles
        rate = 5.2
        depth = frequency * (2 ** (instrument.vibrato / 1200) - 1) / rate / (2 * np.pi)
        vibrato = (np.sin(2 * np.pi * rate * time) * np.minimum(1, time / 0.3) * depth * 2**32).astype(np.int64)
    audio = np.zeros(samples, dtype=np.float32)
    voices = (-instrument.detune / 2, instrument.detune / 2) if instrument.detune else (0.0,)
    waves = [
        _cycle(instrument, frequency, cutoff, sample_rate) for cutoff in (instrument.cutoff, 3 * instrument.cutoff)
    ]
    for cents in voices:
        increment = round(frequency * 2 ** (cents / 1200) / sample_rate * 2**32)
        phase = (np.arange(samples, dtype=np.int64) * increment + vibrato) & 0xFFFFFFFF
        index = phase >> (32 - CYCLE_BITS)
        audio += waves[0][index] * dark + waves[1][index] * bright
    audio /= np.float32(len(voices) ** 0.5)
    if instrument.breath:
        audio += np.float32(instrument.breath) * dark * noise[:samples]
    return audio


def render_stroke(drum: Drum, sample_rate: int, rng: Generator) -> Audio:
    """A drum stroke at full velocity with peak `drum.gain`, silent at its end."""
    samples = round(sample_rate * min(0.8, 6 * max(drum.tone_decay, drum.noise_decay)))
    time = np.arange(samples) / sample_rate
    frequency = drum.tone * (1 + (drum.glide - 1) * np.exp(-time / 0.02))
    tone = np.sin(2 * np.pi * np.cumsum(frequency) / sample_rate) * np.exp(-time / drum.tone_decay)
    if drum.tone * drum.glide > sample_rate / 2:
        tone[:] = 0
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    hertz = np.fft.rfftfreq(samples, 1 / sample_rate)
    low, high = drum.band
    spectrum *= 1 / ((1 + (low / np.maximum(hertz, 1)) ** 4) * (1 + (hertz / high) ** 6))
    noise = np.fft.irfft(spectrum, samples)
    noise /= np.abs(noise).max()
    audio = tone + drum.noise * noise * np.exp(-time / drum.noise_decay)
    audio *= np.minimum(1, time / 0.001) * np.minimum(1, (samples - 1 - np.arange(samples)) / (0.01 * sample_rate))
    return (drum.gain * audio / np.abs(audio).max()).astype(np.float32)


def _cycle(instrument: Instrument, frequency: float, cutoff: float, sample_rate: int) -> Audio:
    """One cycle of a wave, (2 ** CYCLE_BITS,), RMS 1, with the partials below the Nyquist frequency."""
    count = max(1, min(MAX_PARTIALS, int(0.47 * sample_rate / frequency)))
    partials = np.arange(1, count + 1)
    amplitudes = partials**-instrument.slope / (1 + (partials * frequency / cutoff) ** 4)
    amplitudes[1::2] *= instrument.even
    centre, gain = instrument.formant
    amplitudes *= 1 + gain * np.exp(-((np.log2(partials * frequency / centre) / 0.5) ** 2))
    spectrum = np.zeros(2 ** (CYCLE_BITS - 1) + 1, dtype=np.complex128)
    # Quadratic phases keep the peak of the cycle low (Schroeder 1970).
    spectrum[1 : count + 1] = amplitudes * np.exp(-1j * np.pi * partials * (partials - 1) / count)
    wave = np.fft.irfft(spectrum)
    return (wave / np.sqrt(np.mean(wave**2))).astype(np.float32)
