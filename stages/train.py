"""Train a variant, once per seed: data/models/<variant>/seed-<n>/.

With `train.devices` above 1, or under torchrun, several processes (ranks) run this; the first one alone writes.
"""

import os
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Any

import torch

from pipeline import distributed, workspace
from pipeline.cache.reader import Split, read_split, read_stats
from pipeline.errors import ParamsError, TrainingError
from pipeline.losses.objective import Objective
from pipeline.models import store
from pipeline.models.vae import VAE, build
from pipeline.params import FILE, read, section
from pipeline.runtime import RuntimeConfig
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.run import Run, record
from pipeline.training import closed, memory, work
from pipeline.training.checkpoint import Checkpoints
from pipeline.training.config import TrainConfig, VariantConfig, seeds, variant
from pipeline.training.device import numerics, pick, precision
from pipeline.training.launch import launch
from pipeline.training.loop import fit
from pipeline.training.progress import Progress
from pipeline.training.records import History, save_history, save_snapshots
from pipeline.training.snapshots import Snapshots

# What decides the weights: a seed that was finished with the same data, settings and code is not trained again.
CODE = (
    "pipeline/audio/scale.py",
    "pipeline/cache/arrays.py",
    "pipeline/cache/reader.py",
    "pipeline/distributed.py",
    "pipeline/losses",
    "pipeline/models",
    "pipeline/training",
    "stages/train.py",
)


@dataclass(frozen=True)
class Job:
    """One seed of a variant: what config.json will say, which also decides the weights, and what it is trained with."""

    described: dict[str, Any]
    config: VariantConfig
    settings: TrainConfig
    splits: tuple[Split, Split]
    shards: str  # hash of the data
    device: torch.device

    def __str__(self) -> str:
        return f"{self.described['variant']} seed {self.described['seed']}"


def describe(name: str, seed: int, config: VariantConfig, settings: TrainConfig, data: Path, train: Split) -> Any:
    """What config.json holds: all that decides the weights, and all that rebuilds the model."""
    stats = read_stats(data)
    return {
        "variant": name,
        "seed": seed,
        **config.model_dump(include={"network", "bottleneck", "scaling", "condition", "loss"}),
        "train": settings.model_dump() if config.loss else None,
        "input": config.representation,
        "representation": stats["representation"],
        "seconds": stats["seconds"],
        "kind": train.kind,
        "shape": train.shape,
        "labels": sorted(set(train.labels.tolist())) if config.condition else [],
        "stats": {"mean": stats["mean"], "std": stats["std"]},
    }


def train_seed(job: Job, out: Path | None) -> None:
    """Train one seed into the folder `out`, or copy it from the finished ones; a rank that has no `out` just helps."""
    made_with = [torch.__version__, version("vector-quantize-pytorch"), job.device.type, distributed.world()]
    fingerprint = workspace.fingerprint([job.described, job.shards, *made_with], CODE)
    checkpoints = Checkpoints(work.unfinished(fingerprint), section(RuntimeConfig, "runtime").checkpoint_seconds)
    # An experiment in a temporary workspace may train the same at the same time.
    with nullcontext() if out is None else work.alone(fingerprint, f"training {job}"):
        if distributed.share(out is not None and work.restore(fingerprint, out)):
            if out is not None:
                kept = f"kept in .melisma/seeds/{fingerprint}; delete it to train again"
                workspace.say(f"{job}: finished before with the same data, settings and code ({kept})")
            return
        torch.manual_seed(job.described["seed"])
        model = build(job.described)
        if out is None:
            learn(job, model, None, checkpoints)
            return
        identity = {name: job.described[name] for name in ("variant", "seed")}
        identity |= {"fingerprint": fingerprint, "data": job.shards, **work.begun(fingerprint)}
        out.mkdir()
        with record(section(TrackingConfig, "tracking"), "train", identity) as run:
            work.begin(fingerprint, run.identity)
            run.params({key: value for key, value in job.described.items() if key != "stats"})
            history, snapshots = learn(job, model, run, checkpoints)
            sizes = {"parameters": sum(p.numel() for p in model.parameters()), "latent_dims": model.latent_dims}
            store.save(out, model, job.described | sizes)
            save_history(out / "history.csv", history)
            save_snapshots(out / "snapshots.parquet", snapshots)
            workspace.write_json(out / "run.json", run.identity)
        work.keep(fingerprint, out)


def learn(job: Job, model: VAE, run: Run | None, checkpoints: Checkpoints) -> tuple[History, Snapshots]:
    """Train the model, or fit it in closed form, and log each epoch that the run does not hold yet."""
    config, settings, device = job.config, job.settings, job.device
    logged = set() if run is None else run.logged("seconds")

    def on_epoch(row: dict[str, float]) -> None:
        if run is not None and row["epoch"] not in logged:
            run.metrics({k: v for k, v in row.items() if k != "epoch" and isfinite(v)}, step=int(row["epoch"]))

    if config.loss is None:
        workspace.say(f"{job}: fitted in closed form, on cpu")
        found = closed.fit(model, *job.splits, on_epoch)
        job.described["bottleneck"]["latent"] = model.latent_dims
        return found
    objective = Objective(config.loss, model.level.signal)
    watch = Progress(str(job), settings.epochs, settings.batch_size, on_epoch, quiet=run is None)
    try:
        with numerics(settings, device), watch:
            memory.ensure(model.to(device), objective, job.splits, settings, device)
            if run is not None:
                where = f"{distributed.world()} x {device.type}" if distributed.world() > 1 else str(device)
                numbers = f"{sum(p.numel() for p in model.parameters()):,} parameters, {model.latent_dims} latent dims"
                workspace.say(f"{job}: {numbers}, on {where} in {precision(settings, device)}")
            return fit(model, *job.splits, settings, objective, job.described["seed"], device, watch, checkpoints)
    except TrainingError as error:
        raise TrainingError(f"{job}: {error}") from error
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "DefaultCPUAllocator" not in str(error):
            raise
        hint = "lower train.batch_size or the network's channels"
        raise TrainingError(f"{job}: {device} has too little memory; {hint}") from error


def main(name: str) -> None:
    """Write data/models/<name>."""
    raw = read()
    config, settings = variant(raw, name)
    if config.loss and settings.devices > 1 and "RANK" not in os.environ:
        launch(main, (name,), settings.devices)
        return
    data = workspace.CACHE / config.representation
    splits = read_split(data, "train"), read_split(data, "valid")
    shards = {shard: digest for shard, digest in read_stats(data)["shards"].items() if not shard.startswith("test-")}
    with distributed.joined(pick(section(RuntimeConfig, "runtime").device)) as device:
        first, world = distributed.rank() == 0, distributed.world()
        if config.loss is None and not first:
            return
        if settings.batch_size % world:
            raise ParamsError(f"{FILE}: train.batch_size: {settings.batch_size} is no multiple of {world} processes")
        with workspace.output(workspace.MODELS / name) if first else nullcontext() as out:
            for seed in seeds(raw):
                described = describe(name, seed, config, settings, data, splits[0])
                job = Job(described, config, settings, splits, workspace.fingerprint(shards), device)
                train_seed(job, None if out is None else out / f"seed-{seed}")


if __name__ == "__main__":
    workspace.run(main, *sys.argv[1:])
