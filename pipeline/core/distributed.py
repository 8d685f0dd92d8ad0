"""Train on several devices: thin wrappers of torch.distributed, which do nothing without a process group.

Each rank is a process with its own device. Rank r of W holds the rows r, r + W, r + 2 W, ... of a global batch; all
ranks hold the same number of rows. All ranks must call these functions in the same order, or they wait for ever.
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

Value = TypeVar("Value")


def rank() -> int:
    """Index of this process, from 0 to world_size() - 1."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Number of processes of this training; 1 without a process group."""
    return dist.get_world_size() if dist.is_initialized() else 1


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return all_reduce_sum(x) / world_size()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return all_reduce_sum(gradients[0]) / world_size()


def all_reduce_mean(x: Tensor) -> Tensor:
    """Mean over the ranks of a tensor with one shape on all ranks; all ranks get the same bits.

    It turns a mean over the local batch into a mean over the global batch. The backward pass averages the gradient over
    the ranks too. DistributedDataParallel then averages the gradients of the parameters, which gives the gradients of
    the mean loss over all ranks.
    """
    return x if world_size() == 1 else _Mean.apply(x)


def all_reduce_sum(x: Tensor) -> Tensor:
    """Sum over the ranks of a tensor with one shape on all ranks; without gradient."""
    if world_size() == 1:
        return x.detach()
    x = x.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(x)
    return x


def global_batch(x: Tensor) -> Tensor:
    """The global batch (W * B, ...) in its original order, from the B rows of each rank; without gradient."""
    if world_size() == 1:
        return x.detach()
    return torch.stack(_gather(x.detach().contiguous()), dim=1).flatten(0, 1)


def all_gather(x: Tensor) -> Tensor:
    """Concatenate the tensors (N, ...) of all ranks by rank, where N may differ; without gradient.

    It waits for the sizes on the host. Use `global_batch` in code that runs at every step.
    """
    if world_size() == 1:
        return x.detach()
    sizes = all_gather_object(len(x))
    padded = x.new_zeros(max(sizes), *x.shape[1:])
    padded[: len(x)] = x.detach()
    return torch.cat([part[:size] for part, size in zip(_gather(padded), sizes, strict=True)])


def _gather(x: Tensor) -> list[Tensor]:
    """The tensors of all ranks, which have one shape."""
    tensors = [torch.empty_like(x) for _ in range(world_size())]
    dist.all_gather(tensors, x)
    return tensors


def all_gather_object(value: Value) -> list[Value]:
    """The values of all ranks, by rank; a value must be on the CPU and picklable."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def broadcast_object(value: Value) -> Value:
    """The value of rank 0; it must be on the CPU and picklable."""
    values = [value]
    if world_size() > 1:
        dist.broadcast_object_list(values)
    return values[0]


def broadcast_(*tensors: Tensor) -> None:
    """Overwrite the tensors with the values of rank 0, in place; their shapes are the same on all ranks."""
    if world_size() > 1:
        for tensor in tensors:
            dist.broadcast(tensor, 0)


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Average gradients over the ranks, after a backward pass outside DistributedDataParallel."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if world_size() == 1 or not gradients:
        return
    flat = all_reduce_sum(torch.cat([g.flatten() for g in gradients])) / world_size()
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


@contextmanager
def process_group(device: torch.device) -> Iterator[torch.device]:
    """Join the process group of the ranks that torchrun or `training.launch` started; a single process needs none.

    Yields the device of this rank; ParamsError if this host has fewer devices than ranks.
    """
    if "RANK" not in os.environ:
        yield device
        return
    local_rank = int(os.environ["LOCAL_RANK"])
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", os.environ["WORLD_SIZE"]))
    if device.type != "cpu" and (count := torch.cuda.device_count() if device.type == "cuda" else 1) < ranks:
        raise ParamsError(
            f"{PARAMS_FILE}: train.devices: {ranks} requested, but this machine has {count} {device.type}"
        )
    if device.type == "cuda":
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
        dist.init_process_group("cpu:gloo,cuda:nccl", device_id=device)
    else:
        dist.init_process_group("gloo")
    yield device
    # Skip this after an error: it may wait for a rank that has ended, and it must not close the connection before this
    # rank has reported its error.
    dist.destroy_process_group()
