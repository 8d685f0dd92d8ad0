"""Fonts for letters that matplotlib's own font lacks: Chinese, Devanagari, emoji and so on.

Matplotlib draws each letter in the first family that has it. It also orders and joins the letters of Arabic, Hebrew
and the scripts of India.
"""

import logging
from collections.abc import Iterable
from contextlib import suppress
from functools import cache

from matplotlib.font_manager import FontProperties, findfont, findSystemFonts, fontManager
from matplotlib.ft2font import FT2Font

from pipeline.core.workspace import say

FAMILY = "DejaVu Sans"  # ships with matplotlib, so text is the same on every machine
OTHERS = ("Noto Sans", "Symbola")  # starts of the names of families with other letters
PACKAGES = "fonts-noto-cjk, fonts-noto-core and fonts-symbola"  # of Debian


def choose_families(texts: Iterable[str]) -> tuple[list[str], str]:
    """Families that have the letters of `texts` together, `FAMILY` first; and the letters that none of them has."""
    letters = {letter for text in texts for letter in text if letter.isprintable()}
    missing = letters - _letters(findfont(FontProperties(family=FAMILY)))
    families = [FAMILY]
    if missing:
        logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # else a line for a family without bold
        for file in {*findSystemFonts()} - {font.fname for font in fontManager.ttflist}:  # newer than its list
            with suppress(Exception):  # FreeType has many errors for fonts that it cannot use
                fontManager.addfont(file)
        regular = [f for f in fontManager.ttflist if (f.style, f.stretch, f.weight) == ("normal", "normal", 400)]
        for font in sorted((f for f in regular if f.name.startswith(OTHERS)), key=lambda f: f.name):
            if missing & _letters(font.fname):
                families.append(font.name)
                missing -= _letters(font.fname)
    return families, "".join(sorted(missing))


@cache
def warn(letters: str) -> None:
    """Print one line, once per process, that names the letters and fonts for them."""
    shown = letters if len(letters) <= 20 else f"{letters[:20]}…"
    say(
        f"warning: figures show boxes, since neither Noto Sans nor Symbola is installed with these letters: {shown}; "
        f"install {PACKAGES} (Debian), then draw the figures again: `dvc repro -f -s figures` and `dvc repro`"
    )


@cache
def _letters(file: str) -> frozenset[str]:
    with suppress(OSError, RuntimeError):  # deleted since matplotlib listed it, or not usable
        return frozenset(map(chr, FT2Font(file).get_charmap()))
    return frozenset()
