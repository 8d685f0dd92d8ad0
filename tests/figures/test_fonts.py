"""Letters that matplotlib's own font lacks. The fonts are made here, so the tests need no installed ones."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from pipeline.figures import fonts, style

DRAWN, MISSING = "\u4e8c", "\u4e09"


def write_font(path: Path, family: str, drawn: str) -> Path:
    """A font in which each letter of `drawn` is a square of 0.8 em."""
    names = {letter: f"u{ord(letter):X}" for letter in drawn}
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for point in ((0, 800), (800, 800), (800, 0)):
        pen.lineTo(point)
    pen.closePath()
    square, nothing = pen.glyph(), TTGlyphPen(None).glyph()
    builder = FontBuilder(1000)
    builder.setupGlyphOrder([".notdef", *names.values()])
    builder.setupCharacterMap({ord(letter): name for letter, name in names.items()})
    builder.setupGlyf({".notdef": nothing, **dict.fromkeys(names.values(), square)})
    builder.setupHorizontalMetrics(dict.fromkeys([".notdef", *names.values()], (1000, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path


@pytest.fixture(autouse=True)
def only_our_fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No fonts but those that ship with matplotlib; and the line is not yet printed."""
    shipped = [font for font in fontManager.ttflist if "mpl-data" in font.fname]
    monkeypatch.setattr(fontManager, "ttflist", shipped)
    monkeypatch.setattr(fonts, "findSystemFonts", list)
    fonts.warn.cache_clear()
    yield
    fontManager._findfont_cached.cache_clear()
    style._font.cache_clear()


def test_known_letters_need_no_other_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "findSystemFonts", lambda: pytest.fail("the list of installed fonts is slow"))
    texts = ["Música", "$x$", "Ελληνικά", "Русский", "עברית", "عربي", "😀", "a\u200db\ufe0f\x1b\n"]
    assert fonts.choose_families(texts) == ([fonts.FAMILY], "")
    assert fonts.choose_families([]) == ([fonts.FAMILY], "")


def test_a_font_that_was_installed_after_matplotlib_listed_all_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    installed = [tmp_path / "broken.ttf", write_font(tmp_path / "a.ttf", "Noto Sans Test", DRAWN)]
    monkeypatch.setattr(fonts, "findSystemFonts", lambda: list(map(str, installed)))
    assert fonts.choose_families([f"rock {DRAWN}{MISSING}"]) == ([fonts.FAMILY, "Noto Sans Test"], MISSING)
    with style.paper_style([DRAWN]), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert style.text_width(DRAWN, 72) == pytest.approx(1, abs=0.01)  # inches: 1 em of 72 points
        figure = Figure(figsize=(2, 2))
        figure.text(0, 0, DRAWN, fontsize=72, fontweight="bold", color="black")
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        black = canvas.buffer_rgba().tobytes()[::4].count(0)
    assert black == pytest.approx((0.8 * figure.dpi) ** 2, rel=0.1)


def test_letters_without_a_font_give_one_line_and_no_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "古典 ลูกทุ่ง 🎸"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            with style.paper_style([text]):
                figure = Figure(figsize=(3, 1))
                figure.text(0, 0.5, style.fit_width(text, 2, 9))
                style.save(figure, tmp_path / "a.png", 50)
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("warning: figures show boxes") and all(letter in line for letter in "古典ล🎸")


def test_texts_are_one_line_without_control_characters() -> None:
    assert style.shorten(" a\n b\t\x1b[31mc\x00 ") == "a b [31mc"


def test_right_to_left_names_do_not_reorder_a_title() -> None:
    assert style.isolate("jazz/01") == "jazz/01" and style.isolate("古典") == "古典"
    assert style.isolate("שיר/01/عربي") == "\u2068שיר\u2069/01/\u2068عربي\u2069"
