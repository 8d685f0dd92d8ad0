"""The loop against how such a model is usually trained.

The conventional way is a DataLoader with two workers over a float32 file per window, torch's default precision and
memory format, plain Adam, all terms fetched from the device at every step, and the loss logged to MLflow at every step.
"""

import itertools
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.measure import Row
from benchmarks.training.case import TURN_STEPS, VARIANTS, Case, TakeTurns, plain_loss
from pipeline.dataset.loader import window_loader
from pipeline.training.loop import fit

Log = Callable[[dict[str, float], int], object]


class Files(Dataset[torch.Tensor]):
    """One .npy file per window."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(np.load(self.paths[index]))


def save_windows(case: Case, folder: Path) -> list[Path]:
    """Write the windows of the train split, each (1, *shape) float32 on the data's scale."""
    batches = window_loader(case.train, torch.device("cpu")).batches(64)
    windows = itertools.chain.from_iterable(x.numpy() for x, _ in batches)
    paths = []
    for number, window in enumerate(windows):
        paths.append(folder / f"{number:06d}.npy")
        np.save(paths[-1], window)
    return paths


def conventional_steps(case: Case, paths: list[Path], log: Log | None) -> Callable[[int], None]:
    """A function that trains for so many steps, one epoch after the other."""
    config, device = case.settings, case.device
    model, objective = case.untrained()
    is_gpu = device.type == "cuda"
    loader = DataLoader(
        Files(paths), config.batch_size, shuffle=True, num_workers=2, persistent_workers=True, pin_memory=is_gpu
    )
    optimiser = torch.optim.Adam(model.parameters(), config.learning_rate)
    batches = (x for _ in itertools.count() for x in loader)
    step_numbers = itertools.count()

    def run(steps: int) -> None:
        model.train()
        sums = {"loss": 0.0, "reconstruction": 0.0, "kl": 0.0}
        for x in itertools.islice(batches, steps):
            loss, terms = plain_loss(model, objective, x.to(device))
            optimiser.zero_grad()
            (loss / objective.signal.size).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimiser.step()
            values = {name: term.item() for name, term in terms.items()}
            sums = {name: sums[name] + value for name, value in values.items()}
            if log is not None:
                log({"loss": values["loss"]}, next(step_numbers))

    def run_with_defaults(steps: int) -> None:
        precision = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=True):
            run(steps)
        torch.set_float32_matmul_precision(precision)

    return run_with_defaults


def mlflow_logs(folder: Path) -> tuple[Log, Log]:
    """log_metric for each value, and log_batch for all, to a SQLite database in `folder`."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.create_experiment("speed", artifact_location=folder.as_uri())
    single_run, batch_run = (client.create_run(experiment).info.run_id for _ in range(2))

    def log_single(values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            client.log_metric(single_run, name, value, step=step)

    def log_batch(values: dict[str, float], step: int) -> None:
        client.log_batch(batch_run, [Metric(name, float(value), 0, step) for name, value in values.items()])

    return log_single, log_batch


def measure(case: Case) -> list[Row]:
    """Steps of our loop, with one log_batch per epoch, in turn with conventional steps."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = save_windows(case, folder)
        log_nothing = (None, lambda values, step: None)
        logs = {"without MLflow": log_nothing, "with log_metric every step": mlflow_logs(folder)}
        for title, (log_step, log_epoch) in logs.items():
            reference = conventional_steps(case, paths, log_step)
            turns = TakeTurns(reference, case.device, lambda row, log=log_epoch: log(row, int(row["epoch"])))
            fit(case.trainer(), turns)
            rows.append(turns.row(f"{TURN_STEPS} steps ({case})", f"the usual way, {title}"))
    return rows


def rows() -> list[Row]:
    """The ratio is how many times as fast our loop is."""
    return [row for name in VARIANTS for row in measure(Case.of(name))]
