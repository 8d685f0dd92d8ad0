"""A training that was stopped anywhere and goes on ends where one that was not stopped does, to the last bit."""

import errno
import os
import signal
import threading

import pytest
import torch

from pipeline.core.errors import StoppedError, TrainingError
from pipeline.losses.config import LossConfig
from pipeline.losses.objective import Objective
from pipeline.models.signal import Signal
from pipeline.models.vae import build
from pipeline.training.checkpoint import Checkpoints
from pipeline.training.config import TrainConfig
from pipeline.training.loop import fit
from tests.training.rows import Rows
from tests.training.test_loop import CPU, DESCRIPTION, TRAIN, VALID

KINDS = {
    "gaussian": ({"type": "gaussian", "latent": 6, "prior": {"type": "normal"}}, {}, {}),
    "average": ({"type": "gaussian", "latent": 6, "batch_norm": True}, {}, {"moving_average": 0.9}),
    "plateau": (
        {"type": "gaussian", "latent": 6},
        {"kl": {"schedule": "cyclical"}},
        {"schedule": "plateau", "plateau": {"patience": 1}, "learning_rate": 0.03, "optimiser": "adam"},
    ),
    "codebook": ({"type": "vq", "codes": 8, "dim": 2, "prior_width": 8}, {"codebook": {}}, {}),
    "adversary": ({"type": "gaussian", "latent": 6}, {"adversarial": 0.1}, {}),
    "condition": ({"type": "gaussian", "latent": 6}, {}, {}),
}


class Killed(Rows):
    """Ends a training after some steps, as if the process had died there."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def step(self, terms):
        super().step(terms)
        if self.made == self.after:
            raise MemoryError


def run(kind, watch, folder=None, **settings):
    bottleneck, loss, own = KINDS[kind]
    condition = {"condition": {"type": "film"}, "labels": ["a"]} if kind == "condition" else {}
    network = {"type": "conv2d", "channels": [8, 16]}
    torch.manual_seed(3)
    model = build(DESCRIPTION | {"network": network, "bottleneck": bottleneck, **condition})
    config = TrainConfig(**{"epochs": 3, "batch_size": 16, "warmup_steps": 4, "snapshots": 2, **own, **settings})
    objective = Objective(LossConfig(**loss), Signal.of(DESCRIPTION))
    kept = None if folder is None else Checkpoints(folder, 0)
    history, snapshots = fit(model, TRAIN, VALID, config, objective, 7, CPU, watch, kept)
    return model.state_dict(), history, snapshots


def plain(history):
    """Without what depends on the clock."""
    return [{k: v for k, v in row.items() if "second" not in k} for row in history]


def assert_same(first, second):
    assert first[0].keys() == second[0].keys()
    assert all(torch.equal(first[0][name], second[0][name]) for name in first[0])
    assert plain(first[1]) == plain(second[1])
    assert first[2].epochs == second[2].epochs
    for one, other in zip(first[2].samples, second[2].samples, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_it_ends_with_the_same_bits_wherever_it_was_stopped(kind, tmp_path):
    complete, watch, told = Rows(), Rows(), {}
    whole = run(kind, complete)
    for stop in (1, 5, 3):  # each time that many steps further: within an epoch, and at the end of one
        killed = Killed(stop)
        with pytest.raises(MemoryError):
            run(kind, killed, tmp_path)
        told |= killed.told
    assert_same(whole, run(kind, watch, tmp_path))
    assert list(complete.told) == list(range(1, 19)) and told | watch.told == complete.told
    assert watch.begun[1] > 0 and watch.made < 18
    assert len(list(tmp_path.iterdir())) <= 2


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(tmp_path, capsys):
    whole = run("gaussian", Rows())
    with pytest.raises(MemoryError):
        run("gaussian", Killed(9), tmp_path)
    older, newer = sorted(tmp_path.glob("*.pt"))
    content = bytearray(newer.read_bytes())
    content[len(content) // 2] ^= 1
    newer.write_bytes(content)
    watch = Rows()
    assert_same(whole, run("gaussian", watch, tmp_path))
    printed = capsys.readouterr().out
    assert printed.count("damaged checkpoint") == 1 and newer.name in printed
    assert watch.begun[1] == int(older.name.split("-")[1])


def test_with_all_checkpoints_damaged_it_begins_anew(tmp_path):
    with pytest.raises(MemoryError):
        run("gaussian", Killed(4), tmp_path)
    for path in tmp_path.glob("*.pt"):
        path.write_bytes(path.read_bytes()[:100])
    watch = Rows()
    run("gaussian", watch, tmp_path, epochs=1)
    assert watch.begun[1] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_stops_after_the_step(number, tmp_path):
    class Signalled(Rows):
        def step(self, terms):
            super().step(terms)
            if self.made == 8:
                signal.raise_signal(number)

    before = signal.getsignal(number)
    with pytest.raises(StoppedError, match=f"{number.name} after step 8 of 18") as found:
        run("gaussian", Signalled(), tmp_path)
    assert found.value.exit_code == 128 + number and signal.getsignal(number) == before
    watch = Rows()
    assert_same(run("gaussian", Rows()), run("gaussian", watch, tmp_path))
    assert watch.begun[1] == 8


def test_a_training_runs_in_a_thread_that_no_signal_reaches():
    found = []
    thread = threading.Thread(target=lambda: found.append(run("gaussian", Rows(), epochs=1)))
    thread.start()
    thread.join()
    assert found


def test_a_full_disk_costs_the_checkpoint_and_not_the_training(tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert len(run("gaussian", Rows(), tmp_path)[1]) == 3
    assert "no checkpoint was written (No space left on device)" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_nothing_broken_is_saved(tmp_path, monkeypatch):
    distances = Objective.distances
    monkeypatch.setattr(Objective, "distances", lambda *a: {n: v * float("nan") for n, v in distances(*a).items()})
    with pytest.raises(TrainingError):
        run("gaussian", Rows(), tmp_path)
    assert list(tmp_path.iterdir()) == []
