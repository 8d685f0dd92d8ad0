"""What is shown of a study that runs."""

import time

from pipeline.cli.study import status_display
from pipeline.studies.queue import State

QUEUED, EARLY, LATER = (
    State("queued"),
    State("running", "train@a, epoch 1 of 9"),
    State("running", "train@a, epoch 2 of 9"),
)
FAILED = State("failed", "train@a: the loss is not finite")


def test_without_a_terminal_there_is_a_line_for_each_change_but_none_for_each_epoch(capsys):
    with status_display("mine") as told:
        for state in (QUEUED, QUEUED, EARLY, LATER, FAILED):
            told({"first": state, "second": QUEUED})
    assert capsys.readouterr().out.splitlines() == [
        "first: queued",
        "second: queued",
        "first: running, train@a",
        "first: failed, train@a: the loss is not finite",
    ]


def test_on_a_terminal_there_is_one_table_with_the_epoch_and_the_time(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    with status_display("mine") as told:
        told({"first": State("running", "train@a, epoch 2 of 9", time.time() - 61), "second": QUEUED})
    shown = capsys.readouterr().out
    assert (
        "mine: 1 running, 1 queued" in shown and "train@a, epoch 2 of 9" in shown and "1\N{NO-BREAK SPACE}min" in shown
    )
