"""Batches from disk equal those from memory, and only a few row groups are in memory."""

import json
import subprocess
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.core import arrays, workspace
from pipeline.core.errors import DataError, TrainingError
from pipeline.dataset import streaming
from pipeline.dataset.batches import Batch, WindowLoader
from pipeline.dataset.loader import ResidentLoader, window_loader
from pipeline.dataset.sampler import LANES
from pipeline.dataset.split import Split, read_split
from pipeline.dataset.streaming import StreamingLoader
from tests.dataset.shards import write

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]


def equal(a: list[Batch], b: list[Batch]) -> bool:
    pairs = list(zip(a, b, strict=True))
    return bool(pairs) and all(torch.equal(p.x, q.x) and torch.equal(p.label, q.label) for p, q in pairs)


@pytest.mark.parametrize("workers", [1, 5])
@pytest.mark.parametrize("spans", [False, True])
@pytest.mark.parametrize("kind", ["mel", "waveform"])
def test_batches_from_disk_equal_those_from_memory(tmp_path, monkeypatch, kind, spans, workers):
    monkeypatch.setattr(streaming, "WORKERS", workers)
    split = write(tmp_path, kind, [40, 31, 1, 25], 6, spans)
    memory = ResidentLoader(split, CPU, ("b",), "streamed")
    disk = StreamingLoader(split, CPU, ("b",))
    assert len(disk) == len(memory) > 97 - (not spans)
    assert equal(list(memory.batches(7)), list(disk.batches(7)))
    index = torch.randperm(len(memory))[:20]
    assert equal([memory.batch(index)], [disk.batch(index)])
    for size in (1, 8, 12, 500):
        epoch = list(memory.epoch(size, 3, 1))
        assert equal(epoch, list(disk.epoch(size, 3, 1))) and {len(x) for x, _ in epoch} == {size}
    epoch = list(memory.epoch(8, 3, 1))
    assert equal(epoch[9:], list(disk.epoch(8, 3, 1, first=9)))
    assert not equal(epoch, list(disk.epoch(8, 3, 2)))


@pytest.mark.parametrize("loader_class", [ResidentLoader, StreamingLoader])
def test_ranks_together_have_every_batch(tmp_path, loader_class):
    split = write(tmp_path, "waveform", [40, 31], 6, spans=True)
    loader, single = loader_class(split, CPU), ResidentLoader(split, CPU, sampler="streamed")
    loader.sampler = "streamed"
    for world in (2, 4):
        ranks = [list(loader.epoch(8, 0, 5, first=2, rank=rank, world=world)) for rank in range(world)]
        expected = list(single.epoch(8, 0, 5, first=2))
        for parts, batch in zip(zip(*ranks, strict=True), expected, strict=True):
            assert torch.equal(torch.stack([part.x for part in parts], 1).flatten(0, 1), batch.x)
        ranks = [list(loader.batches(20, rank, world)) for rank in range(world)]
        expected = list(single.batches(20))
        for number, batch in enumerate(expected):
            assert equal([ranks[number % world][number // world]], [batch])
        assert sum(map(len, ranks)) == len(expected)


def test_a_rank_without_a_batch_has_none(tmp_path):
    split = write(tmp_path, "mel", [5], 6)
    for loader in (ResidentLoader(split, CPU), StreamingLoader(split, CPU)):
        assert list(loader.batches(8, rank=1, world=2)) == []
        assert list(loader.epoch(8, 0, 0, first=1)) == []


@pytest.fixture
def reads(monkeypatch):
    """The row groups read, in order, and the largest number of them in memory at a time."""
    numbers, in_memory, peak = [], [0], [0]
    lock, read = threading.Lock(), Split.read

    def count_down() -> None:
        with lock:
            in_memory[0] -= 1

    def counting_read(self: Split, group: int) -> np.ndarray:
        values = read(self, group).copy()
        with lock:
            numbers.append(group)
            in_memory[0] += 1
            peak[0] = max(peak[0], in_memory[0])
        weakref.finalize(values, count_down)
        return values

    monkeypatch.setattr(Split, "read", counting_read)
    return numbers, peak


def test_each_group_is_read_about_once_and_few_are_in_memory(tmp_path, reads):
    split = write(tmp_path, "waveform", [500] * 6, 5)  # 600 groups
    numbers, peak = reads
    for _ in StreamingLoader(split, CPU).epoch(8, 0, 1):
        pass
    assert set(numbers) == set(range(600)) and len(numbers) <= 600 + 2 * LANES
    assert peak[0] < 12 * LANES, peak  # of 600: the groups of the prefetched batches
    numbers.clear()
    for _ in StreamingLoader(split, CPU).batches(8):
        pass
    assert Counter(numbers) == dict.fromkeys(range(600), 1)


@pytest.mark.parametrize("world", [2, 4])
def test_a_rank_reads_its_share_of_the_groups(tmp_path, reads, world):
    split = write(tmp_path, "waveform", [500] * 4, 20)  # 100 groups
    numbers, _ = reads
    loader = StreamingLoader(split, CPU)
    sets = []
    for rank in range(world):
        numbers.clear()
        for _ in loader.epoch(16, 0, 1, rank=rank, world=world):
            pass
        sets.append(set(numbers))
        assert len(numbers) <= 100 / world + 2 * LANES
    assert set.union(*sets) == set(range(100))


def test_a_batch_reads_only_the_groups_of_its_windows(tmp_path, reads):
    loader = StreamingLoader(write(tmp_path, "mel", [60, 60], 10), CPU)
    loader.batch(torch.tensor([119, 3, 0, 118]))
    assert sorted(reads[0]) == [0, 11]


@pytest.mark.parametrize("end", ["break", "error", "interrupt"])
def test_an_abandoned_epoch_leaves_no_thread(tmp_path, end):
    loader = StreamingLoader(write(tmp_path, "mel", [200], 5), CPU)
    before = threading.active_count()

    def abandon() -> None:
        for number, _ in enumerate(loader.epoch(4, 0, 1)):
            if number == 3:
                assert threading.active_count() > before
                if end == "break":
                    break
                raise {"error": ValueError, "interrupt": KeyboardInterrupt}[end]

    if end == "break":
        abandon()
    else:
        with pytest.raises((ValueError, KeyboardInterrupt)):
            abandon()
    assert threading.active_count() == before


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def replace(path: Path) -> None:
    write(path.parent / "other", "mel", [3], 5)
    (path.parent / "other" / "train-00000.parquet").rename(path)


@pytest.mark.parametrize("damage", [Path.unlink, cut_short, replace, lambda path: path.write_bytes(b"?" * 90_000)])
def test_a_shard_that_is_damaged_during_an_epoch_is_a_short_error(tmp_path, damage):
    loader = StreamingLoader(write(tmp_path, "mel", [500, 500], 5), CPU)
    before = threading.active_count()
    batches = loader.epoch(4, 0, 1)
    next(batches)
    damage(tmp_path / "train-00001.parquet")
    with pytest.raises(DataError, match=r"train-00001\.parquet: .*run ") as caught:
        list(batches)
    assert "\n" not in str(caught.value) and threading.active_count() == before
    with pytest.raises(DataError, match=r"train-00001\.parquet: .*run "):
        loader.batch(torch.arange(900, 1000))


def test_a_missing_or_damaged_shard_is_found_when_the_split_is_opened(tmp_path):
    write(tmp_path, "mel", [9, 9], 5)
    for damage in (cut_short, Path.unlink):
        damage(tmp_path / "train-00001.parquet")
        with pytest.raises(DataError, match=r"train-00001\.parquet: (damaged|missing).*run `dvc repro"):
            read_split(tmp_path, "train")


def test_a_split_above_the_limit_is_streamed(tmp_path):
    split = write(tmp_path, "mel", [20], 5)
    assert split.nbytes == 20 * 4 * 10 * 2 and "values" not in vars(split)
    resident = window_loader(split, CPU, max_resident_bytes=split.nbytes)
    streamed = window_loader(split, CPU, max_resident_bytes=split.nbytes - 1)
    assert isinstance(resident, ResidentLoader) and resident.sampler == "shuffled"
    assert isinstance(streamed, StreamingLoader) and streamed.sampler == "streamed"
    assert isinstance(window_loader(split, CPU, max_resident_bytes=0, sampler="streamed"), StreamingLoader)
    mixed = window_loader(split, CPU, sampler="streamed")
    assert isinstance(mixed, ResidentLoader) and equal(list(mixed.epoch(8, 0, 0)), list(streamed.epoch(8, 0, 0)))
    with pytest.raises(TrainingError, match=r"GiB.*raise train\.resident_gib, or set train\.order to auto"):
        window_loader(split, CPU, max_resident_bytes=0, sampler="shuffled")


@pytest.mark.gpu
@pytest.mark.parametrize("spans", [False, True])
@pytest.mark.parametrize("kind", ["mel", "waveform"])
def test_batches_on_a_gpu_equal_those_on_a_cpu(tmp_path, kind, spans):
    split = write(tmp_path, kind, [40, 31, 1, 25], 6, spans)
    # Without a GPU this only checks that the test runs.
    gpu = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    expected = [list(batches) for batches in _all_batches(ResidentLoader(split, CPU, ("b",), "streamed"))]
    for loader in (ResidentLoader(split, gpu, ("b",), "streamed"), StreamingLoader(split, gpu, ("b",))):
        for gpu_batches, cpu_batches in zip(_all_batches(loader), expected, strict=True):
            batches = list(gpu_batches)  # all at once: no two may share memory
            assert {x.device.type for x, _ in batches} == {gpu.type}
            assert equal([Batch(x.cpu(), label.cpu()) for x, label in batches], cpu_batches)


def _all_batches(loader: WindowLoader) -> list[Iterable[Batch]]:
    index = torch.arange(0, len(loader), 5)
    return [loader.epoch(8, 3, 1), loader.epoch(1, 0, 0), loader.batches(7), [loader.batch(index)]]


# Runs in a process of its own. Peak MiB before streaming, after it, and after loading the split.
CODE = """
import json, sys
from pathlib import Path
import torch
from benchmarks.measure import peak_memory
from pipeline.dataset.loader import ResidentLoader
from pipeline.dataset.split import read_split
from pipeline.dataset.streaming import StreamingLoader
torch.set_num_threads(1)
split, cpu = read_split(Path(sys.argv[1]), "train"), torch.device("cpu")
loader = StreamingLoader(split, cpu)
next(loader.batches(8))
peaks = [peak_memory()]
assert sum(len(x) for x, _ in loader.epoch(16, 0, 1)) == sum(len(x) for x, _ in loader.batches(16)) == len(loader)
loader.batch(torch.linspace(0, len(loader) - 1, 64).long())
peaks.append(peak_memory())
next(ResidentLoader(split, cpu).batches(8))
peaks.append(peak_memory())
print(json.dumps([split.nbytes / 2**20, *peaks]))
"""


def test_streaming_needs_a_fraction_of_the_memory_of_the_split(tmp_path):
    shape, names = (64, 432), [f"train-{number:05d}.parquet" for number in range(10)]
    for name in names:
        with arrays.Writer(tmp_path / name) as writer:
            for number in range(600):
                values = np.full(shape, -float(number % 80), np.float16)
                writer.add({"window_id": number, "track_id": "t", "label": "a", "mel": values})
    stats = {"representation": {"kind": "mel"}, "shape": shape, "shards": dict.fromkeys(names, "")}
    workspace.write_json(tmp_path / "stats.json", stats)
    ran = subprocess.run([sys.executable, "-c", CODE, tmp_path], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    size, before, streamed, loaded = json.loads(ran.stdout)
    assert loaded - before > 0.9 * size > 270  # else the test proves nothing
    assert streamed - before < 0.6 * size
