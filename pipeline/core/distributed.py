"""One training on several devices: thin names over torch.distributed, which do nothing without a process group.

Each rank is a process with a device of its own. Of a global batch rank r of W holds the rows r, r + W, r + 2 W and so
on, as many as any other. All ranks call each of these functions in the same order, or wait for each other for ever.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pipeline.core.errors import ParamsError
from pipeline.core.params import PARAMS_FILE
from pipeline.core.process import cores

Shared = TypeVar("Shared")


def rank() -> int:
    """Number of this process, 0 to world_size() - 1."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Number of processes that train together; 1 without a process group."""
    return dist.get_world_size() if dist.is_initialized() else 1


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return all_reduce_sum(x) / world_size()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return all_reduce_sum(gradients[0]) / world_size()


def all_reduce_mean(x: Tensor) -> Tensor:
    """A tensor of the same shape on each rank, averaged over the ranks: the same bits on all of them.

    With it a mean over the local batch becomes one over the global batch. So does its gradient: it is averaged over the
    ranks too, and when the parameters' gradients are averaged afterwards (as DistributedDataParallel does), they are
    those of the mean over ranks of whatever each rank computed from it.
    """
    return x if world_size() == 1 else _Mean.apply(x)


def all_reduce_sum(x: Tensor) -> Tensor:
    """A tensor of the same shape on each rank, summed over the ranks; no gradient passes."""
    if world_size() == 1:
        return x.detach()
    x = x.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(x)
    return x


def global_batch(x: Tensor) -> Tensor:
    """The global batch (W * B, ...), in its own order, of each rank's share of it (B, ...); no gradient passes."""
    if world_size() == 1:
        return x.detach()
    return torch.stack(_parts(x.detach().contiguous()), dim=1).flatten(0, 1)


def all_gather(x: Tensor) -> Tensor:
    """Tensors of all ranks, (N of the rank, ...), one after the other in the ranks' order; no gradient passes.

    The host waits for the sizes: not for what runs at every step, where `global_batch` serves.
    """
    if world_size() == 1:
        return x.detach()
    sizes = all_gather_object(len(x))
    padded = x.new_zeros(max(sizes), *x.shape[1:])
    padded[: len(x)] = x.detach()
    return torch.cat([part[:size] for part, size in zip(_parts(padded), sizes, strict=True)])


def _parts(x: Tensor) -> list[Tensor]:
    """The tensors of all ranks, which are of the same shape."""
    parts = [torch.empty_like(x) for _ in range(world_size())]
    dist.all_gather(parts, x)
    return parts


def all_gather_object(value: Shared) -> list[Shared]:
    """The value (any that can be pickled, on the CPU) that each rank gave, in the ranks' order."""
    if world_size() == 1:
        return [value]
    found: list[Any] = [None] * world_size()
    dist.all_gather_object(found, value)
    return found


def broadcast_object(value: Shared) -> Shared:
    """The value (any that can be pickled, on the CPU) that rank 0 gave."""
    found = [value]
    if world_size() > 1:
        dist.broadcast_object_list(found)
    return found[0]


def broadcast_(*tensors: Tensor) -> None:
    """Overwrite tensors, of the same shapes on each rank, with those of rank 0."""
    if world_size() > 1:
        for tensor in tensors:
            dist.broadcast(tensor, 0)


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Average the gradients of parameters over the ranks, for a backward pass that DistributedDataParallel misses."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if world_size() == 1 or not gradients:
        return
    means = (all_reduce_sum(torch.cat([g.flatten() for g in gradients])) / world_size()).split(
        [g.numel() for g in gradients]
    )
    for gradient, averaged in zip(gradients, means, strict=True):
        gradient.copy_(averaged.view_as(gradient))


def pick_device(name: str) -> torch.device:
    """`runtime.device` as a device; auto takes a GPU where there is one.

    Raises:
        ParamsError: it names a device that this machine has not.
    """
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in found.items() if there))
    device = torch.device(name)
    if not found[device.type] or (device.index or 0) >= max(1, torch.cuda.device_count()):
        raise ParamsError(
            f"{PARAMS_FILE}: runtime.device: this machine has no {name} that torch can use; auto picks one"
        )
    return device


@contextmanager
def process_group(device: torch.device) -> Iterator[torch.device]:
    """Join the ranks that torchrun, or `training.launch`, has started; on its own a process stays on its own.

    On a CPU the cores of the host are divided among its ranks.

    Args:
        device: the kind of device to train on.

    Yields:
        The device of this rank.

    Raises:
        ParamsError: there are fewer devices of the kind on this host than ranks.
    """
    if "RANK" not in os.environ:
        yield device
        return
    local, ranks = int(os.environ["LOCAL_RANK"]), int(os.environ.get("LOCAL_WORLD_SIZE", os.environ["WORLD_SIZE"]))
    if device.type == "cpu":
        torch.set_num_threads(max(1, cores() // ranks))
    elif (there := torch.cuda.device_count() if device.type == "cuda" else 1) < ranks:
        raise ParamsError(
            f"{PARAMS_FILE}: train.devices: {ranks} were asked for, and this machine has {there} {device.type}"
        )
    if device.type == "cuda":
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
        dist.init_process_group("cpu:gloo,cuda:nccl", device_id=device)
    else:
        dist.init_process_group("gloo")
    yield device
    # Not after an error: it could wait for a rank that has ended, and the others must not see their connection closed
    # before this one's error has been told.
    dist.destroy_process_group()
