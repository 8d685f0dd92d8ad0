"""One form for names that people type and see, such as labels; names in messages; aligned columns."""

import re
import unicodedata
from collections.abc import Container, Sequence

# Soft hyphen, zero-width space, marks of the writing direction, word joiner, byte order mark. Not the zero-width
# joiners, which change how emoji and Persian look.
INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def normalise(text: str) -> str:
    """`text` in the form in which names are stored and compared, so that names that look the same are the same.

    It is in Unicode's form NFC: macOS may write "ú" as two characters, other systems write one. Each run of white
    space, no-break spaces included, is one space, none is at the ends, and invisible characters are left out. Upper and
    lower case stay.
    """
    return unicodedata.normalize("NFC", " ".join(INVISIBLE.sub("", text).split()))


def normalise_path(path: str) -> str:
    """`path` with `/` between its parts, each part in normal form."""
    return "/".join(map(normalise, path.split("/")))


def printable(text: str) -> str:
    """`text` for a message: one line, in which an escape such as \\n stands for each character that cannot be seen."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def align(rows: Sequence[Sequence[str]], right: Container[int] = ()) -> list[str]:
    """The lines of a table whose columns are aligned to the left, or to the right if their number is in `right`."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = zip(row, widths, strict=True)
        lines.append("  ".join(f"{c:{'>' if i in right else '<'}{w}}" for i, (c, w) in enumerate(cells)).rstrip())
    return lines
