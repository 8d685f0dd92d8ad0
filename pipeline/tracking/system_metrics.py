"""MLflow's system metrics of the machine, and the CPU load and memory of the stage, during a run."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

FIRST_SECONDS = 1.0  # until the first sample
INTERVAL_SHARE = 0.01  # later samples come after this share of the elapsed time, so a long run has few samples
STAGE_MEMORY = "system/stage_memory_megabytes"  # every sample has this metric
MEGABYTE = 1e6  # as MLflow counts

LogSeries = Callable[[dict[int, dict[str, float]], int], None]  # gets step -> metrics, and the time in ms
_samplers: dict[str, "Sampler"] = {}  # run id -> sampler


def start(run_id: str, stage_pid: int, first_step: int, log_series: LogSeries) -> None:
    """Sample until `stop`. Do nothing for a stage that has ended, whose calls another process sends later.

    Args:
        first_step: step of the first sample; a resumed run has earlier ones.
    """
    if os.getppid() == stage_pid and run_id not in _samplers:
        _samplers[run_id] = Sampler(stage_pid, first_step, log_series)


def stop(run_id: str) -> None:
    """Log the last sample of a run."""
    sampler = _samplers.pop(run_id, None)
    if sampler:
        sampler.stop()


class Sampler:
    """A thread that measures and logs. A sample that cannot be logged is dropped."""

    def __init__(self, stage_pid: int, step: int, log_series: LogSeries) -> None:
        import psutil  # type: ignore[import-untyped]

        self._process, self._step, self._log_series = psutil.Process(stage_pid), step, log_series
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Log a last sample and end the thread."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        monitors, started, is_last = _monitors(), time.monotonic(), False
        self._measure(monitors)  # the first CPU load that a thread reads is 0
        while not is_last:
            elapsed = time.monotonic() - started
            is_last = self._stopped.wait(max(FIRST_SECONDS, INTERVAL_SHARE * elapsed))
            if is_last and time.monotonic() - started < FIRST_SECONDS:
                return  # too short for a useful sample
            with suppress(Exception):  # the store, a driver or the stage may fail
                metrics = {f"system/{key}": value for key, value in self._measure(monitors).items()}
                self._log_series({self._step: metrics}, int(time.time() * 1000))
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
