"""A training that is stopped anywhere and resumed gives the same bits as one that is not stopped."""

import errno
import os
import signal
import threading

import pytest
import torch

from pipeline.core.errors import StoppedError, TrainingError
from pipeline.losses.objective import Objective
from pipeline.models.vae import VAE
from tests.training.small import (
    ISTFT,
    SECONDS,
    SEQUENCE,
    VOCODER_LOSS,
    Recording,
    new_model,
    new_objective,
    new_vocoder,
    new_wave_model,
    train,
)

TYPES = ["patch", "multi_period"]
KINDS = {
    "gaussian": ({"type": "gaussian", "latent": 6, "prior": {"type": "normal"}}, {}, {}),
    "average": ({"type": "gaussian", "latent": 6, "batch_norm": True}, {}, {"moving_average": 0.9}),
    "plateau": (
        {"type": "gaussian", "latent": 6},
        {"kl": {"schedule": "cyclical"}},
        {
            "schedule": "plateau",
            "plateau": {"patience": 1},
            "learning_rate": 0.03,
            "optimiser": "adam",
            "augment": {"gain_db": 3},
        },
    ),
    "codebook": ({"type": "vq", "codes": 8, "dim": 2, "prior_width": 8}, {"codebook": {}}, {}),
    "adversary": (
        {"type": "gaussian", "latent": 6},
        {"adversarial": {"weight": 0.1, "feature_matching": 1.0, "start": 0.4}},  # in the middle of an epoch
        {"moving_average": 0.9},
    ),
    "condition": ({"type": "gaussian", "latent": 6}, {}, {}),
    "crops": (
        SEQUENCE,
        {"spectral": {"type": "mrstft", "weight": 0.1}, "adversarial": {"types": TYPES, "weight": 0.1, "start": 0.4}},
        {"crop_seconds": SECONDS, "moving_average": 0.9, "batch_size": 6},
    ),
    "components": ({"type": "gaussian", "latent": 6}, {}, {"moving_average": 0.9}),
    "vocoder": (
        None,
        VOCODER_LOSS | {"adversarial": {"types": TYPES, "weight": 0.1, "start": 0.4}},
        {"crop_seconds": SECONDS, "batch_size": 6},
    ),
}
COMPONENTS = {"type": "conv2d", "channels": [8, 16], "components": 8}


class Killed(Recording):
    """Ends a training after some steps, as if the process had died there."""

    def __init__(self, steps):
        super().__init__()
        self.last = steps

    def on_step(self, terms):
        super().on_step(terms)
        if self.steps == self.last:
            raise MemoryError


def run(kind, callback, folder=None, **settings):
    bottleneck, loss, train_settings = KINDS[kind]
    parts = {"condition": {"type": "film"}, "labels": ["a"]} if kind in ("condition", "components") else {}
    parts |= {"network": COMPONENTS} if kind == "components" else {}
    if kind == "vocoder":
        model = new_vocoder(3)
    else:
        model = new_wave_model(3, network=ISTFT) if kind == "crops" else new_model(3, bottleneck=bottleneck, **parts)
    settings = {"epochs": 3, "snapshots": 2, "learning_rate": 1e-3} | train_settings | settings
    history, snapshots = train(model, new_objective(**loss), 7, callback, folder, **settings)
    return model.state_dict(), history, snapshots


def assert_same(first, second):
    assert first[0].keys() == second[0].keys()
    assert all(torch.equal(first[0][name], second[0][name]) for name in first[0])
    assert first[1] == second[1]
    assert first[2].epochs == second[2].epochs
    assert all(map(torch.equal, first[2].samples, second[2].samples))


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"gaussian"}))  # the tests below resume it
def test_a_resumed_training_gives_the_same_bits(kind, tmp_path):
    complete, callback, terms = Recording(), Recording(), {}
    expected = run(kind, complete)
    for stop in (1, 5, 3):  # each time that many steps further: within an epoch, and at the end of one
        killed = Killed(stop)
        with pytest.raises(MemoryError):
            run(kind, killed, tmp_path)
        terms |= killed.step_terms
    assert_same(expected, run(kind, callback, tmp_path))
    assert list(complete.step_terms) == list(range(1, 19)) and terms | callback.step_terms == complete.step_terms
    assert callback.start[1] > 0 and callback.steps < 18
    assert len(list(tmp_path.iterdir())) <= 2


def test_a_resumed_training_is_not_prepared_again(tmp_path, monkeypatch):
    killed = Killed(2)
    with pytest.raises(MemoryError):
        run("components", killed, tmp_path)
    assert killed.fitted == COMPONENTS["components"]

    def fit(*_):
        raise AssertionError("fitted again")

    monkeypatch.setattr(VAE, "fit", fit)
    callback = Recording()
    run("components", callback, tmp_path, epochs=1)
    assert callback.start[1] > 0 and callback.fitted == 0
    with pytest.raises(AssertionError, match="fitted again"):  # without a checkpoint
        run("components", Recording(), epochs=1)


def test_a_damaged_checkpoint_is_skipped_with_a_warning(tmp_path, capsys):
    expected = run("gaussian", Recording())
    with pytest.raises(MemoryError):
        run("gaussian", Killed(9), tmp_path)
    older, newer = sorted(tmp_path.glob("*.pt"))
    content = bytearray(newer.read_bytes())
    content[len(content) // 2] ^= 1
    newer.write_bytes(content)
    callback = Recording()
    assert_same(expected, run("gaussian", callback, tmp_path))
    printed = capsys.readouterr().out
    assert printed.count("damaged checkpoint") == 1 and newer.name in printed
    assert callback.start[1] == int(older.name.split("-")[1])


def test_with_all_checkpoints_damaged_the_training_starts_anew(tmp_path):
    with pytest.raises(MemoryError):
        run("gaussian", Killed(4), tmp_path)
    for path in tmp_path.glob("*.pt"):
        path.write_bytes(path.read_bytes()[:100])
    callback = Recording()
    run("gaussian", callback, tmp_path, epochs=1)
    assert callback.start[1] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_stops_after_the_step(number, tmp_path):
    class Signalled(Recording):
        def on_step(self, terms):
            super().on_step(terms)
            if self.steps == 8:
                signal.raise_signal(number)

    before = signal.getsignal(number)
    with pytest.raises(StoppedError, match=f"{number.name} after step 8 of 18") as error:
        run("gaussian", Signalled(), tmp_path)
    assert error.value.exit_code == 128 + number and signal.getsignal(number) == before
    callback = Recording()
    assert_same(run("gaussian", Recording()), run("gaussian", callback, tmp_path))
    assert callback.start[1] == 8


def test_a_training_runs_in_another_thread():
    results = []
    thread = threading.Thread(target=lambda: results.append(run("gaussian", Recording(), epochs=1)))
    thread.start()
    thread.join()
    assert results


def test_a_full_disk_costs_only_the_checkpoint(tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert len(run("gaussian", Recording(), tmp_path)[1]) == 3
    assert "no checkpoint was written (No space left on device)" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_broken_steps_are_not_saved(tmp_path, monkeypatch):
    distances = Objective.distances
    monkeypatch.setattr(Objective, "distances", lambda *a: {n: v * float("nan") for n, v in distances(*a).items()})
    with pytest.raises(TrainingError):
        run("gaussian", Recording(), tmp_path)
    assert list(tmp_path.iterdir()) == []
