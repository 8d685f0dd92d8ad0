"""MLflow's system metrics of the machine, and the CPU load and memory of the stage, during a run."""

import os
import threading
import time
from contextlib import suppress
from typing import Any

from pipeline.tracking import store

FIRST_SECONDS = 1.0  # until the first sample
INTERVAL_SHARE = 0.01  # later samples come after this share of the elapsed time, so a long run has few samples
STAGE_MEMORY = "system/stage_memory_megabytes"  # every sample has this metric
MEGABYTE = 1e6  # as MLflow counts

_samplers: dict[str, "Sampler"] = {}  # run id -> sampler


def start_sampling(run_id: str, stage_pid: int) -> None:
    """Log samples until `stop_sampling`. Do nothing for a stage that has ended, whose calls are sent later."""
    if os.getppid() == stage_pid and run_id not in _samplers:
        history = store.client().get_metric_history(run_id, STAGE_MEMORY)  # of a resumed run
        first_step = max((metric.step for metric in history), default=-1) + 1
        _samplers[run_id] = Sampler(run_id, stage_pid, first_step)


def stop_sampling(run_id: str) -> None:
    """Log the last sample of a run."""
    if sampler := _samplers.pop(run_id, None):
        sampler.stop()


class Sampler:
    """A thread that measures and logs. A sample that cannot be logged is dropped."""

    def __init__(self, run_id: str, stage_pid: int, step: int) -> None:
        import psutil  # type: ignore[import-untyped]

        self._run_id, self._process, self._step = run_id, psutil.Process(stage_pid), step
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Log a last sample and end the thread."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        from mlflow.entities import Metric

        monitors, started, is_last = _monitors(), time.monotonic(), False
        self._measure(monitors)  # the first CPU load that a thread reads is 0
        while not is_last:
            elapsed = time.monotonic() - started
            is_last = self._stopped.wait(max(FIRST_SECONDS, INTERVAL_SHARE * elapsed))
            if is_last and time.monotonic() - started < FIRST_SECONDS:
                return  # too short for a useful sample
            with suppress(Exception):  # the store, a driver or the stage may fail
                values = self._measure(monitors)
                at = int(time.time() * 1000)
                metrics = [Metric(f"system/{key}", float(value), at, self._step) for key, value in values.items()]
                store.client().log_batch(self._run_id, metrics=metrics)
            self._step += 1

    def _measure(self, monitors: list[Any]) -> dict[str, float]:
        metrics = {
            "stage_cpu_percentage": self._process.cpu_percent(),  # 100 % is one core
            STAGE_MEMORY.removeprefix("system/"): self._process.memory_info().rss / MEGABYTE,
        }
        for monitor in monitors:
            monitor.collect_metrics()
            metrics |= monitor.aggregate_metrics()
            monitor.clear_metrics()
        return metrics


def _monitors() -> list[Any]:
    """MLflow's monitors of the machine: CPU and memory, and the GPU if its library is installed."""
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

    monitors: list[Any] = [CPUMonitor()]
    with suppress(Exception):  # no nvidia-ml-py, or no driver
        monitors.append(GPUMonitor())
    return monitors
