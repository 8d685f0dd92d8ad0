"""All shards of a representation, and the statistics of its train split."""

from collections.abc import Callable
from concurrent.futures import Executor, as_completed
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from pipeline.audio.representation import RepresentationConfig
from pipeline.cache import shard as shards
from pipeline.cache.plan import Shard
from pipeline.cache.shard import code_version
from pipeline.cache.statistics import combine
from pipeline.core import workspace
from pipeline.core.process import WorkerDiedError
from pipeline.sources.config import SPLITS

ATTEMPTS = 3  # pools in a row that lost a worker without finishing a shard

Workers = Callable[[], AbstractContextManager[Executor]]


def fingerprint(planned: list[Shard], config: RepresentationConfig, seconds: float, tracks: pd.DataFrame) -> str:
    """Of all that decides the shards' bytes."""
    digests = tracks.set_index("track_id")["sha256"]
    used = {piece.track_id: digests[piece.track_id] for shard in planned for piece in shard.pieces}
    described = [config.model_dump(), seconds, [asdict(shard) for shard in planned], used, code_version()]
    return workspace.fingerprint(described)


def compute(
    planned: list[Shard],
    config: RepresentationConfig,
    seconds: float,
    recordings: Path,
    folder: Path,
    workers: Workers,
) -> None:
    """Make the shards that `folder` does not hold yet; their bytes do not depend on who computes them.

    A shard whose worker was killed is done again. What is finished stays there whatever happens.

    Args:
        planned: all of them.
        config: the representation.
        seconds: of a window.
        recordings: folder of the audio files.
        folder: where they are written, on storage that every worker sees.
        workers: opens an executor.

    Raises:
        DataError: a recording is not what stage windows saw.
        WorkerDiedError: workers die again and again.
    """
    task = partial(
        shards.write, config=config, seconds=seconds, recordings=recordings, folder=folder, code=code_version()
    )
    missing = [shard for shard in planned if not _finished(folder / shard.name, shard.size)]
    if len(missing) < len(planned):
        workspace.say(f"{len(planned) - len(missing)} of {len(planned)} shards were finished before")
    total = sum(shard.size for shard in planned)
    failed = 0
    with tqdm(total=total, desc="caching", unit="row", disable=None) as bar:
        while missing:
            bar.update(total - sum(shard.size for shard in missing) - bar.n)
            try:
                with workers() as executor:
                    begun = {executor.submit(task, shard): shard for shard in missing}
                    for done in as_completed(begun):
                        done.result()
                        bar.update(begun[done].size)
            except WorkerDiedError:
                left = [shard for shard in missing if not _finished(folder / shard.name, shard.size)]
                failed = failed + 1 if len(left) == len(missing) else 0
                if failed == ATTEMPTS:
                    raise
                missing = left
                workspace.say(f"a worker died; {len(missing)} shards are left")
            else:
                break


def collect(
    planned: list[Shard], config: RepresentationConfig, seconds: float, folder: Path, out: Path
) -> dict[str, Any]:
    """Put the finished shards of `folder` into `out` and write stats.json there.

    Returns:
        What it holds: the representation, seconds and shape of a window, windows per split, sha256 of each shard, mean
        and std of the train split.
    """
    counts = dict.fromkeys(SPLITS, 0)
    for shard in planned:
        counts[shard.split] += sum(row.windows for piece in shard.pieces for row in piece.rows)
        workspace.link(folder / shard.name, out / shard.name)
    sums = [pq.read_metadata(out / s.name).metadata[shards.STATISTICS.encode()] for s in planned if s.split == "train"]
    result = {
        "representation": config.model_dump(),
        "seconds": seconds,
        "shape": config.shape(seconds),
        "windows": counts,
        "shards": {shard.name: workspace.sha256(out / shard.name) for shard in planned},
        **combine(sums),
    }
    workspace.write_json(out / "stats.json", result)
    return result


def _finished(path: Path, rows: int) -> bool:
    try:
        return bool(pq.read_metadata(path).num_rows == rows)
    except (OSError, pa.ArrowInvalid):  # absent, or cut short by a power failure
        return False
