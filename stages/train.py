"""Train a variant, once per seed: data/models/<variant>/seed-<n>/.

With `train.devices` above 1, or under torchrun, several processes (ranks) run this; the first one alone writes.
"""

import os
import sys
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from pipeline import distributed, workspace
from pipeline.cache.reader import Split, read_split, read_stats
from pipeline.errors import TrainingError
from pipeline.losses.objective import Objective
from pipeline.models import store
from pipeline.models.vae import VAE, build
from pipeline.params import read, section
from pipeline.runtime import RuntimeConfig
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.run import Run, record
from pipeline.training import closed, memory, work
from pipeline.training.checkpoint import Checkpoints
from pipeline.training.config import TrainConfig, VariantConfig, seeds, variant
from pipeline.training.device import pick, precision
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


def train_seed(
    described: dict[str, Any],
    config: VariantConfig,
    settings: TrainConfig,
    splits: tuple[Split, Split],
    hashed: str,
    device: torch.device,
    out: Path | None,
) -> None:
    """Train one seed into the folder `out`, or copy it from the finished ones; a rank that has no `out` just helps."""
    name, seed = described["variant"], described["seed"]
    made_with = [torch.__version__, version("vector-quantize-pytorch"), device.type, distributed.world()]
    fingerprint = workspace.fingerprint([described, hashed, *made_with], CODE)
    if distributed.share(out is not None and work.restore(fingerprint, out)):
        kept = f"kept in .melisma/seeds/{fingerprint}; delete it to train again"
        workspace.say(f"{name} seed {seed}: finished before with the same data, settings and code ({kept})")
        return
    torch.manual_seed(seed)
    model = build(described).to(device)
    checkpoints = Checkpoints(work.unfinished(fingerprint), section(RuntimeConfig, "runtime").checkpoint_seconds)
    if out is None:
        learn(model, described, config, settings, splits, device, None, checkpoints)
        return
    identity = {"variant": name, "seed": seed, "fingerprint": fingerprint, "data": hashed}
    out.mkdir()
    with record(section(TrackingConfig, "tracking"), "train", identity | work.begun(fingerprint)) as run:
        work.begin(fingerprint, run.identity)
        run.params({key: value for key, value in described.items() if key != "stats"})
        history, snapshots = learn(model, described, config, settings, splits, device, run, checkpoints)
        sizes = {"parameters": sum(p.numel() for p in model.parameters()), "latent_dims": model.latent_dims}
        store.save(out, model, described | sizes)
        save_history(out / "history.csv", history)
        save_snapshots(out / "snapshots.parquet", snapshots)
        workspace.write_json(out / "run.json", run.identity)
    work.keep(fingerprint, out)


def learn(
    model: VAE,
    described: dict[str, Any],
    config: VariantConfig,
    settings: TrainConfig,
    splits: tuple[Split, Split],
    device: torch.device,
    run: Run | None,
    checkpoints: Checkpoints,
) -> tuple[History, Snapshots]:
    """Train the model, or fit it in closed form, and log each epoch that the run does not hold yet."""
    name, seed = described["variant"], described["seed"]
    logged = set() if run is None else run.logged("seconds")

    def on_epoch(row: dict[str, float]) -> None:
        if run is not None and row["epoch"] not in logged:
            run.metrics({k: v for k, v in row.items() if k != "epoch"}, step=int(row["epoch"]))

    try:
        if config.loss is None:
            workspace.say(f"{name} seed {seed}: fitted in closed form, on cpu")
            found = closed.fit(model, *splits, on_epoch)
            described["bottleneck"]["latent"] = model.latent_dims
            return found
        objective = Objective(config.loss, model.level.signal)
        memory.ensure(model, objective, splits, settings, device)
        if run is not None:
            ranks = f"{distributed.world()} x {device.type}" if distributed.world() > 1 else str(device)
            parameters = f"{sum(p.numel() for p in model.parameters()):,} parameters, {model.latent_dims} latent dims"
            workspace.say(f"{name} seed {seed}: {parameters}, on {ranks} in {precision(settings, device)}")
        watch = Progress(name, settings.epochs, settings.batch_size, on_epoch, quiet=run is None)
        with watch:
            return fit(model, *splits, settings, objective, seed, device, watch, checkpoints)
    except TrainingError as error:
        raise TrainingError(f"{name} seed {seed}: {error}") from error
    except torch.OutOfMemoryError as error:
        hint = "lower train.batch_size or the network's channels, or set runtime.device to cpu"
        raise TrainingError(f"{name} seed {seed}: {device} has too little memory; {hint}") from error


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
    hashed = workspace.fingerprint(shards)
    with distributed.joined(pick(section(RuntimeConfig, "runtime").device)) as device:
        first = distributed.rank() == 0
        with workspace.output(workspace.MODELS / name) if first else nullcontext() as out:
            for seed in seeds(raw):
                described = describe(name, seed, config, settings, data, splits[0])
                folder = None if out is None else out / f"seed-{seed}"
                train_seed(described, config, settings, splits, hashed, device, folder)


if __name__ == "__main__":
    workspace.run(main, *sys.argv[1:])
