"""The command and its page: it needs no other file, escapes text, and says what to do."""

import csv
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipeline.cli import app
from tests.board.contents import row, write
from tests.report.browser import NAMES, Browser, installed
from tests.report.parsed import Page

EVIL = '"><script>alert(1)</script>'
ALICE = [row("mel_a", 0.02, mse=0.3), row("pca", 0.03, "baseline"), row("wave_a", 0.05, mse=0.1)]
BOB = [row("mel_b", 0.01, mse=0.4), row("pca", 0.03, "baseline"), row("wave_b", 0.04, collapsed=1)]


def board(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["board", *map(str, arguments)])


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [write(tmp_path / "alice.json", *ALICE), write(tmp_path / "bob.json", *BOB)]


def page(out: Path) -> Page:
    return Page((out / "index.html").read_text(encoding="utf-8"))


def test_a_page_and_a_table_of_all_rows(files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "new" / "board"
    result = board(*files, "--out", out)
    assert result.exit_code == 0 and result.stdout == f"5 rows of 2 files: {out / 'index.html'}\n"
    with (out / "board.csv").open(encoding="utf-8") as file:
        assert [line["variant"] for line in csv.DictReader(file)] == ["mel_b", "mel_a", "pca", "wave_b", "wave_a"]
    text = page(out).text
    assert "mel_b from bob has the lowest error of 3 trained variants." in text
    assert "108 windows of 18 recordings" in text and "alice, bob" in text
    assert "network.type conv2d" in text and "evaluate.audio_windows 12" in text
    assert "trained on different recordings" not in text


def test_the_best_of_a_column_or_of_an_input_is_bold(files: list[Path], tmp_path: Path) -> None:
    board(*files, "--out", tmp_path)
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'<td data-value="([\d.]+)"(?: hidden)? class=best>', html) == ["0.01", "0.3", "0.1"]


def test_other_training_data_are_pointed_out(files: list[Path], tmp_path: Path) -> None:
    other = write(tmp_path / "carol.json", training={"fingerprint": "w"})
    board(*files, other, "--out", tmp_path)
    assert "trained on different recordings" in page(tmp_path).text


def test_the_page_needs_no_other_file_and_its_links_lead_somewhere(files: list[Path], tmp_path: Path) -> None:
    board(*files, "--out", tmp_path)
    tags = page(tmp_path).tags
    links = [value for _, attributes in tags for key in ("src", "href", "action") if (value := attributes.get(key))]
    ids = {attributes.get("id") for _, attributes in tags}
    assert links and {link for link in links if link != "data:,"} <= {f"#{name}" for name in ids}
    assert "url(" not in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_text_of_strangers_is_escaped(tmp_path: Path) -> None:
    evil = row(EVIL, 0.01) | {"representation": EVIL, "input": EVIL, "settings": {EVIL: EVIL}}
    changes = {"commit": EVIL, "melisma": EVIL, "source": EVIL, "protocol": {EVIL: EVIL}}
    path = write(tmp_path / '<script>"a.json', evil, row("mel_a", 0.02, **{EVIL: 1.0}), **changes)
    assert board(path, "--out", tmp_path / "out").exit_code == 0
    shown = page(tmp_path / "out")
    assert [tag for tag, _ in shown.tags].count("script") == 1  # the page's own
    assert not {name for _, attributes in shown.tags for name in attributes if name.startswith("on")}
    assert shown.text.count("alert(1)") >= 9


def test_files_without_rows_are_an_empty_table(tmp_path: Path) -> None:
    assert board(write(tmp_path / "a.json"), "--out", tmp_path).exit_code == 0
    assert "No trained variant has a place." in page(tmp_path).text


def test_an_error_is_one_line_and_leaves_the_earlier_page(files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    board(files[0], "--out", out)
    before = (out / "index.html").read_bytes()
    other = write(tmp_path / "other.json", protocol={"evaluate.audio_windows": 24})
    for arguments, code, message in (
        ([files[0], other], 1, "evaluate.audio_windows: 12 and 24"),
        ([tmp_path / "none.json"], 2, "no such file"),
        ([*files, "--out", files[0]], 2, "alice.json: a file; name a folder"),
        ([], 2, "Missing argument"),
    ):
        result = board("--out", out, *arguments)
        assert result.exit_code == code and message in result.stderr, result.stderr
        assert code == 2 or result.stderr.count("\n") == 1
    assert (out / "index.html").read_bytes() == before


@pytest.mark.e2e
@pytest.mark.skipif(installed() is None, reason=f"no browser: none of {', '.join(NAMES)} is on PATH")
def test_the_page_in_a_browser(files: list[Path], tmp_path: Path) -> None:
    board(*files, write(tmp_path / f"{'long' * 20}.json", row(f"wave_{'x' * 150}", 0.06)), "--out", tmp_path)
    browser = Browser(tmp_path / "profile")
    try:
        for width in (390, 1280):
            browser.open(tmp_path / "index.html", width)
            browser.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
            assert browser.run("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
        files_of_rows = "[...document.querySelectorAll('#rows tbody tr')].map(r => r.cells[2].dataset.value)"
        for order in (sorted, lambda names: sorted(names, reverse=True)):
            browser.run("document.querySelectorAll('#rows thead button')[2].click()")
            assert browser.run(files_of_rows) == order(browser.run(files_of_rows))
        browser.run("document.querySelector('[name=search]').value = 'bob'")
        browser.run("document.querySelector('[name=search]').dispatchEvent(new Event('input', { bubbles: true }))")
        assert browser.run("document.getElementById('row-count').textContent") == "3 of 6 rows"
        assert browser.errors == []
    finally:
        browser.close()
