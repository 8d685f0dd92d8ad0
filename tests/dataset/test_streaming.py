"""Batches from disk are those from memory, and little of the disk is in memory."""

import json
import subprocess
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.core import arrays, workspace
from pipeline.core.errors import DataError, TrainingError
from pipeline.dataset.batches import Batch, ResidentLoader, WindowLoader
from pipeline.dataset.loader import window_loader
from pipeline.dataset.sampler import LANES
from pipeline.dataset.split import Split, read_split
from pipeline.dataset.streaming import StreamingLoader
from tests.dataset.shards import write

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]


def equal(ours: list[Batch], theirs: list[Batch]) -> bool:
    pairs = list(zip(ours, theirs, strict=True))
    return bool(pairs) and all(torch.equal(a.x, b.x) and torch.equal(a.label, b.label) for a, b in pairs)


@pytest.mark.parametrize("workers", [1, 5])
@pytest.mark.parametrize("spans", [False, True])
@pytest.mark.parametrize("kind", ["mel", "waveform"])
def test_batches_from_disk_are_those_from_memory_bit_by_bit(tmp_path, kind, spans, workers):
    split = write(tmp_path, kind, [40, 31, 1, 25], 6, spans)
    memory = ResidentLoader(split, CPU, ("b",), "streamed")
    disk = StreamingLoader(split, CPU, ("b",), workers)
    assert len(disk) == len(memory) > 97 - (not spans)
    assert equal(list(memory.batches(7)), list(disk.batches(7)))
    index = torch.randperm(len(memory))[:20]
    assert equal([memory.batch(index)], [disk.batch(index)])
    for size in (1, 8, 12, 500):
        whole = list(memory.epoch(size, 3, 1))
        assert equal(whole, list(disk.epoch(size, 3, 1))) and {len(x) for x, _ in whole} == {size}
    whole = list(memory.epoch(8, 3, 1))
    assert equal(whole[9:], list(disk.epoch(8, 3, 1, first=9)))
    assert not equal(whole, list(disk.epoch(8, 3, 2)))


@pytest.mark.parametrize("made", [ResidentLoader, StreamingLoader])
def test_ranks_together_have_the_whole(tmp_path, made):
    split = write(tmp_path, "waveform", [40, 31], 6, spans=True)
    data, whole = made(split, CPU), ResidentLoader(split, CPU, order="streamed")
    data.order = "streamed"
    for world in (2, 4):
        ranks = [list(data.epoch(8, 0, 5, first=2, rank=rank, world=world)) for rank in range(world)]
        expected = list(whole.epoch(8, 0, 5, first=2))
        for parts, batch in zip(zip(*ranks, strict=True), expected, strict=True):
            assert torch.equal(torch.stack([part.x for part in parts], 1).flatten(0, 1), batch.x)
        ranks = [list(data.batches(20, rank, world)) for rank in range(world)]
        expected = list(whole.batches(20))
        for number, batch in enumerate(expected):
            assert equal([ranks[number % world][number // world]], [batch])
        assert sum(map(len, ranks)) == len(expected)


def test_a_rank_without_a_batch_has_none(tmp_path):
    split = write(tmp_path, "mel", [5], 6)
    for data in (ResidentLoader(split, CPU), StreamingLoader(split, CPU)):
        assert list(data.batches(8, rank=1, world=2)) == []
        assert list(data.epoch(8, 0, 0, first=1)) == []


def test_an_epoch_mixes_groups_and_shows_every_window_once(tmp_path):
    split = write(tmp_path, "waveform", [200, 200, 80], 10)
    number_of = {bytes(values): number for number, values in enumerate(split.values)}
    stored = [(x[:, 0] * 32767).round().short().numpy() for x, _ in StreamingLoader(split, CPU).epoch(8, 0, 1)]
    numbers = [[number_of[bytes(values)] for values in batch] for batch in stored]
    assert sorted(chain.from_iterable(numbers)) == list(range(480))
    assert all(len({number // 10 for number in batch}) == LANES for batch in numbers)


@pytest.fixture
def reads(monkeypatch):
    """Row groups that are read, in order, and the largest number of them in memory at a time."""
    seen, held, most = [], [0], [0]
    lock, read = threading.Lock(), Split.read

    def let_go() -> None:
        with lock:
            held[0] -= 1

    def counted(self: Split, group: int) -> np.ndarray:
        values = read(self, group).copy()
        with lock:
            seen.append(group)
            held[0] += 1
            most[0] = max(most[0], held[0])
        weakref.finalize(values, let_go)
        return values

    monkeypatch.setattr(Split, "read", counted)
    return seen, most


def test_each_group_is_read_about_once_and_few_are_held(tmp_path, reads):
    split = write(tmp_path, "waveform", [500] * 6, 5)  # 600 groups
    seen, most = reads
    for _ in StreamingLoader(split, CPU).epoch(8, 0, 1):
        pass
    assert set(seen) == set(range(600)) and len(seen) <= 600 + 2 * LANES
    assert most[0] < 12 * LANES, most  # those of the batches ahead; of 600
    seen.clear()
    for _ in StreamingLoader(split, CPU).batches(8):
        pass
    assert Counter(seen) == dict.fromkeys(range(600), 1)


@pytest.mark.parametrize("world", [2, 4])
def test_a_rank_reads_its_share_of_the_groups(tmp_path, reads, world):
    split = write(tmp_path, "waveform", [500] * 4, 20)  # 100 groups
    seen, _ = reads
    data = StreamingLoader(split, CPU)
    sets = []
    for rank in range(world):
        seen.clear()
        for _ in data.epoch(16, 0, 1, rank=rank, world=world):
            pass
        sets.append(set(seen))
        assert len(seen) <= 100 / world + 2 * LANES
    assert set.union(*sets) == set(range(100))


def test_what_is_asked_for_alone_is_read_alone(tmp_path, reads):
    data = StreamingLoader(write(tmp_path, "mel", [60, 60], 10), CPU)
    data.batch(torch.tensor([119, 3, 0, 118]))
    assert sorted(reads[0]) == [0, 11]


@pytest.mark.parametrize("end", ["break", "error", "interrupt"])
def test_an_epoch_that_is_abandoned_leaves_no_thread(tmp_path, end):
    data = StreamingLoader(write(tmp_path, "mel", [200], 5), CPU)
    before = threading.active_count()

    def use() -> None:
        for number, _ in enumerate(data.epoch(4, 0, 1)):
            if number == 3:
                assert threading.active_count() > before
                if end == "break":
                    break
                raise {"error": ValueError, "interrupt": KeyboardInterrupt}[end]

    if end == "break":
        use()
    else:
        with pytest.raises((ValueError, KeyboardInterrupt)):
            use()
    assert threading.active_count() == before


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def other(path: Path) -> None:
    write(path.parent / "other", "mel", [3], 5)
    (path.parent / "other" / "train-00000.parquet").rename(path)


@pytest.mark.parametrize("damage", [Path.unlink, cut_short, other, lambda path: path.write_bytes(b"?" * 90_000)])
def test_a_shard_that_is_damaged_in_the_middle_of_an_epoch_is_one_line(tmp_path, damage):
    data = StreamingLoader(write(tmp_path, "mel", [500, 500], 5), CPU)
    before = threading.active_count()
    batches = data.epoch(4, 0, 1)
    next(batches)
    damage(tmp_path / "train-00001.parquet")
    with pytest.raises(DataError, match=r"train-00001\.parquet: .*run ") as caught:
        list(batches)
    assert "\n" not in str(caught.value) and threading.active_count() == before
    with pytest.raises(DataError, match=r"train-00001\.parquet: .*run "):
        data.batch(torch.arange(900, 1000))


def test_a_shard_that_is_missing_or_damaged_from_the_start_is_found_before_training(tmp_path):
    write(tmp_path, "mel", [9, 9], 5)
    for damage in (cut_short, Path.unlink):
        damage(tmp_path / "train-00001.parquet")
        with pytest.raises(DataError, match=r"train-00001\.parquet: (damaged|missing).*run `dvc repro"):
            read_split(tmp_path, "train")


def test_the_budget_decides_where_a_split_is(tmp_path):
    split = write(tmp_path, "mel", [20], 5)
    assert split.nbytes == 20 * 4 * 10 * 2 and "values" not in vars(split)
    resident, streamed = (
        window_loader(split, CPU, budget=split.nbytes),
        window_loader(split, CPU, budget=split.nbytes - 1),
    )
    assert isinstance(resident, ResidentLoader) and resident.order == "shuffled"
    assert isinstance(streamed, StreamingLoader) and streamed.order == "streamed"
    assert isinstance(window_loader(split, CPU, budget=0, order="streamed"), StreamingLoader)
    told = window_loader(split, CPU, order="streamed")
    assert isinstance(told, ResidentLoader) and equal(list(told.epoch(8, 0, 0)), list(streamed.epoch(8, 0, 0)))
    with pytest.raises(TrainingError, match=r"GiB.*raise train\.resident_gib, or set train\.order to auto"):
        window_loader(split, CPU, budget=0, order="shuffled")


@pytest.mark.gpu
@pytest.mark.parametrize("spans", [False, True])
@pytest.mark.parametrize("kind", ["mel", "waveform"])
def test_batches_on_a_gpu_are_those_on_a_cpu_bit_by_bit(tmp_path, kind, spans):
    split = write(tmp_path, kind, [40, 31, 1, 25], 6, spans)
    gpu = torch.device("cuda")
    expected = [list(data) for data in _ways(ResidentLoader(split, CPU, ("b",), "streamed"))]
    for data in (ResidentLoader(split, gpu, ("b",), "streamed"), StreamingLoader(split, gpu, ("b",))):
        for ours, theirs in zip(_ways(data), expected, strict=True):
            found = list(ours)  # all of them on the way at once: none may get the memory of another
            assert {x.device.type for x, _ in found} == {"cuda"}
            assert equal([Batch(x.cpu(), label.cpu()) for x, label in found], theirs)


def _ways(data: WindowLoader) -> list[Iterable[Batch]]:
    return [data.epoch(8, 3, 1), data.epoch(1, 0, 0), data.batches(7), [data.batch(torch.arange(0, len(data), 5))]]


# In a process of its own, so that its peak is of just this work: MiB before, after streaming, and after loading it all.
CODE = """
import json, sys
from pathlib import Path
import torch
from benchmarks.memory import most
from pipeline.cache.reader import read_split
from pipeline.training.data import ResidentLoader
from pipeline.training.stream import StreamingLoader
torch.set_num_threads(1)
split, cpu = read_split(Path(sys.argv[1]), "train"), torch.device("cpu")
data = StreamingLoader(split, cpu)
next(data.batches(8))
found = [most()]
assert sum(len(x) for x, _ in data.epoch(16, 0, 1)) == sum(len(x) for x, _ in data.batches(16)) == len(data)
data.batch(torch.linspace(0, len(data) - 1, 64).long())
found.append(most())
next(ResidentLoader(split, cpu).batches(8))
found.append(most())
print(json.dumps([split.nbytes / 2**20, *found]))
"""


def test_streaming_needs_a_fraction_of_the_memory_of_what_is_streamed(tmp_path):
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
    print(f"{size:.0f} MiB streamed with {streamed - before:.0f} MiB more, loaded with {loaded - before:.0f}")
    assert loaded - before > 0.9 * size > 270  # or this would prove nothing
    assert streamed - before < 0.6 * size
