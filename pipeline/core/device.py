"""The device that a command or a stage computes on."""

import os

import torch

from pipeline.core.errors import ParamsError
from pipeline.core.params import PARAMS_FILE

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS is not reproducible; it reads this only once


def pick_device(name: str) -> torch.device:
    """The device that `runtime.device` names; auto prefers a GPU. ParamsError if this machine has no such device.

    A GPU with a number becomes the current one, which torch seeds and waits for. Convolutions keep 32 bits, where torch
    rounds them to TF32 on a GPU: only a training may round (`training.device.numerics`).
    """
    torch.backends.cudnn.allow_tf32 = False
    is_available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind in is_available if is_available[kind]))
    device = torch.device(name)
    if not is_available[device.type] or (device.index or 0) >= max(1, torch.cuda.device_count()):
        raise ParamsError(f"{PARAMS_FILE}: runtime.device: torch finds no {name} on this machine; use auto")
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)
    return device
