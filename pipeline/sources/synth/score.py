"""Composition: a style and two random streams give a list of notes.

The clips of a group share a `Theme` (key, chords, motifs, patterns, instruments), drawn from the group's random stream.
A clip varies tempo, form, ornaments and dynamics.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from numpy.random import Generator

from pipeline.sources.synth.styles import GROOVES, MODES, Style

FORMS = ("AABA", "ABAB", "AABB", "ABAA")
BARS = 4  # per phrase, with one chord per bar
BASS_LOWEST, CHORD_LOWEST, LEAD_LOWEST = 28, 53, 62  # MIDI pitches: E1, F3, D4
TONICS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
MINOR_THIRD = 3  # semitones

T = TypeVar("T")
Bar = list[tuple[float, float, int]]  # onset and length in beats, steps of the scale above the root of the chord
Motif = list[Bar]


class Note(NamedTuple):
    """A note of the part lead, chords or bass."""

    part: str
    start: float  # seconds
    seconds: float
    pitch: int  # MIDI
    velocity: float  # 0 to 1


class Stroke(NamedTuple):
    """A drum stroke."""

    drum: str
    start: float  # seconds
    velocity: float


@dataclass(frozen=True)
class Theme:
    """The music that the clips of a group share."""

    tempo: float  # beats per minute
    tonic: int  # pitch class
    mode: tuple[int, ...]
    progressions: dict[str, tuple[int, ...]]  # section A or B -> roots of the four chords as scale steps; 0: the tonic
    motifs: dict[str, Motif]
    comping: str
    bass: str
    groove: dict[str, str]
    octave: int  # semitones above the lowest register of the lead
    instruments: dict[str, str]  # part -> name

    @property
    def key(self) -> str:
        """One of 24 keys, such as "C# minor". A mode is major or minor by its third, so dorian is minor."""
        return f"{TONICS[self.tonic]} {'minor' if self.mode[2] == MINOR_THIRD else 'major'}"


@dataclass(frozen=True)
class Score:
    """The tempo of a clip, and its notes and drum strokes in order of composition."""

    tempo: float  # beats per minute
    notes: list[Note]
    strokes: list[Stroke]


def draw_theme(style: Style, rng: Generator) -> Theme:
    """A random theme of a style."""
    return Theme(
        tempo=float(rng.uniform(*style.tempo)),
        tonic=int(rng.integers(12)),
        mode=MODES[_pick(rng, style.modes)],
        progressions={s: tuple(int(step) - 1 for step in _pick(rng, style.progressions)) for s in "AB"},
        motifs={s: _draw_motif(style, rng) for s in "AB"},
        comping=_pick(rng, style.comping),
        bass=_pick(rng, style.bass),
        groove=GROOVES[_pick(rng, style.grooves)],
        octave=_pick(rng, (0, 0, 12)),
        instruments={
            "lead": _pick(rng, style.leads),
            "chords": _pick(rng, style.chords),
            "bass": _pick(rng, style.basses),
        },
    )


def compose(style: Style, theme: Theme, rng: Generator, seconds: float) -> Score:
    """Compose enough bars for `seconds`. All notes start before the end; the last ones may end after it."""
    tempo = theme.tempo * rng.uniform(0.95, 1.05)
    beat = 60 / tempo
    form = _pick(rng, FORMS)
    ornaments = rng.uniform(0.05, 0.2)  # share of the notes with an ornament
    notes: list[Note] = []
    strokes: list[Stroke] = []
    bars = int(seconds / (beat * style.beats)) + 1

    def to_seconds(beats: float) -> float:
        """The time of a position in the score, with swing."""
        full, part = divmod(beats, 1)
        delay = style.swing * (2 * part if part < 0.5 else 2 * (1 - part))
        return float((full + part + delay) * beat)

    def add_note(part: str, onset: float, length: float, pitch: int, velocity: float) -> None:
        start = max(0.0, to_seconds(onset) + rng.normal(0, 0.004))  # players are not exact
        if start < seconds:
            length_seconds = to_seconds(onset + length) - to_seconds(onset)
            notes.append(Note(part, start, length_seconds, pitch, velocity * rng.uniform(0.8, 1.0)))

    for bar in range(bars):
        phrase, position = divmod(bar, BARS)
        if position == 0:
            section = form[phrase % len(form)]
            velocity = rng.uniform(0.7, 1.0)
            is_lead_silent = phrase % len(form) != 1 and rng.random() < 0.15
            is_drums_silent = rng.random() < 0.1
            octave_shift = _pick(rng, (0, 0, 0, 12 if theme.octave == 0 else -12))
        root = theme.progressions[section][position]
        first_beat = bar * style.beats

        for symbol, onset, length in parse_pattern(theme.bass, style.beats):
            pitch = _fold(_pitch(theme, root), BASS_LOWEST) + _interval(theme, root, int(symbol) - 1)
            add_note("bass", first_beat + onset, length * 0.95, pitch, velocity)

        for symbol, onset, length in parse_pattern(theme.comping, style.beats):
            steps = style.chord if symbol == "x" else (int(symbol) - 1,)
            for step in steps:
                pitch = _pitch(theme, root + step)
                pitch = _fold(pitch, CHORD_LOWEST) + (12 if symbol == "8" else 0)
                add_note("chords", first_beat + onset, length * 0.95, pitch, velocity * (1.0 if onset == 0 else 0.85))

        if not is_lead_silent:
            for onset, length, step in _vary(theme.motifs[section][position % 2], position, style, ornaments, rng):
                nearest_root = (root + 3) % 7 - 3  # above or below the tonic, whichever is closer
                pitch = _fold(_pitch(theme, 0), LEAD_LOWEST) + _interval(theme, 0, nearest_root + step)
                pitch += theme.octave + octave_shift
                add_note("lead", first_beat + onset, length, pitch, velocity * (1.0 if onset == int(onset) else 0.85))

        if not is_drums_silent:
            for drum, pattern in theme.groove.items():
                for index, symbol in enumerate(pattern):
                    start = to_seconds(first_beat + index * style.beats / len(pattern))
                    if symbol != "." and start < seconds:
                        stroke_velocity = velocity * (0.5 if symbol == "o" else 1.0) * rng.uniform(0.85, 1.0)
                        strokes.append(Stroke(drum, start, stroke_velocity))
    return Score(tempo, notes, strokes)


def parse_pattern(pattern: str, beats: int) -> list[tuple[str, float, float]]:
    """The pattern of a bar as (symbol, onset in beats, length in beats); `styles` explains the notation."""
    step = beats / len(pattern)
    events: list[tuple[str, float, float]] = []
    for index, symbol in enumerate(pattern):
        if symbol == "-":
            name, onset, length = events[-1]
            events[-1] = (name, onset, length + step)
        elif symbol != ".":
            events.append((symbol, index * step, step))
    return events


def _draw_motif(style: Style, rng: Generator) -> Motif:
    """Two bars of melody: notes often start on a beat, and the pitch stays near the chord."""
    bars: Motif = []
    step = _pick(rng, (0, 2, 4))
    legato = rng.uniform(0.6, 1.0)
    for _ in range(2):
        onsets = [0]
        for index in range(1, style.beats * style.grid):
            probability = style.density * (1.4 if index % style.grid == 0 else 0.8)
            if rng.random() < probability:
                onsets.append(index)
        bar = []
        for onset, following in zip(onsets, [*onsets[1:], style.beats * style.grid], strict=True):
            bar.append((onset / style.grid, legato * (following - onset) / style.grid, step))
            leap = int(rng.integers(1, style.max_leap + 1))
            is_upwards = rng.random() < 0.5 - 0.1 * (step - 2)  # tends to the third of the chord
            step += leap if is_upwards else -leap
        bars.append(bar)
    return bars


def _vary(bar: Bar, position: int, style: Style, ornaments: float, rng: Generator) -> Bar:
    """Vary a bar of the motif: some notes get an ornament, and the last bar of a phrase ends with a long note."""
    varied = []
    for onset, length, step in bar:
        if position == BARS - 1 and onset >= style.beats / 2:
            break
        if rng.random() < ornaments and length >= 0.5:
            neighbour = step + _pick(rng, (-1, 1))
            varied += [(onset, length / 2, neighbour), (onset + length / 2, length / 2, step)]
        else:
            varied.append((onset, length, step))
    if position == BARS - 1:
        varied.append((style.beats / 2, style.beats / 2, _pick(rng, (0, 0, 2, 4))))
    return varied


def _pitch(theme: Theme, step: int) -> int:
    """The pitch of a step of the scale; step 0 is the lowest tonic."""
    octave, degree = divmod(step, len(theme.mode))
    return theme.tonic + 12 * octave + theme.mode[degree]


def _interval(theme: Theme, root: int, steps: int) -> int:
    """Semitones from the step `root` of the scale to the step `root + steps`."""
    return _pitch(theme, root + steps) - _pitch(theme, root)


def _fold(pitch: int, lowest: int) -> int:
    """The same pitch class in the octave above `lowest`."""
    return lowest + (pitch - lowest) % 12


def _pick(rng: Generator, options: Sequence[T]) -> T:
    """A random option; Generator.choice would convert it to a NumPy type."""
    return options[int(rng.integers(len(options)))]
