"""Which device a model runs on."""

import torch

from pipeline.errors import ParamsError
from pipeline.params import FILE


def pick(name: str) -> torch.device:
    """`runtime.device` as a device; auto takes a GPU where there is one.

    Raises:
        ParamsError: it names a device that this machine has not.
    """
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in found.items() if there))
    device = torch.device(name)
    if not found[device.type] or (device.index or 0) >= max(1, torch.cuda.device_count()):
        raise ParamsError(f"{FILE}: runtime.device: this machine has no {name} that torch can use; auto picks one")
    return device
