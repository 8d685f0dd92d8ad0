"""Train a variant, once per seed: data/models/<variant>/seed-<n>/."""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from pipeline import workspace
from pipeline.cache.reader import Split, read_split, read_stats
from pipeline.errors import TrainingError
from pipeline.losses.objective import Objective
from pipeline.models import store
from pipeline.models.vae import build
from pipeline.params import read, section
from pipeline.runtime import RuntimeConfig
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.run import record
from pipeline.training import closed, work
from pipeline.training.config import TrainConfig, VariantConfig, seeds, variant
from pipeline.training.device import pick
from pipeline.training.loop import fit
from pipeline.training.records import save_history, save_snapshots

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


def train_seed(
    name: str, seed: int, config: VariantConfig, settings: TrainConfig, splits: list[Split], data: Path, out: Path
) -> None:
    """Train one seed into the folder `out`, or copy it from the finished ones."""
    stats, device = read_stats(data), pick(section(RuntimeConfig, "runtime").device)
    described: dict[str, Any] = {
        "variant": name,
        "seed": seed,
        **config.model_dump(include={"network", "bottleneck", "scaling", "condition", "loss"}),
        "train": settings.model_dump() if config.loss else None,
        "input": config.representation,
        "representation": stats["representation"],
        "seconds": stats["seconds"],
        "kind": splits[0].kind,
        "shape": splits[0].shape,
        "labels": sorted(set(splits[0].labels.tolist())) if config.condition else [],
        "stats": {"mean": stats["mean"], "std": stats["std"]},
    }
    hashed = workspace.fingerprint(stats["shards"])
    made_with = [torch.__version__, version("vector-quantize-pytorch"), device.type]
    fingerprint = workspace.fingerprint([described, hashed, *made_with], CODE)
    if work.restore(fingerprint, out):
        kept = f"kept in .melisma/seeds/{fingerprint}; delete it to train again"
        workspace.say(f"{name} seed {seed}: finished before with the same data, settings and code ({kept})")
        return
    identity = {"variant": name, "seed": seed, "fingerprint": fingerprint, "data": hashed}
    out.mkdir()
    with record(section(TrackingConfig, "tracking"), "train", identity) as run:
        run.params({key: value for key, value in described.items() if key != "stats"})
        torch.manual_seed(seed)
        model = build(described)
        parameters = sum(p.numel() for p in model.parameters())
        if config.loss:
            where = f"{parameters:,} parameters, {model.latent_dims} latent dims, on {device}"
        else:
            where = "fitted in closed form, on cpu"
        workspace.say(f"{name} seed {seed}: {where}")
        with tqdm(total=settings.epochs if config.loss else 1, desc=name, unit="epoch", disable=None) as bar:

            def on_epoch(row: dict[str, float]) -> None:
                run.metrics({k: v for k, v in row.items() if k != "epoch"}, step=int(row["epoch"]))
                shown: dict[str, str] = {
                    k: f"{row[k]:.4g}" for k in ("valid_loss", "valid_mse", "valid_kl", "beta") if k in row
                }
                bar.update()
                bar.set_postfix(shown)
                if bar.disable and (row["epoch"] % 5 == 0 or row["epoch"] == 1):
                    workspace.say(f"  epoch {row['epoch']:.0f}: " + ", ".join(f"{k} {v}" for k, v in shown.items()))

            train, valid = splits
            try:
                if config.loss:
                    objective = Objective(config.loss, model.level.signal)
                    found = fit(model.to(device), train, valid, settings, objective, seed, device, on_epoch)
                else:
                    found = closed.fit(model, train, valid, on_epoch)
                    described["bottleneck"]["latent"] = model.latent_dims
            except TrainingError as error:
                raise TrainingError(f"{name} seed {seed}: {error}") from error
            except torch.OutOfMemoryError as error:
                hint = "lower train.batch_size or the network's channels, or set runtime.device to cpu"
                raise TrainingError(f"{name} seed {seed}: {device} has too little memory; {hint}") from error
        store.save(out, model, {**described, "parameters": parameters, "latent_dims": model.latent_dims})
        save_history(out / "history.csv", found[0])
        save_snapshots(out / "snapshots.parquet", found[1])
        workspace.write_json(out / "run.json", run.identity)
    work.keep(fingerprint, out)


def main(name: str) -> None:
    """Write data/models/<name>."""
    raw = read()
    config, settings = variant(raw, name)
    data = workspace.CACHE / config.representation
    splits = [read_split(data, "train"), read_split(data, "valid")]
    with workspace.output(workspace.MODELS / name) as out:
        for seed in seeds(raw):
            train_seed(name, seed, config, settings, splits, data, out / f"seed-{seed}")


if __name__ == "__main__":
    workspace.run(main, *sys.argv[1:])
