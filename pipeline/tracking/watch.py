"""Load of the machine and of the stage in the course of a run, as MLflow's system metrics."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

FIRST = 1.0  # seconds to the first sample
SHARE = 0.01  # of the time so far, after which the next one comes
NAME = "system/stage_memory_megabytes"  # of a metric that every sample has
MEGABYTE = 1e6  # as MLflow counts

Send = Callable[[dict[int, dict[str, float]], int], None]
_watching: dict[str, "Watch"] = {}  # by run


def start(run_id: str, stage: int, begun: int, send: Send) -> None:
    """Watch until `stop`, if the process `stage` still is the one that started this.

    Args:
        run_id: of the run.
        stage: process id.
        begun: step of the first sample; a run that goes on has some already.
        send: takes metrics by step, and when they were measured, in ms.
    """
    if os.getppid() == stage and run_id not in _watching:  # else it is told again, later, of a stage that is over
        _watching[run_id] = Watch(stage, begun, send)


def stop(run_id: str) -> None:
    """Send what has been measured and not yet been sent."""
    watch = _watching.pop(run_id, None)
    if watch:
        watch.end()


class Watch:
    """A thread that measures and sends. What cannot be sent is lost: nothing depends on it."""

    def __init__(self, stage: int, step: int, send: Send) -> None:
        import psutil  # type: ignore[import-untyped]

        self._process, self._step, self._send = psutil.Process(stage), step, send
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Measure a last time, send, and return when that is done."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        monitors, began, over = _monitors(), time.monotonic(), False
        self._measure(monitors)  # a thread's first reading of a processor's load is 0
        while not over:
            elapsed = time.monotonic() - began
            over = self._over.wait(max(FIRST, SHARE * elapsed))
            if over and time.monotonic() - began < FIRST:
                return  # too short to tell anything
            with suppress(Exception):  # of a store, a driver, or a process that is gone
                found = {f"system/{k}": v for k, v in self._measure(monitors).items()}
                self._send({self._step: found}, int(time.time() * 1000))
            self._step += 1

    def _measure(self, monitors: list[Any]) -> dict[str, float]:
        found = self._usage()
        for monitor in monitors:
            monitor.collect_metrics()
            found |= monitor.aggregate_metrics()
            monitor.clear_metrics()
        return found

    def _usage(self) -> dict[str, float]:
        """Of the stage alone: 100 % is one core."""
        return {
            "stage_cpu_percentage": self._process.cpu_percent(),
            NAME.removeprefix("system/"): self._process.memory_info().rss / MEGABYTE,
        }


def _monitors() -> list[Any]:
    """MLflow's own of processor and memory of the machine, and of a GPU where its library is installed."""
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

    found: list[Any] = [CPUMonitor()]
    with suppress(Exception):  # no nvidia-ml-py, or no driver
        found.append(GPUMonitor())
    return found
