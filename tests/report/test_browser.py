"""The page in a browser: no errors, no network, no overflow; tables sort and filter, sounds play at one place."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.report.build import build
from tests import artefacts
from tests.report import built
from tests.report.browser import NAMES, Browser, installed
from tests.report.built import params

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(installed() is None, reason=f"no browser: none of {', '.join(NAMES)} is on PATH"),
]
ROWS = "[...document.querySelectorAll('#rows tbody tr')].filter(r => !r.hidden).map(r => r.cells[0].dataset.value)"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
HEADS = "[...document.querySelectorAll('#rows thead th')]"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of three variants, one of them collapsed and with a long name, a baseline and two ceilings."""
    data = tmp_path_factory.mktemp("data")
    artefacts.make_data(data, [{"path": "a.wav", "start_seconds": None, "reason": "silent", "detail": "-71 dB"}])
    names = ["mel_mean", "mel_a", "wave_collapsed_of_a_very_long_name_without_a_space", "wave_c"]
    artefacts.make_variant(data, names[0], "mel", components=0, metrics={"mel_mse": 0.03})
    artefacts.make_variant(data, names[1], "mel", amount=0.1)
    fallen = {"collapsed": True, "collapse_reason": "active units under 5 %"}
    artefacts.make_variant(data, names[2], "waveform", amount=0.9, metrics=fallen)
    artefacts.make_variant(data, names[3], "waveform", amount=0.4, metrics={"reach_hz": 1500.0})
    for name in names[1:]:
        built.scores(data, name, 0.01)
        built.figures(data, name, transfers=True)
    built.ceilings(data)
    out = data / "report"
    out.mkdir()
    build(data, params(*names), out)
    return out / "index.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    started = Browser(tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture(autouse=True)
def nothing_goes_wrong(browser: Browser) -> Iterator[None]:
    """In no test does the console complain, or the page ask for anything outside of itself."""
    browser.errors.clear()
    browser.requests.clear()
    yield
    assert browser.errors == []
    assert [url for url in browser.requests if not url.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_the_screen(browser: Browser, page: Path, width: int, dark: bool) -> None:
    browser.open(page, width, dark=dark)
    assert browser.run(OVERFLOW) == 0
    browser.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert browser.run(OVERFLOW) == 0
    background = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 384) == dark


def test_pictures_load(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    browser.run("Promise.all([...document.images].map(i => { i.loading = 'eager'; return i.decode(); }))")
    assert browser.run("[...document.images].every(i => i.naturalWidth === Number(i.getAttribute('width')))")


def test_an_animation_runs_when_it_is_asked_to(browser: Browser, page: Path) -> None:
    browser.open(page)
    still = browser.run("document.querySelector('.animate').parentElement.querySelector('img').src")
    browser.run("document.querySelector('.animate').click()")
    assert browser.run("document.querySelector('.animate').parentElement.querySelector('img').src") != still
    browser.run("document.querySelector('.animate').click()")
    assert browser.run("document.querySelector('.animate').parentElement.querySelector('img').src") == still


def test_every_column_sorts_both_ways_and_what_has_no_value_is_last(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run("document.querySelector('[name=set][value=all]').click()")
    for column in range(browser.run(f"{HEADS}.length")):
        for direction in ("ascending", "descending"):
            browser.run(f"{HEADS}[{column}].querySelector('button').click()")
            if browser.run(f"{HEADS}[{column}].getAttribute('aria-sort')") != direction:  # the page opens sorted
                browser.run(f"{HEADS}[{column}].querySelector('button').click()")
            assert browser.run(f"{HEADS}.filter(h => h.hasAttribute('aria-sort')).length") == 1
            cells = f"[...document.querySelectorAll('#rows tbody tr')].map(r => r.cells[{column}].dataset.value)"
            values = browser.run(cells)
            known = [value for value in values if value != ""]
            assert values[: len(known)] == known
            ordered = sorted(known, key=str if column == 0 else float, reverse=direction == "descending")
            assert [float(v) for v in known] == [float(v) for v in ordered] if column else known == ordered


def test_rows_are_filtered_by_words_input_and_what_they_are(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert len(browser.run(ROWS)) == 6
    browser.run("document.querySelector('[name=kind][value=waveform]').click()")
    assert sorted(browser.run(ROWS)) == ["mel_a", "mel_mean", "true mel"]
    browser.run("document.querySelector('[name=show][value=ceiling]').click()")
    browser.run("document.querySelector('[name=show][value=baseline]').click()")
    assert browser.run(ROWS) == ["mel_a"]
    assert browser.run("document.getElementById('shown').textContent") == "1 of 6 rows"
    browser.run("document.querySelector('[name=kind][value=waveform]').click()")
    browser.run("document.querySelector('[name=show][value=collapsed]').click()")
    assert sorted(browser.run(ROWS)) == ["mel_a", "wave_c"]
    find = "const f = document.querySelector('[name=find]'); f.value = 'Conv1d GAUSSIAN';"
    browser.run(f"(() => {{ {find} f.dispatchEvent(new Event('input', {{ bubbles: true }})); }})()")
    assert browser.run(ROWS) == ["wave_c"]


def test_column_sets_show_their_columns_alone(browser: Browser, page: Path) -> None:
    browser.open(page)
    shown = f"{HEADS}.filter(h => !h.hidden).map(h => h.innerText.split('\\n')[0])"
    assert {"Error", "Cosine", "MSE"} <= set(browser.run(shown)) and "KL" not in browser.run(shown)
    browser.run("document.querySelector('[name=set][value=latent]').click()")
    assert {"Variant", "KL", "ELBO", "Probe"} <= set(browser.run(shown)) and "MSE" not in browser.run(shown)
    assert browser.run("document.querySelector('#rows tbody tr').cells.length") == browser.run(f"{HEADS}.length")


def test_every_sound_decodes(browser: Browser, page: Path) -> None:
    browser.open(page)
    names = "[...document.querySelectorAll('script[data-media]')].map(s => s.id)"
    lengths = browser.run(f"Promise.all({names}.map(n => sounds.load(n).then(b => b.duration)))")
    assert len(lengths) > 10 and all(0.99 < length < 1.2 for length in lengths)


def test_switching_between_sounds_keeps_the_place(browser: Browser, page: Path) -> None:
    browser.open(page)
    chips = "[...document.querySelectorAll('.compare')[0].querySelectorAll('.chip')]"
    assert browser.run(f"{chips}.map(c => c.firstChild.data.trim())")[:4] == ["original", "ceiling", "ceiling", "mel_a"]
    browser.run(f"{chips}[0].click()")
    browser.wait("sounds.playing && sounds.position() > 0.25")
    browser.run(f"{chips}[3].click()")
    browser.wait(f"sounds.chip === {chips}[3]")
    assert browser.run("sounds.playing") and 0.25 < browser.run("sounds.position()") < 0.99
    browser.run(f"{chips}[3].focus()")
    browser.press("ArrowLeft")
    browser.wait(f"sounds.chip === {chips}[2] && document.activeElement === {chips}[2]")
    assert browser.run(f"{chips}.filter(c => c.getAttribute('aria-pressed') === 'true').length") == 1
    browser.run(f"{chips}[2].click()")
    assert not browser.run("sounds.playing")


def test_another_example_stays_with_the_same_variant(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run("document.getElementById('studio').scrollIntoView()")
    browser.wait("document.querySelector('.now').textContent !== ''")
    browser.run("document.querySelectorAll('.compare')[0].querySelectorAll('.chip')[3].click()")
    browser.wait("sounds.playing")
    browser.run("document.querySelectorAll('.examples button')[1].click()")
    browser.wait(
        "sounds.playing && sounds.chip === document.querySelectorAll('.compare')[1].querySelectorAll('.chip')[3]"
    )
    assert browser.run("document.querySelectorAll('.compare')[0].hidden")
    browser.run("document.querySelector('.play').click()")
    browser.wait("!sounds.playing")


def test_a_link_opens_the_part_it_leads_to(browser: Browser, page: Path) -> None:
    browser.open(page, 390)
    assert not browser.run("document.getElementById('variant-wave_c').open")
    browser.run("document.querySelector('nav .contents').click()")
    browser.run("document.querySelector('nav a[href=\"#variant-wave_c\"]').click()")
    browser.wait("document.getElementById('variant-wave_c').open")
    assert browser.run("document.querySelector('nav .contents').getAttribute('aria-expanded')") == "false"


def test_paper_has_no_buttons(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.call("Emulation.setEmulatedMedia", media="print")
    for name in ("nav", ".controls", ".studio", ".rack"):
        assert browser.run(f"getComputedStyle(document.querySelector('{name}')).display") == "none"
    browser.call("Emulation.setEmulatedMedia", media="")
