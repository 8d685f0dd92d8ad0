"""Train a variant, once per seed: data/models/<variant>/seed-<n>/.

With several processes (`train.devices` above 1, or torchrun) every rank runs this, and rank 0 alone writes.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from pipeline.core import distributed, workspace
from pipeline.core.device import pick_device
from pipeline.core.errors import ParamsError
from pipeline.core.imports import deciding_files
from pipeline.core.params import PARAMS_FILE, RuntimeConfig
from pipeline.dataset.split import read_split, read_stats
from pipeline.models import store
from pipeline.training.checkpoint import Checkpoints
from pipeline.training.config import TrainConfig, VariantConfig, read_seeds, read_variant, settings_that_decide_weights
from pipeline.training.device import precision
from pipeline.training.history import save_snapshots
from pipeline.training.progress import Recorder
from pipeline.training.seed import SeedSetup, train_model
from pipeline.training.seed_store import SeedStore

# Opens the run of an identity: variant, seed, fingerprint, and data (the fingerprint of the data).
OpenRun = Callable[[dict[str, Any], SeedSetup], AbstractContextManager[Recorder]]


def train_variant(name: str, raw: Mapping[str, Any], runtime: RuntimeConfig, open_run: OpenRun) -> None:
    """Write data/models/<name>. On rank 0, `open_run` records each training.

    ParamsError if a param is wrong, DataError if the cache is missing or damaged; else the errors of `loop.fit`.
    """
    config, settings = read_variant(raw, name)
    folder = workspace.CACHE / config.representation
    splits = {split: read_split(folder, split) for split in ("train", "valid")}
    with distributed.process_group(pick_device(runtime.device)) as device:
        is_writer = distributed.rank() == 0
        if config.loss is None and not is_writer:  # one process fits a baseline
            return
        with workspace.output(workspace.MODELS / name) if is_writer else nullcontext() as out:
            for seed in read_seeds(raw):
                description = describe(name, seed, config, settings, folder, set(splits["train"].labels.tolist()))
                setup = SeedSetup(description, config.loss, settings, folder, splits, device)
                train_with_seed(setup, runtime.checkpoint_seconds, open_run, out and out / f"seed-{seed}")


def describe(
    name: str, seed: int, config: VariantConfig, settings: TrainConfig, folder: Path, labels: set[str]
) -> dict[str, Any]:
    """The content of config.json: all that decides the weights and rebuilds the model."""
    stats = read_stats(folder)
    return {
        "variant": name,
        "seed": seed,
        **settings_that_decide_weights(config, settings),
        **{key: stats[key] for key in ("representation", "seconds", "shape")},
        "kind": stats["representation"]["kind"],
        "labels": sorted(labels) if config.condition else [],
        "stats": {"mean": stats["mean"], "std": stats["std"]},
    }


def train_with_seed(setup: SeedSetup, checkpoint_seconds: float, open_run: OpenRun, out: Path | None) -> None:
    """Train one seed into the new folder `out`, or copy it from the finished ones; ranks without `out` just help."""
    if setup.settings.batch_size % distributed.world_size():
        problem = f"{setup.settings.batch_size} is not a multiple of {distributed.world_size()} processes"
        raise ParamsError(f"{PARAMS_FILE}: train.batch_size: {problem}")
    data, fingerprint = fingerprints(setup)
    seed_store = SeedStore(fingerprint)
    checkpoints = Checkpoints(seed_store.checkpoints, checkpoint_seconds)
    # An experiment in a temporary workspace may train the same seed at the same time.
    with nullcontext() if out is None else workspace.hold_lock(seed_store.lock, f"training {setup}"):
        if distributed.broadcast_object(out is not None and seed_store.restore(out)):
            if out is not None:
                hint = f"kept in .melisma/seeds/{fingerprint}; delete it to train again"
                workspace.say(f"{setup}: finished before with the same data, settings and code ({hint})")
            return
        if out is None:
            train_model(setup, checkpoints, None)
            return
        origin = {"fingerprint": fingerprint, "data": data}
        out.mkdir()
        with open_run({name: setup.description[name] for name in ("variant", "seed")} | origin, setup) as run:
            model, history, snapshots = train_model(setup, checkpoints, run)
            sizes = {"parameters": sum(p.numel() for p in model.parameters()), "latent_dims": model.latent_dims}
            store.save(out, model, setup.description | sizes | origin)
            pd.DataFrame(history).to_csv(out / "history.csv", index=False, float_format="%.8g")
            save_snapshots(out / "snapshots.parquet", snapshots)
            seed_store.save(out)


def fingerprints(setup: SeedSetup) -> tuple[str, str]:
    """Two fingerprints: of the data; of everything that decides the weights (description, data, code, machine).

    Of the machine, the precision counts too: `auto` may be another one on another GPU.
    """
    shards = read_stats(setup.folder)["shards"]
    data = workspace.fingerprint({name: shards[name] for name in shards if not name.startswith("test-")})
    libraries = [torch.__version__, version("vector-quantize-pytorch")]
    machine = [setup.device.type, precision(setup.settings, setup.device), distributed.world_size()]
    code = deciding_files(__name__, setup.model_class.__module__)
    return data, workspace.fingerprint([setup.description, data, *libraries, *machine], code)
