"""MLflow's system metrics of the machine, and the CPU load and memory of the stage, during a run."""

import os
import threading
import time
from contextlib import suppress
from typing import Any

from pipeline.tracking import store

FIRST_SECONDS = 1.0  # time until the first sample
INTERVAL_SHARE = 0.01  # later samples come after this share of the elapsed time, so a long run has few samples
STAGE_MEMORY = "system/stage_memory_megabytes"  # every sample has this metric
MEGABYTE = 1e6  # as MLflow counts

_threads: dict[str, tuple[threading.Event, threading.Thread]] = {}  # run id -> event that ends a thread, the thread


def start_sampling(run_id: str, stage_pid: int) -> None:
    """Log samples until `stop_sampling`. Do nothing for a stage that has ended, whose calls are sent later."""
    import psutil  # type: ignore[import-untyped]

    if os.getppid() == stage_pid and run_id not in _threads:
        history = store.client().get_metric_history(run_id, STAGE_MEMORY)  # earlier samples of a resumed run
        first_step = max((metric.step for metric in history), default=-1) + 1
        is_over, stage = threading.Event(), psutil.Process(stage_pid)
        thread = threading.Thread(target=_sample, args=(run_id, stage, first_step, is_over), daemon=True)
        thread.start()
        _threads[run_id] = is_over, thread


def stop_sampling(run_id: str) -> None:
    """Log the last sample of a run."""
    if run_id in _threads:
        is_over, thread = _threads.pop(run_id)
        is_over.set()
        thread.join()


def _sample(run_id: str, stage: Any, step: int, is_over: threading.Event) -> None:
    """Log samples of the process `stage`. A sample that cannot be logged is dropped."""
    from mlflow.entities import Metric

    monitors, started, is_last = _monitors(), time.monotonic(), False
    _measure(stage, monitors)  # the first CPU load that a thread reads is 0
    while not is_last:
        elapsed = time.monotonic() - started
        is_last = is_over.wait(max(FIRST_SECONDS, INTERVAL_SHARE * elapsed))
        if is_last and time.monotonic() - started < FIRST_SECONDS:
            return  # too short for a useful sample
        with suppress(Exception):  # the store, a driver or the stage may fail
            values, at = _measure(stage, monitors), int(time.time() * 1000)
            metrics = [Metric(f"system/{key}", float(value), at, step) for key, value in values.items()]
            store.client().log_batch(run_id, metrics=metrics)
        step += 1


def _measure(stage: Any, monitors: list[Any]) -> dict[str, float]:
    metrics = {
        "stage_cpu_percentage": stage.cpu_percent(),  # 100 % is one core
        STAGE_MEMORY.removeprefix("system/"): stage.memory_info().rss / MEGABYTE,
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
