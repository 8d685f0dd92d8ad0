"""How much memory a device has left."""

import re
from collections.abc import Iterator
from pathlib import Path

import torch

PROC, CGROUP = Path("/proc"), Path("/sys/fs/cgroup")
# Limit, use, and what of the use are files that the system drops when memory is short: of cgroups 2 and of cgroups 1.
FILES = (
    ("memory.max", "memory.current", r"^(?:in)?active_file (\d+)$"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", r"^total_(?:in)?active_file (\d+)$"),
)


def available(device: torch.device) -> int | None:
    """Bytes that this process may still take on the device; None where that cannot be known.

    On a CPU they are what the machine has to spare, or less where a cgroup (a container, a batch job) limits it.
    """
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    if device.type != "cpu":
        return None
    try:
        spare = re.search(r"^MemAvailable:\s+(\d+) kB$", (PROC / "meminfo").read_text(), re.M)
    except OSError:  # not Linux
        return None
    return None if spare is None else min([1024 * int(spare[1]), *_limits()])


def _limits() -> Iterator[int]:
    """What each cgroup above this process leaves it."""
    try:
        lines = (PROC / "self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        top = CGROUP / controllers
        inner = top / path.lstrip("/")
        for folder in (inner, *inner.parents):
            yield from _left(folder)
            if folder == top:
                break


def _left(folder: Path) -> Iterator[int]:
    for limit, use, reclaimable in FILES:
        try:
            most, used = (int((folder / name).read_text()) for name in (limit, use))
            files = sum(map(int, re.findall(reclaimable, (folder / "memory.stat").read_text(), re.M)))
        except (OSError, ValueError):  # of the other version; the root, which has no limit; or "max"
            continue
        yield max(0, most - used + files)
