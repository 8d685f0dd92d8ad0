"""Composition: a style and two random streams become a list of notes, without a sound yet.

What the clips of a group share (key, chords, motifs, patterns, instruments) is its `Theme`, drawn from the group's own
stream; a clip then varies tempo, form, ornaments and dynamics.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from numpy.random import Generator

from pipeline.sources.synth.styles import GROOVES, MODES, Style

FORMS = ("AABA", "ABAB", "AABB", "ABAA")
BARS = 4  # in a phrase, and chords in a progression
BASS_LOWEST, CHORD_LOWEST, LEAD_LOWEST = 28, 53, 62  # MIDI pitches: E1, F3, D4

T = TypeVar("T")
Motif = list[list[tuple[float, float, int]]]  # per bar: onset and length in beats, steps of the scale above the chord


class Note(NamedTuple):
    """One note of one part; `part` is lead, chords or bass."""

    part: str
    start: float  # seconds
    seconds: float
    pitch: int  # MIDI
    velocity: float  # 0 to 1


class Hit(NamedTuple):
    """One drum stroke."""

    drum: str
    start: float  # seconds
    velocity: float


@dataclass(frozen=True)
class Theme:
    """What the clips of one group share."""

    tempo: float  # beats per minute
    tonic: int  # pitch class
    mode: tuple[int, ...]
    progressions: dict[str, tuple[int, ...]]  # section A or B -> scale steps of the four chords, 0 is the tonic
    motifs: dict[str, Motif]
    comping: str
    bass: str
    groove: dict[str, str]
    octave: int  # semitones by which the lead stands above its lowest register
    instruments: dict[str, str]  # part -> name


@dataclass(frozen=True)
class Score:
    """A clip on paper, in order of composition."""

    notes: list[Note]
    hits: list[Hit]


def draw(style: Style, rng: Generator) -> Theme:
    """Everything that a group's clips have in common."""
    modes = [MODES[name] for name in style.modes]
    return Theme(
        tempo=float(rng.uniform(*style.tempo)),
        tonic=int(rng.integers(12)),
        mode=_pick(rng, modes),
        progressions={s: tuple(int(step) - 1 for step in _pick(rng, style.progressions)) for s in "AB"},
        motifs={s: _motif(style, rng) for s in "AB"},
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
    """As many bars as `seconds` take; every note starts before its end, the last ones may outlast it."""
    beat = 60 / (theme.tempo * rng.uniform(0.95, 1.05))
    form = _pick(rng, FORMS)
    ornaments = rng.uniform(0.05, 0.2)  # share of the notes that a clip embellishes
    notes: list[Note] = []
    hits: list[Hit] = []
    bars = int(seconds / (beat * style.beats)) + 1

    def at(beats: float) -> float:
        """Seconds of a place in the score, swung."""
        whole, part = divmod(beats, 1)
        late = style.swing * (2 * part if part < 0.5 else 2 * (1 - part))
        return float((whole + part + late) * beat)

    def play(part: str, onset: float, length: float, pitch: int, accent: float) -> None:
        start = max(0.0, at(onset) + rng.normal(0, 0.004))  # nobody plays on the dot
        if start < seconds:
            notes.append(Note(part, start, at(onset + length) - at(onset), pitch, accent * rng.uniform(0.8, 1.0)))

    for bar in range(bars):
        phrase, place = divmod(bar, BARS)
        if place == 0:
            section = form[phrase % len(form)]
            loud = rng.uniform(0.7, 1.0)
            silent_lead = phrase % len(form) != 1 and rng.random() < 0.15
            silent_drums = rng.random() < 0.1
            lift = _pick(rng, (0, 0, 0, 12 if theme.octave == 0 else -12))
        root = theme.progressions[section][place]
        first = bar * style.beats

        for symbol, onset, length in parse(theme.bass, style.beats):
            pitch = _fold(_pitch(theme, root), BASS_LOWEST) + _interval(theme, root, int(symbol) - 1)
            play("bass", first + onset, length * 0.95, pitch, loud)

        for symbol, onset, length in parse(theme.comping, style.beats):
            steps = style.chord if symbol == "x" else (int(symbol) - 1,)
            for step in steps:
                pitch = _pitch(theme, root + step)
                pitch = _fold(pitch, CHORD_LOWEST) + (12 if symbol == "8" else 0)
                play("chords", first + onset, length * 0.95, pitch, loud * (1.0 if onset == 0 else 0.85))

        if not silent_lead:
            for onset, length, step in _vary(theme.motifs[section][place % 2], place, style, ornaments, rng):
                near = (root + 3) % 7 - 3  # the motif follows the chord by the shortest way
                pitch = _fold(_pitch(theme, 0), LEAD_LOWEST) + _interval(theme, 0, near + step) + theme.octave + lift
                play("lead", first + onset, length, pitch, loud * (1.0 if onset == int(onset) else 0.85))

        if not silent_drums:
            for drum, pattern in theme.groove.items():
                for index, symbol in enumerate(pattern):
                    start = at(first + index * style.beats / len(pattern))
                    if symbol != "." and start < seconds:
                        hits.append(Hit(drum, start, loud * (0.5 if symbol == "o" else 1.0) * rng.uniform(0.85, 1.0)))
    return Score(notes, hits)


def parse(pattern: str, beats: int) -> list[tuple[str, float, float]]:
    """A bar's pattern as (symbol, onset in beats, length in beats); see `styles` for the notation."""
    step = beats / len(pattern)
    events: list[tuple[str, float, float]] = []
    for index, symbol in enumerate(pattern):
        if symbol == "-":
            name, onset, length = events[-1]
            events[-1] = (name, onset, length + step)
        elif symbol != ".":
            events.append((symbol, index * step, step))
    return events


def _motif(style: Style, rng: Generator) -> Motif:
    """Two bars of melody: a rhythm that prefers the beats, and a line that wanders near the chord."""
    bars: Motif = []
    step = _pick(rng, (0, 2, 4))
    legato = rng.uniform(0.6, 1.0)
    for _ in range(2):
        onsets = [0]
        for index in range(1, style.beats * style.grid):
            likely = style.density * (1.4 if index % style.grid == 0 else 0.8)
            if rng.random() < likely:
                onsets.append(index)
        bar = []
        for onset, following in zip(onsets, [*onsets[1:], style.beats * style.grid], strict=True):
            bar.append((onset / style.grid, legato * (following - onset) / style.grid, step))
            leap = int(rng.integers(1, style.reach + 1))
            upwards = rng.random() < 0.5 - 0.1 * (step - 2)  # drawn back to the chord's third
            step += leap if upwards else -leap
        bars.append(bar)
    return bars


def _vary(
    bar: list[tuple[float, float, int]], place: int, style: Style, ornaments: float, rng: Generator
) -> list[tuple[float, float, int]]:
    """A bar of the motif as a clip plays it: some notes embellished, and a long note to close the phrase."""
    varied = []
    for onset, length, step in bar:
        if place == BARS - 1 and onset >= style.beats / 2:
            break
        if rng.random() < ornaments and length >= 0.5:
            neighbour = step + _pick(rng, (-1, 1))
            varied += [(onset, length / 2, neighbour), (onset + length / 2, length / 2, step)]
        else:
            varied.append((onset, length, step))
    if place == BARS - 1:
        varied.append((style.beats / 2, style.beats / 2, _pick(rng, (0, 0, 2, 4))))
    return varied


def _pitch(theme: Theme, step: int) -> int:
    """The pitch of a step of the scale, counted from the lowest tonic."""
    octave, degree = divmod(step, len(theme.mode))
    return theme.tonic + 12 * octave + theme.mode[degree]


def _interval(theme: Theme, root: int, steps: int) -> int:
    """Semitones from one step of the scale to another `steps` above it."""
    return _pitch(theme, root + steps) - _pitch(theme, root)


def _fold(pitch: int, lowest: int) -> int:
    """The same pitch class within the octave above `lowest`."""
    return lowest + (pitch - lowest) % 12


def _pick(rng: Generator, options: Sequence[T]) -> T:
    """One of the options, as it is (Generator.choice would turn strings and numbers into NumPy's)."""
    return options[int(rng.integers(len(options)))]
