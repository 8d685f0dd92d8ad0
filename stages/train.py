"""Train a variant, once per seed: data/models/<variant>/seed-<n>/.

With `train.devices` above 1, or under torchrun, several processes (ranks) run this; the first one alone writes.
"""

import os
import sys
from contextlib import nullcontext
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Any

import torch

from pipeline.core import distributed, workspace
from pipeline.core.distributed import pick_device
from pipeline.core.errors import ParamsError
from pipeline.core.imports import source_files
from pipeline.core.params import PARAMS_FILE, RuntimeConfig, read_params, read_section
from pipeline.dataset.split import Split, read_split, read_stats
from pipeline.models import store
from pipeline.tracking import datasets, names
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.run import Run, record
from pipeline.training import finished
from pipeline.training.checkpoint import Checkpoints
from pipeline.training.config import TrainConfig, VariantConfig, decisive, seeds, variant
from pipeline.training.launch import launch
from pipeline.training.records import save_history, save_snapshots
from pipeline.training.trainer import Job, learn
from stages import run

STEPPED = ("loss", "reconstruction", "kl", "grad_norm")  # terms that are logged of each step


def describe(name: str, seed: int, config: VariantConfig, settings: TrainConfig, data: Path, train: Split) -> Any:
    """What config.json holds: all that decides the weights, and all that rebuilds the model."""
    stats = read_stats(data)
    return {
        "variant": name,
        "seed": seed,
        **decisive(config, settings),
        "representation": stats["representation"],
        "seconds": stats["seconds"],
        "kind": train.kind,
        "shape": train.shape,
        "labels": sorted(set(train.labels.tolist())) if config.condition else [],
        "stats": {"mean": stats["mean"], "std": stats["std"]},
    }


def train_seed(job: Job, data: str, sources: list[dict[str, Any]], out: Path | None) -> None:
    """Train one seed into the folder `out`, or copy it from the finished ones; a rank that has no `out` just helps.

    `data` is the hash of what it is trained on, `sources` what MLflow is told of that.
    """
    made_with = [torch.__version__, version("vector-quantize-pytorch"), job.device.type, distributed.world_size()]
    fingerprint = workspace.fingerprint([job.described, data, *made_with], source_files("pipeline.training.trainer"))
    checkpoints = Checkpoints(
        finished.unfinished(fingerprint), read_section(RuntimeConfig, "runtime").checkpoint_seconds
    )
    # An experiment in a temporary workspace may train the same at the same time.
    with nullcontext() if out is None else finished.alone(fingerprint, f"training {job}"):
        if distributed.broadcast_object(out is not None and finished.restore(fingerprint, out)):
            if out is not None:
                kept = f"kept in .melisma/seeds/{fingerprint}; delete it to train again"
                workspace.say(f"{job}: finished before with the same data, settings and code ({kept})")
            return
        if out is None:
            learn(job, checkpoints, None)
            return
        identity = {name: job.described[name] for name in ("variant", "seed")}
        identity |= {"fingerprint": fingerprint, "data": data, **finished.begun(fingerprint)}
        out.mkdir()
        with record(read_section(TrackingConfig, "tracking"), "train", identity) as run:
            finished.begin(fingerprint, run.identity)
            run.params(names.settings(job.described))
            run.datasets(sources)
            model, history, snapshots = learn(job, checkpoints, Recorded(run))
            sizes = {"parameters": sum(p.numel() for p in model.parameters()), "latent_dims": model.latent_dims}
            store.save(out, model, job.described | sizes)
            save_history(out / "history.csv", history)
            save_snapshots(out / "snapshots.parquet", snapshots)
            workspace.write_json(out / "run.json", run.identity)
        finished.keep(fingerprint, out)


class Recorded:
    """Logs a training to MLflow, but not again what the run holds from before it was stopped."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def epoch(self, row: dict[str, float]) -> None:
        """See `progress.Log`."""
        self.run.metrics(names.of_epoch(row), step=int(row["epoch"]), once="epoch/seconds")

    def steps(self, first: int, rows: list[dict[str, float]]) -> None:
        """See `progress.Log`."""
        kept = {
            step: {f"step/{k}": row[k] for k in STEPPED if isfinite(row[k])} for step, row in enumerate(rows, first)
        }
        self.run.series(kept, once="step/loss")


def main(name: str) -> None:
    """Write data/models/<name>."""
    raw = read_params()
    config, settings = variant(raw, name)
    if config.loss and settings.devices > 1 and "RANK" not in os.environ:
        launch(main, (name,), settings.devices)
        return
    data = workspace.CACHE / config.representation
    splits = read_split(data, "train"), read_split(data, "valid")
    shards = {shard: digest for shard, digest in read_stats(data)["shards"].items() if not shard.startswith("test-")}
    with distributed.process_group(pick_device(read_section(RuntimeConfig, "runtime").device)) as device:
        first, world = distributed.rank() == 0, distributed.world_size()
        if config.loss is None and not first:
            return
        if settings.batch_size % world:
            raise ParamsError(
                f"{PARAMS_FILE}: train.batch_size: {settings.batch_size} is no multiple of {world} processes"
            )
        with workspace.output(workspace.MODELS / name) if first else nullcontext() as out:
            sources = datasets.describe(data, read_stats(data), dict(zip(("train", "valid"), splits, strict=True)))
            for seed in seeds(raw):
                described = describe(name, seed, config, settings, data, splits[0])
                job = Job(described, config, settings, splits, device)
                train_seed(job, workspace.fingerprint(shards), sources, None if out is None else out / f"seed-{seed}")


if __name__ == "__main__":
    run(main, *sys.argv[1:])
