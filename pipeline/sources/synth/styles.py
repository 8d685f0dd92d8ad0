"""The styles of the synthetic source, as data. A group or a clip draws one of several choices.

A pattern is a string that divides a bar into equal steps: a digit is a note of the scale, counted from the root of the
chord (1 is the root, 3 the third, 8 the octave), `x` is the full chord, `-` holds the note, and `.` is a rest. In a
groove, `x` is a stroke and `o` a soft stroke. A progression lists the root of the chord of each bar.
"""

from dataclasses import dataclass

MODES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic": (0, 2, 3, 5, 7, 8, 11),
}

TRIAD, SEVENTH, FIFTH = (0, 2, 4), (0, 2, 4, 6), (0, 4, 7)

GROOVES: dict[str, dict[str, str]] = {
    "none": {},
    "waltz": {"kick": "x.....", "brush": "..x.x."},
    "lilt": {"kick": "x.....", "rim": "....x.", "shaker": "xoxoxo"},
    "march": {"kick": "x...x...", "snare": "..x...x.", "roll": "......oo"},
    "parade": {"kick": "x.......x.......", "snare": "x..ox.oox..ox.xx"},
    "soft": {"kick": "x.....x.", "rim": "..x...x.", "hat": "oooooooo"},
    "backbeat": {"kick": "x...x...", "snare": "..x...x.", "hat": "xoxoxoxo"},
    "brushes": {"kick": "x...o...", "brush": "x.x.x.x."},
    "swing": {"kick": "x...x...", "rim": "..x...x.", "ride": "x.xox.xo"},
    "bossa": {"kick": "x..xx..x", "rim": "x..x..x...x..x..", "shaker": "xoxoxoxoxoxoxoxo"},
    "clave": {"kick": "x..xx..x", "tom": "......o.......xx", "rim": "..x.x...x..x..x."},
    "onedrop": {"kick": "....x...", "rim": "....x...", "hat": "xoxoxoxo"},
    "steppers": {"kick": "x.x.x.x.", "snare": "....x...", "hat": "..x...xo"},
    "four": {"kick": "x...x...x...x...", "hat": "..x...x...x...x.", "clap": "....x.......x..."},
    "broken": {"kick": "x.....x...x.....", "clap": "....x.......x...", "hat": "xoxoxoxoxoxoxoxo"},
    "pulse": {"tom": "x.......", "kick": "x..............."},
    "frame": {"tom": "x..o.ox..o.o"},
    "jingle": {"kick": "x.....x.....", "shaker": "x.ox.ox.ox.o"},
    "drive": {"kick": "x..x..x.x..x....", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
    "half": {"kick": "x.....x.........", "snare": "........x.......", "ride": "x...x...x...x..."},
}


@dataclass(frozen=True)
class Style:
    """The music of one label. A group draws one item of each tuple of strings."""

    name: str
    tempo: tuple[float, float]  # lowest and highest, beats per minute
    beats: int  # per bar
    grid: int  # melody steps per beat
    swing: float  # delay of the second half of each beat, in beats
    modes: tuple[str, ...]
    progressions: tuple[str, ...]  # four chords, one per bar
    chord: tuple[int, ...]  # notes, as steps of the scale above the root
    comping: tuple[str, ...]  # patterns of the chords
    bass: tuple[str, ...]  # patterns of the bass
    grooves: tuple[str, ...]
    density: float  # share of the melody's steps with a new note
    max_leap: int  # largest leap in a motif, in steps of the scale
    leads: tuple[str, ...]  # instruments of the melody
    chords: tuple[str, ...]  # instruments of the chords
    basses: tuple[str, ...]  # instruments of the bass
    balance: tuple[float, float, float, float]  # dB: lead, chords, bass, drums
    equaliser: tuple[float, float, float]  # dB: cosine waves of growing order over the log frequency
    reverb: float  # gain relative to the direct sound


STYLES = (
    Style(
        name="waltz", tempo=(96, 150), beats=3, grid=2, swing=0.0, density=0.45, max_leap=3,
        modes=("major", "harmonic", "major"), progressions=("1451", "1625", "1154", "4151", "6415"), chord=TRIAD,
        comping=(".xx", ".x-x-x", "..x.x."), bass=("1--", "1-5", "1-3-5-"),
        leads=("strings", "strings", "clarinet"), chords=("piano", "piano", "piano", "reed"), basses=("upright",),
        grooves=("waltz", "lilt"), balance=(1, 2, -2, -2), equaliser=(1, 3, 1), reverb=0.5,
    ),
    Style(
        name="march", tempo=(96, 128), beats=4, grid=2, swing=0.0, density=0.5, max_leap=3,
        modes=("major", "major", "harmonic"), progressions=("1451", "1145", "1525", "4151"), chord=TRIAD,
        comping=(".x.x", "..x...x.", "x.xxx.xx"), bass=("1-5-", "1.5.1.5.", "1-1-5-5-"),
        leads=("brass", "brass", "flute"), chords=("brass", "brass", "clarinet"), basses=("tuba",),
        grooves=("march", "parade"), balance=(3, 1, 0, 3), equaliser=(1, -3, 1), reverb=0.25,
    ),
    Style(
        name="ballad", tempo=(60, 96), beats=4, grid=2, swing=0.0, density=0.38, max_leap=3,
        modes=("major", "minor", "mixolydian"), progressions=("1564", "6415", "1645", "1464", "6251"), chord=TRIAD,
        comping=("x---", "x---x---", "1-3-5-3-", "1-5-8-5-"), bass=("1---", "1--51---", "1---5-3-"),
        leads=("piano", "piano", "voice"), chords=("piano", "epiano"), basses=("electric", "upright"),
        grooves=("soft", "brushes"), balance=(3, 1, -2, -4), equaliser=(-3, 0, 0), reverb=0.35,
    ),
    Style(
        name="shuffle", tempo=(88, 136), beats=4, grid=2, swing=0.16, density=0.5, max_leap=4,
        modes=("mixolydian", "dorian"), progressions=("1141", "1451", "4151", "1441", "5411"), chord=SEVENTH,
        comping=("x.x.x.x.", "..x...x.", "x..x..x.", "x---..x."), bass=("1356", "1-3-5-6-", "1-1-3-5-", "8-7-5-3-"),
        leads=("guitar", "guitar", "reed"), chords=("organ", "organ", "piano"), basses=("upright",),
        grooves=("swing", "brushes"), balance=(0, 1, 0, 0), equaliser=(0, -3, -1), reverb=0.12,
    ),
    Style(
        name="bossa", tempo=(96, 142), beats=4, grid=2, swing=0.0, density=0.4, max_leap=3,
        modes=("major", "dorian", "minor"), progressions=("2511", "1625", "1425", "6251"), chord=SEVENTH,
        comping=("x-.x..x...x-.x..", "..x-.x-...x-.x-.", "x..x-.x-"), bass=("1--51--5", "1--55--1", "1-.5"),
        leads=("flute", "flute", "clarinet"), chords=("guitar", "guitar", "epiano"), basses=("upright", "electric"),
        grooves=("bossa", "clave"), balance=(0, 1, -1, 3), equaliser=(-1, 2, -2), reverb=0.1,
    ),
    Style(
        name="skank", tempo=(66, 100), beats=4, grid=2, swing=0.05, density=0.38, max_leap=4,
        modes=("minor", "dorian", "major"), progressions=("1144", "1717", "1545", "6711"), chord=TRIAD,
        comping=("..x...x.", ".x.x.x.x", "..x...xx"), bass=("1-.3-.5-", "1--.8-5-", "1-1-.35-"),
        leads=("organ", "brass", "reed"), chords=("guitar", "guitar", "organ"), basses=("electric", "synth"),
        grooves=("onedrop", "steppers"), balance=(-3, 1, 2, 1), equaliser=(-3, 1, 2), reverb=0.4,
    ),
    Style(
        name="drone", tempo=(56, 92), beats=4, grid=2, swing=0.0, density=0.3, max_leap=2,
        modes=("phrygian", "dorian", "minor", "lydian"), progressions=("1111", "1121", "1171", "1151"), chord=FIFTH,
        comping=("x---", "x-------", "x---5---"), bass=("1---", "1-------", "1---1---"),
        leads=("voice", "strings", "bell"), chords=("saw", "strings", "strings"), basses=("synth",),
        grooves=("none", "pulse"), balance=(-2, 4, 2, -4), equaliser=(-2, -2, -2), reverb=0.7,
    ),
    Style(
        name="pulse", tempo=(112, 140), beats=4, grid=4, swing=0.0, density=0.4, max_leap=4,
        modes=("minor", "dorian", "phrygian"), progressions=("1111", "1167", "6711", "1637"), chord=TRIAD,
        comping=("..x...x.", "x..x..x.", "x-------", "x.xx.xx."), bass=("1.8.1.8.", "..1-..1-..1-..1-", "11.11.18"),
        leads=("saw", "square", "bell"), chords=("saw", "saw", "square"), basses=("synth",),
        grooves=("four", "broken"), balance=(-1, -2, 3, 4), equaliser=(4, 2, 0), reverb=0.15,
    ),
    Style(
        name="chorale", tempo=(64, 100), beats=4, grid=1, swing=0.0, density=0.75, max_leap=2,
        modes=("major", "minor", "harmonic", "dorian"), progressions=("1451", "1625", "1415", "6415"), chord=TRIAD,
        comping=("x-x-x-x-", "x---x---", "x-x-x---"), bass=("1-3-5-3-", "1---5---", "1-2-3-5-"),
        leads=("organ", "voice", "brass"), chords=("organ", "organ", "voice"), basses=("tuba",),
        grooves=("none",), balance=(1, 3, -1, 0), equaliser=(-2, -3, 1), reverb=0.7,
    ),
    Style(
        name="jig", tempo=(92, 128), beats=2, grid=3, swing=0.0, density=0.8, max_leap=3,
        modes=("major", "mixolydian", "dorian"), progressions=("1151", "1745", "1415", "1717"), chord=TRIAD,
        comping=("x-.x-.", "x-xx-x", "1-5x--"), bass=("1--5--", "1--1-5", "1-----"),
        leads=("flute", "reed", "reed"), chords=("guitar", "reed"), basses=("upright", "electric"),
        grooves=("frame", "jingle"), balance=(4, 0, -4, -2), equaliser=(3, -1, -2), reverb=0.15,
    ),
    Style(
        name="arpeggio", tempo=(80, 124), beats=4, grid=2, swing=0.0, density=0.3, max_leap=3,
        modes=("minor", "lydian", "major"), progressions=("1637", "1564", "1415", "6411"), chord=TRIAD,
        comping=("1358135813581358", "1585358515853585", "135853138"), bass=("1---", "1---1---", "1-----5-"),
        leads=("bell", "bell", "piano"), chords=("bell", "square", "piano"), basses=("synth", "electric"),
        grooves=("none", "soft"), balance=(-1, 3, -1, -6), equaliser=(1, 3, 2), reverb=0.45,
    ),
    Style(
        name="riff", tempo=(88, 144), beats=4, grid=4, swing=0.0, density=0.35, max_leap=4,
        modes=("minor", "phrygian", "mixolydian"), progressions=("1117", "1167", "1747", "1121"), chord=FIFTH,
        comping=("x-xx.xx.", "x---x.xx", "xx.xxx.x"), bass=("1.11.11.", "11111111", "1---1-13"),
        leads=("overdriven", "overdriven", "saw"), chords=("overdriven",), basses=("electric",),
        grooves=("drive", "half"), balance=(0, 2, 0, 2), equaliser=(2, -2, 2), reverb=0.1,
    ),
)  # fmt: skip
