"""The numeric precision of a training on its device."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pipeline.training.config import TrainConfig


def precision(config: TrainConfig, device: torch.device) -> str:
    """fp32, tf32 or bf16: the meaning of `train.precision` on this device.

    auto is bf16 on a CUDA device with bf16 units, else fp32: on most CPUs bf16 is many times slower.
    """
    if config.precision != "auto":
        return config.precision
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"


def autocast(config: TrainConfig, device: torch.device) -> torch.autocast:
    """Forward passes in bf16 if that is the precision; weights, losses and quantisers stay in 32 bits."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision(config, device) == "bf16")


@contextmanager
def numerics(config: TrainConfig, device: torch.device) -> Iterator[None]:
    """Set torch's global switches for a training: threads, TF32 or not, fastest or reproducible kernels.

    With fp32 nothing is rounded; with tf32 and bf16 the remaining 32-bit products are (to 10 bits of mantissa).
    """
    tf32 = precision(config, device) != "fp32"
    before = (
        torch.get_float32_matmul_precision(),
        torch.backends.cudnn.allow_tf32,
        torch.backends.cudnn.benchmark,
        torch.are_deterministic_algorithms_enabled(),
        torch.get_num_threads(),
    )
    torch.set_num_threads(config.threads)
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = not config.deterministic  # tries the kernels of each convolution once
    torch.use_deterministic_algorithms(config.deterministic)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = before[1:3]
        torch.use_deterministic_algorithms(before[3])
        torch.set_num_threads(before[4])
