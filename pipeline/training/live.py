"""The memory that tensors hold while something runs, on any device."""

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Live(TorchDispatchMode):
    """While it is entered, counts the bytes of the storages that operations make, each once, until they are freed.

    It sees what autograd keeps and what lies between two operations of forward and backward pass, and not what an
    operation takes and gives back by itself.

    Attributes:
        timeline: bytes after each operation, less those of `held`.

    Args:
        held: tensors that are there before and count when they are freed, which brings the timeline below 0.
    """

    def __init__(self, held: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.timeline: list[int] = []
        self._bytes = 0
        self._known: set[int] = set()
        for tensor in held:
            self._meet(tensor, counts=True)
        self._before = self._bytes

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operation; a storage that comes out of it and did not go in is new."""
        kwargs = kwargs or {}
        for tensor in _tensors((args, kwargs)):
            self._meet(tensor, counts=False)
        made = func(*args, **kwargs)
        for tensor in _tensors(made):
            self._meet(tensor, counts=True)
        self.timeline.append(self._bytes - self._before)
        return made

    def _meet(self, tensor: Tensor, counts: bool) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes() if counts else 0
        if key not in self._known:
            self._known.add(key)
            self._bytes += size
            weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._bytes -= size


def _tensors(values: Any) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, torch.Tensor)]
