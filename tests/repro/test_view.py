"""What a build shows: lines without a terminal, a table on one."""

import io
import time
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.live import Live

from pipeline.repro.build import Job
from pipeline.repro.graph import Stage
from pipeline.repro.view import Lines, Table

NAMES = ["train@mel_conv", "report"]


def job(name="train@mel_conv", code=0, *lines):
    made = Job(Stage(name, frozenset()), SimpleNamespace(returncode=code))
    for line in lines:
        made.read(line)
    made.started, made.seconds = made.started - 30, 72.4
    return made


def test_without_a_terminal_every_line_names_its_stage(capsys):
    view = Lines(NAMES)
    view.on_line(job(), "  epoch 1 of 2")
    view.on_end(job())
    view.on_end(job("report", 255))
    view.on_poll([])
    assert capsys.readouterr().out.splitlines() == [
        "train@mel_conv |   epoch 1 of 2",
        "train@mel_conv | done after 0:01:12, 1 of 2",
        "report         | FAILED after 0:01:12, 2 of 2",
    ]


@pytest.fixture
def screen():
    """A table and a function that returns what the terminal has got since its last call."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, color_system=None, width=80, markup=False, emoji=False)
    with Live(console=console, auto_refresh=False) as live:

        def take():
            text = file.getvalue()
            file.truncate(0)
            file.seek(0)
            return text

        yield Table(NAMES, live), take


def test_the_table_shows_epoch_and_time_left_and_cuts_long_lines(screen):
    view, take = screen
    take()
    running = job("train@mel_conv", 0, "  epoch 5 of 20: " + "loss 1, " * 20)
    running.training_end = time.monotonic() + 60
    view.on_poll([running])
    title, header, row = take().splitlines()[-3:]
    assert "0 of 2 stages in 0:00:00" in title and header.split() == ["stage", "for", "epoch", "left", "last", "line"]
    assert row.startswith("train@mel_conv  0:00:30  5 of 20  0:01:00  epoch 5 of 20: loss 1")
    assert row.rstrip().endswith("…") and len(row) <= 80


def test_above_the_table_are_ends_warnings_and_what_failed(screen):
    view, take = screen
    for line in ("warning: slow", "nothing special"):
        view.on_line(job(), line)
    view.on_end(job("train@mel_conv", 0, "a result"))
    view.on_end(job("report", 255, "reading", "error: no data"))
    text = take()
    for shown in ("train@mel_conv | warning: slow", "| done after 0:01:12, 1 of 2", "report         | error: no data"):
        assert shown in text
    assert "nothing special" not in text and "a result" not in text and "report         | FAILED" in text
