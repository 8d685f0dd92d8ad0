"""The page in a browser: no errors, no network, no overflow; tables sort and filter; sounds switch at one position."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.report.browser import NAMES, Browser, installed
from tests.report.parsed import Page

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(installed() is None, reason=f"no browser: none of {', '.join(NAMES)} is on PATH"),
]
ROWS = "[...document.querySelectorAll('#rows tbody tr')].filter(r => !r.hidden).map(r => r.cells[0].dataset.value)"
HEADERS = "[...document.querySelectorAll('#rows thead th')]"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
OPEN_ALL = "document.querySelectorAll('details').forEach(d => { d.open = true; })"
IMAGE = "document.querySelector('.animate').parentElement.querySelector('img').src"
CLIPS = "document.querySelectorAll('.versions')[{}].querySelectorAll('.clip')"


@pytest.fixture(scope="module")
def file(data: Path, page: Page) -> Path:
    return data / "report" / "index.html"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def browser(started: Browser, file: Path) -> Iterator[Browser]:
    """The browser with the page. No test may cause an error in the console or a request to the network."""
    started.errors.clear()
    started.requests.clear()
    started.open(file)
    yield started
    assert started.errors == []
    assert [url for url in started.requests if not url.startswith(("file:", "data:"))] == []


def click(browser: Browser, *selectors: str) -> None:
    for selector in selectors:
        browser.run(f"document.querySelector('{selector}').click()")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_the_screen(browser: Browser, file: Path, width: int, dark: bool) -> None:
    browser.open(file, width, dark=dark)
    assert browser.run(OVERFLOW) == 0
    browser.run(OPEN_ALL)
    assert browser.run(OVERFLOW) == 0
    background = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 384) == dark


def test_pictures_load(browser: Browser) -> None:
    browser.run(OPEN_ALL)
    browser.run("Promise.all([...document.images].map(i => { i.loading = 'eager'; return i.decode(); }))")
    assert browser.run("[...document.images].every(i => i.naturalWidth === Number(i.getAttribute('width')))")


def test_an_animation_starts_and_stops_on_a_click(browser: Browser) -> None:
    still = browser.run(IMAGE)
    click(browser, ".animate")
    assert browser.run(IMAGE) != still
    click(browser, ".animate")
    assert browser.run(IMAGE) == still


def test_every_column_sorts_both_ways_with_missing_values_last(browser: Browser) -> None:
    click(browser, "[name=set][value=all]")
    for column in range(browser.run(f"{HEADERS}.length")):
        for direction in ("ascending", "descending"):
            browser.run(f"{HEADERS}[{column}].querySelector('button').click()")
            if browser.run(f"{HEADERS}[{column}].getAttribute('aria-sort')") != direction:  # the page opens sorted
                browser.run(f"{HEADERS}[{column}].querySelector('button').click()")
            assert browser.run(f"{HEADERS}.filter(h => h.hasAttribute('aria-sort')).length") == 1
            cells = f"[...document.querySelectorAll('#rows tbody tr')].map(r => r.cells[{column}].dataset.value)"
            texts = browser.run(cells)
            values = [text if column == 0 else float(text) for text in texts if text != ""]
            assert "" not in texts[: len(values)]
            key = str.casefold if column == 0 else float
            assert values == sorted(values, key=key, reverse=direction == "descending")


def test_rows_are_filtered_by_words_input_and_role(browser: Browser) -> None:
    assert len(browser.run(ROWS)) == 9  # not the codecs: they have no error on the common log-mel
    click(browser, "[name=kind][value=waveform]")
    assert sorted(browser.run(ROWS)) == ["mel_a", "mel_absent", "mel_b", "mel_mean", "theirs", "true mel"]
    click(browser, *(f"[name=show][value={role}]" for role in ("ceiling", "baseline", "external")))
    assert browser.run(ROWS) == ["mel_a", "mel_b", "mel_absent"]
    assert browser.run("document.getElementById('row-count').textContent") == "3 of 12 rows"
    click(browser, "[name=kind][value=waveform]", "[name=show][value=collapsed]")
    assert sorted(browser.run(ROWS)) == ["mel_a", "mel_absent", "mel_b", "wave_c"]
    browser.run("document.querySelector('[name=search]').value = 'Conv1d GAUSSIAN'")
    browser.run("document.querySelector('[name=search]').dispatchEvent(new Event('input', { bubbles: true }))")
    assert browser.run(ROWS) == ["wave_c"]


def test_a_column_set_shows_only_its_columns(browser: Browser) -> None:
    shown = f"{HEADERS}.filter(h => !h.hidden).map(h => h.innerText.split('\\n')[0])"
    assert {"Error", "Cosine", "vs. mean"} <= set(browser.run(shown)) and "KL" not in browser.run(shown)
    click(browser, "[name=set][value=latent]")
    assert {"Variant", "KL", "ELBO", "Probe"} <= set(browser.run(shown)) and "vs. mean" not in browser.run(shown)
    assert browser.run("document.querySelector('#rows tbody tr').cells.length") == browser.run(f"{HEADERS}.length")


def test_every_sound_decodes(browser: Browser) -> None:
    names = "[...document.querySelectorAll('script[data-media]')].map(s => s.id)"
    durations = browser.run(f"Promise.all({names}.map(n => sounds.load(n).then(b => b.duration)))")
    assert len(durations) > 10 and all(0.99 < duration < 1.2 for duration in durations)


def test_switching_between_sounds_keeps_the_position(browser: Browser) -> None:
    clips = f"[...{CLIPS.format(0)}]"
    assert browser.run(f"{clips}.map(c => c.firstChild.data.trim())")[:4] == ["original", "ceiling", "ceiling", "mel_a"]
    browser.run(f"{clips}[0].click()")
    browser.wait("sounds.isPlaying && sounds.position() > 0.25")
    browser.run(f"{clips}[3].click()")
    browser.wait(f"sounds.selected === {clips}[3]")
    assert browser.run("sounds.isPlaying") and 0.25 < browser.run("sounds.position()") < 0.99
    browser.run(f"{clips}[3].focus()")
    browser.press("ArrowLeft")
    browser.wait(f"sounds.selected === {clips}[2] && document.activeElement === {clips}[2]")
    assert browser.run(f"{clips}.filter(c => c.getAttribute('aria-pressed') === 'true').length") == 1
    browser.run(f"{clips}[2].click()")
    assert not browser.run("sounds.isPlaying")


def test_another_example_plays_the_same_variant(browser: Browser) -> None:
    browser.run("document.getElementById('player').scrollIntoView()")
    browser.wait("document.querySelector('.selected-title').textContent !== ''")
    browser.run(f"{CLIPS.format(0)}[3].click()")
    browser.wait("sounds.isPlaying")
    browser.run("document.querySelectorAll('.examples button')[1].click()")
    browser.wait(f"sounds.isPlaying && sounds.selected === {CLIPS.format(1)}[3]")
    assert browser.run("document.querySelectorAll('.versions')[0].hidden")
    click(browser, ".play")
    browser.wait("!sounds.isPlaying")


def test_a_link_opens_the_section_it_points_to(browser: Browser, file: Path) -> None:
    browser.open(file, 390)
    assert not browser.run("document.getElementById('variant-wave_c').open")
    click(browser, "nav .contents", 'nav a[href="#variant-wave_c"]')
    browser.wait("document.getElementById('variant-wave_c').open")
    assert browser.run("document.querySelector('nav .contents').getAttribute('aria-expanded')") == "false"


def test_a_print_has_no_controls(browser: Browser) -> None:
    browser.call("Emulation.setEmulatedMedia", media="print")
    for name in ("nav", ".controls", ".player", ".clips"):
        assert browser.run(f"getComputedStyle(document.querySelector('{name}')).display") == "none"
    browser.call("Emulation.setEmulatedMedia", media="")
