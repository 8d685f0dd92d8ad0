"""Compute all shards of a representation, and the statistics of its train split."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, as_completed
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from pipeline.audio.representation import RepresentationConfig
from pipeline.cache.plan import Shard
from pipeline.cache.shard import STATISTICS_KEY, code_fingerprint, combine_statistics, write_shard
from pipeline.core import workspace
from pipeline.core.process import WorkerDiedError
from pipeline.sources.config import SPLITS

MAX_FAILED_POOLS = 3  # consecutive pools that lost a worker and finished no shard

OpenExecutor = Callable[[], AbstractContextManager[Executor]]


@contextmanager
def resumable_folder(
    name: str, shards: list[Shard], config: RepresentationConfig, seconds: float, tracks: pd.DataFrame
) -> Iterator[Path]:
    """A folder for finished shards: a stage that was killed continues with them. Deleted if the block succeeds.

    It is not in an output of DVC, which deletes outputs before a stage runs.
    """
    parent = workspace.state_folder() / "cache"
    parent.mkdir(exist_ok=True)
    folder = parent / f"{name}-{fingerprint(shards, config, seconds, tracks)}"
    with workspace.hold_lock(parent / f".{folder.name}.lock", f"caching {name} from the same recordings"):
        folder.mkdir(exist_ok=True)
        yield folder
        shutil.rmtree(folder, ignore_errors=True)


def fingerprint(shards: list[Shard], config: RepresentationConfig, seconds: float, tracks: pd.DataFrame) -> str:
    """A digest of all that decides the shards' bytes."""
    digests = tracks.set_index("track_id")["sha256"]
    recordings = {track.track_id: digests[track.track_id] for shard in shards for track in shard.tracks}
    plan = [asdict(shard) for shard in shards]
    return workspace.fingerprint([config.model_dump(), seconds, plan, recordings, code_fingerprint()])


def compute_shards(
    shards: list[Shard],
    config: RepresentationConfig,
    seconds: float,
    recordings: Path,
    folder: Path,
    open_executor: OpenExecutor,
) -> None:
    """Write the shards that `folder` lacks, which every worker must see. The executor does not change their bytes.

    If a worker is killed, its shard is computed again. Finished shards stay after any error.

    Raises:
        DataError: a recording differs from the file that stage `windows` read.
        WorkerDiedError: workers die again and again.
    """
    task = partial(
        write_shard, config=config, seconds=seconds, recordings=recordings, folder=folder, code=code_fingerprint()
    )
    missing = _missing(shards, folder)
    if len(missing) < len(shards):
        workspace.say(f"{len(shards) - len(missing)} of {len(shards)} shards were finished before")
    total = sum(shard.row_count for shard in shards)
    failures = 0
    with tqdm(total=total, desc="caching", unit="row", disable=None) as bar:
        while missing:
            bar.update(total - sum(shard.row_count for shard in missing) - bar.n)
            try:
                with open_executor() as executor:
                    futures = {executor.submit(task, shard): shard for shard in missing}
                    for future in as_completed(futures):
                        future.result()
                        bar.update(futures[future].row_count)
            except WorkerDiedError:
                remaining = _missing(missing, folder)
                failures = failures + 1 if len(remaining) == len(missing) else 0
                if failures == MAX_FAILED_POOLS:
                    raise
                missing = remaining
                workspace.say(f"a worker died; {len(missing)} shards are left")
            else:
                break


def _missing(shards: list[Shard], folder: Path) -> list[Shard]:
    """The shards that `folder` does not hold, or only in part (after a power failure)."""

    def is_finished(shard: Shard) -> bool:
        try:
            return bool(pq.read_metadata(folder / shard.name).num_rows == shard.row_count)
        except (OSError, pa.ArrowInvalid):
            return False

    return [shard for shard in shards if not is_finished(shard)]


def collect_shards(
    shards: list[Shard], config: RepresentationConfig, seconds: float, folder: Path, out: Path
) -> dict[str, Any]:
    """Put the finished shards of `folder` into `out`, and write stats.json there; its content.

    stats.json: representation, seconds and shape of a window, windows per split, sha256 of each shard, mean and std of
    the train split.
    """
    windows = dict.fromkeys(SPLITS, 0)
    for shard in shards:
        windows[shard.split] += sum(row.windows for track in shard.tracks for row in track.rows)
        workspace.link(folder / shard.name, out / shard.name)
    train = [shard.name for shard in shards if shard.split == "train"]
    sums = [pq.read_metadata(out / name).metadata[STATISTICS_KEY.encode()] for name in train]
    stats = {
        "representation": config.model_dump(),
        "seconds": seconds,
        "shape": config.shape(seconds),
        "windows": windows,
        "shards": {shard.name: workspace.sha256(out / shard.name) for shard in shards},
        **combine_statistics(sums),
    }
    workspace.write_json(out / "stats.json", stats)
    return stats
