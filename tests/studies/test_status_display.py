"""The display of a running study."""

import time

from pipeline.cli.study import status_display
from pipeline.studies.queue import State

QUEUED = State("queued")
EPOCH_1, EPOCH_2 = (State("running", f"train@a, epoch {n} of 9") for n in (1, 2))
FAILED = State("failed", "train@a: the loss is not finite")


def test_without_a_terminal_each_change_of_a_stage_or_status_is_a_line(capsys):
    with status_display("mine") as display:
        for state in (QUEUED, QUEUED, EPOCH_1, EPOCH_2, FAILED):
            display({"first": state, "second": QUEUED})
    assert capsys.readouterr().out.splitlines() == [
        "first: queued",
        "second: queued",
        "first: running, train@a",
        "first: failed, train@a: the loss is not finite",
    ]


def test_on_a_terminal_a_table_shows_epoch_and_time(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    with status_display("mine") as display:
        display({"first": State("running", "train@a, epoch 2 of 9", time.time() - 61), "second": QUEUED})
    output = capsys.readouterr().out
    assert "mine: 1 running, 1 queued" in output and "train@a, epoch 2 of 9" in output
    assert "1\N{NO-BREAK SPACE}min" in output
