"""The device of a stage or a command, on a machine with two GPUs that torch only claims to have."""

import os

import pytest
import torch

from pipeline.core.device import pick_device
from pipeline.core.errors import ParamsError


@pytest.fixture
def current(monkeypatch) -> list[torch.device]:
    """The devices that became the current one."""
    devices: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", devices.append)
    return devices


def test_a_gpu_with_a_number_becomes_the_current_one(current):
    assert pick_device("cuda:1") == torch.device("cuda:1") and current == [torch.device("cuda:1")]


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_without_a_number_it_is_the_gpu_that_is_current_already(name, current):
    assert pick_device(name) == torch.device("cuda") and not current


def test_a_gpu_that_is_missing_is_refused(current):
    with pytest.raises(ParamsError, match="torch finds no cuda:2 on this machine; use auto"):
        pick_device("cuda:2")


def test_only_a_training_may_round_convolutions(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    pick_device("cpu")
    assert not torch.backends.cudnn.allow_tf32


def test_cublas_is_reproducible_from_the_start():
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"]
