"""Networks of the user, as files of `torch.export.save`. Load only files that you trust."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor


def load_exported(path: Path) -> "Callable[[Tensor], Tensor]":
    """The network in a file, as a function without gradient.

    Raises:
        DataError: the file is no exported network. The function raises it if the network does not take its input, or
            gives no tensor.
    """
    import torch  # slow, and who has no such file does not need it

    logging.getLogger("torch.export").setLevel(logging.ERROR)  # it logs a traceback before it raises
    try:
        network = torch.export.load(path).module()
    except Exception as error:  # the file decides which: zip, JSON, torch, ...
        raise DataError(f"{path}: not a file of torch.export.save") from error

    @torch.no_grad()
    def call(x: "Tensor") -> "Tensor":
        try:
            y = network(x)
        except (RuntimeError, AssertionError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"{path}: it does not take {tuple(x.shape)} float32 ({reason})") from error
        if not isinstance(y, torch.Tensor):
            raise DataError(f"{path}: it gives a {type(y).__name__}, not a tensor")
        return y

    return call
