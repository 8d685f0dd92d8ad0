"""The loop against how such a model is usually trained.

A DataLoader with two workers over a file of float32 per window, torch's default precision and memory format, Adam as it
is by default, every term fetched from the device at every step, and the loss logged to MLflow at every step.
"""

import importlib.util
import itertools
import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.measure import Row
from benchmarks.training.study import TURN, VARIANTS, InTurn, Study
from pipeline.dataset.loader import window_loader

Log = Callable[[dict[str, float], int], object]


class Files(Dataset[torch.Tensor]):
    """A .npy file per window."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(np.load(self.paths[index]))


def save(study: Study, folder: Path) -> list[Path]:
    """The windows of the study's train split, (1, *shape) float32 on the data's scale each."""
    batches = window_loader(study.train, torch.device("cpu")).batches(64)
    windows = itertools.chain.from_iterable(x.numpy() for x, _ in batches)
    paths = []
    for number, window in enumerate(windows):
        paths.append(folder / f"{number:06d}.npy")
        np.save(paths[-1], window)
    return paths


def usual(study: Study, paths: list[Path], log: Log | None) -> Callable[[int], None]:
    """So many steps of it, one epoch after the other."""
    config, device = study.settings, study.device
    model, objective = study.untrained()
    gpu = device.type == "cuda"
    loader = DataLoader(
        Files(paths), config.batch_size, shuffle=True, num_workers=2, persistent_workers=True, pin_memory=gpu
    )
    optimiser = torch.optim.Adam(model.parameters(), config.learning_rate)
    batches = (x for _ in itertools.count() for x in loader)
    done = itertools.count()

    def run(steps: int) -> None:
        model.train()
        sums = {"loss": 0.0, "reconstruction": 0.0, "kl": 0.0}
        for x in itertools.islice(batches, steps):
            x = x.to(device)
            y, code = model(x, torch.randn(len(x), model.latent_dims, device=device))
            nats = objective.nats(objective.combined(objective.distances(y, x, code))).mean()
            divergence = objective.divergence(code)
            total = nats + objective.regulariser(divergence, code, 0.5)
            optimiser.zero_grad()
            (total / objective.signal.values).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimiser.step()
            terms = {"loss": total.item(), "reconstruction": nats.item(), "kl": divergence.sum(1).mean().item()}
            sums = {name: sums[name] + value for name, value in terms.items()}
            if log is not None:
                log({"loss": terms["loss"]}, next(done))

    def plainly(steps: int) -> None:
        precision = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=True):
            run(steps)
        torch.set_float32_matmul_precision(precision)

    return plainly


def mlflow_logs(folder: Path) -> tuple[Log, Log] | None:
    """log_metric of each value, and log_batch of all, to a SQLite database in the folder; None without MLflow."""
    if importlib.util.find_spec("mlflow") is None:
        print("benchmarks: no mlflow here, so nothing is logged to it", file=sys.stderr)
        return None
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.create_experiment("speed", artifact_location=folder.as_uri())
    theirs, own = (client.create_run(experiment).info.run_id for _ in range(2))

    def one_by_one(values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            client.log_metric(theirs, name, value, step=step)

    def at_once(values: dict[str, float], step: int) -> None:
        client.log_batch(own, [Metric(name, float(value), 0, step) for name, value in values.items()])

    return one_by_one, at_once


def measure(study: Study) -> list[Row]:
    """Steps of ours, with their share of one log_batch per epoch, in turn with those of the usual way."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = save(study, folder)
        logs = mlflow_logs(folder)
        ways: list[tuple[str, Log | None, Log]] = [("without MLflow", None, lambda values, step: None)]
        ways += [] if logs is None else [("with log_metric every step", *logs)]
        for said, theirs, own in ways:
            watch = InTurn(usual(study, paths, theirs), study.device, lambda row, own=own: own(row, int(row["epoch"])))
            study.fit(watch)
            found.append(watch.row(f"{TURN} steps ({study})", f"the usual way, {said}"))
    return found


def rows() -> list[Row]:
    """The ratio is how many times as fast ours is."""
    return [row for name in VARIANTS for row in measure(Study.of(name))]
