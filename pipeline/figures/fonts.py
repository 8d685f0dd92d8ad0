"""Fonts for letters that matplotlib's own font lacks: Chinese, Devanagari, emoji and so on.

Matplotlib draws each letter in the first family that has it. It also orders and joins the letters of Arabic, Hebrew
and the scripts of India. It draws no fonts of coloured bitmaps, as most emoji fonts are.
"""

import logging
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache

from matplotlib.font_manager import FontEntry, FontProperties, findfont, findSystemFonts, fontManager
from matplotlib.ft2font import FT2Font, LoadFlags

from pipeline.core.workspace import say

FAMILY = "DejaVu Sans"  # ships with matplotlib, so text is the same on every machine
SCRIPTS = {  # first word of a letter's name in Unicode -> name for people
    **dict.fromkeys(("CJK", "BOPOMOFO", "IDEOGRAPHIC", "KANGXI", "FULLWIDTH"), "Chinese"),
    **dict.fromkeys(("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HALFWIDTH"), "Japanese"),
    "HANGUL": "Korean",
}
BOXES = ("Last Resort", "LastResort", ".LastResort", "Adobe Blank")  # fonts that draw a box or nothing for any letter
SYMBOLS = "emoji and symbols"
FONTS = {  # name of a script -> a font with it, and its package in Debian
    **dict.fromkeys(("Chinese", "Japanese", "Korean"), "Noto Sans CJK (Debian: fonts-noto-cjk)"),
    SYMBOLS: "Symbola (Debian: fonts-symbola)",
}


def choose_families(texts: Iterable[str]) -> tuple[list[str], str]:
    """Families that have the letters of `texts` together, `FAMILY` first; and the letters that no installed font has.

    Looks for other fonts only if `FAMILY` lacks a letter.
    """
    letters = set("".join(texts))
    missing = {letter for letter in letters if _has_ink(letter)} - _own_letters() if letters else set()
    families = [FAMILY]
    if missing:
        logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # else a line for a family without bold
        scripts = {script(letter) for letter in letters}
        language = "JP" if "Japanese" in scripts else "KR" if "Korean" in scripts else "SC"
        for font in _installed_fonts(f"Noto Sans CJK {language}"):  # the shapes of Han characters differ by language
            if drawn := _drawn(font.fname, missing):
                families.append(font.name)
                missing -= drawn
            if not missing:
                break
    return families, "".join(sorted(missing))


@cache
def warn(letters: str) -> None:
    """Print one line, once per process, that names the scripts of these letters and fonts for them."""
    scripts = sorted({script(letter) for letter in letters})
    fonts = dict.fromkeys(FONTS.get(name, "Noto Sans (Debian: fonts-noto-core)") for name in scripts)
    say(
        f"warning: figures show boxes, since no installed font has the letters of: {', '.join(scripts)}; install "
        f"{', '.join(fonts)}, then draw the figures again: `dvc repro -f -s figures` and `dvc repro`"
    )


def script(letter: str) -> str:
    """The script of a letter, such as Chinese or Devanagari."""
    if unicodedata.category(letter) in ("So", "Sk"):
        return SYMBOLS
    word = unicodedata.name(letter, "other").split()[0]
    return SCRIPTS.get(word, word.title())


def _has_ink(letter: str) -> bool:
    """Whether a letter is visible: no space, no control or format character, no variation selector."""
    is_selector = "\ufe00" <= letter <= "\ufe0f"
    return not is_selector and unicodedata.category(letter) not in ("Cc", "Cf", "Cn", "Cs", "Zl", "Zp", "Zs")


@cache
def _own_letters() -> frozenset[str]:
    return frozenset(map(chr, FT2Font(findfont(FontProperties(family=FAMILY))).get_charmap()))


def _installed_fonts(first: str) -> Iterator[FontEntry]:
    """Regular fonts: the family `first`, Noto Sans, all others; then those that are newer than matplotlib's cache."""

    def rank(font: FontEntry) -> tuple[bool, bool, int, str]:
        return font.name != first, not font.name.startswith("Noto Sans"), abs(int(font.weight) - 400), font.name

    def regular(fonts: Iterable[FontEntry]) -> list[FontEntry]:
        upright = (font for font in fonts if (font.style, font.stretch) == ("normal", "normal"))
        return sorted((font for font in upright if not font.name.startswith(BOXES)), key=rank)

    known = list(fontManager.ttflist)
    yield from regular(known)
    for file in {*findSystemFonts()} - {font.fname for font in known}:
        with suppress(Exception):  # FreeType has many errors for fonts that it cannot use
            fontManager.addfont(file)
    yield from regular(fontManager.ttflist[len(known) :])


def _drawn(file: str, letters: Iterable[str]) -> set[str]:
    """The letters for which a font file has outlines."""
    drawn = set()
    with suppress(OSError, RuntimeError, ValueError):  # deleted since matplotlib listed it, or not usable
        font = FT2Font(file)
        font.set_size(12, 72)
        for letter in letters:
            index = font.get_char_index(ord(letter))
            if index and any(font.load_glyph(index, flags=LoadFlags.NO_HINTING).bbox):
                drawn.add(letter)
    return drawn
