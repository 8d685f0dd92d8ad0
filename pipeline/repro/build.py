"""Run the stages of a build side by side, each by a `dvc repro --single-item` of its own.

DVC decides what each stage must do and writes dvc.lock and its cache; this only chooses when a stage starts.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from graphlib import TopologicalSorter
from queue import Empty, SimpleQueue
from threading import Thread

import psutil  # type: ignore[import-untyped]

from pipeline.core.process import DeferredSignals, cores
from pipeline.repro.child import signal_stage
from pipeline.repro.graph import Stage
from pipeline.repro.view import Lines
from pipeline.training.config import TrainConfig

EPOCH_LINE = re.compile(r"epoch (\d+) of (\d+)")
ERROR_LINE = re.compile(r"^(?:error|ERROR): (.+)")
# Lines of DVC that say no more than the name of the stage and its end.
QUIET = re.compile(
    r"Running stage|> sh stages/python|(Updating|Generating) lock file|Data and pipelines are up to date|Use `dvc push`"
    r"|To (track the changes|enable auto staging)|\t(git add|dvc config)"
)
POLL_SECONDS = 0.2
SAVE_SECONDS = 60.0  # time for a training to save and end after Ctrl-C or SIGTERM
KILL_SECONDS = 10.0  # time for DVC to end after its stage was killed
GIB = 2**30


@dataclass
class Job:
    """A running or ended stage."""

    stage: Stage
    process: "subprocess.Popen[str]"
    share: int = 1  # cores
    memory: int = 0  # bytes that it may need
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0  # it took, once it has ended
    lines: list[str] = field(default_factory=list)  # its output
    error: str = ""  # the first line that reports one
    epoch: tuple[int, int] | None = None  # of the current training: the latest that it named, and their number
    training_end: float | None = None  # when that training may end, by the clock of `started`
    signalled: set[int] = field(default_factory=set)  # processes that were asked to stop
    _first_epoch: tuple[int, float] = (0, 0.0)  # of the current training: the first that it named, and when

    def read(self, line: str) -> None:
        """Take a line of its output."""
        self.lines.append(line)
        if match := EPOCH_LINE.search(line):
            now, (epoch, last) = time.monotonic(), (int(match[1]), int(match[2]))
            if self.epoch is None or epoch < self.epoch[0]:  # the first line, or the next seed
                self._first_epoch, self.training_end = (epoch, now), None
            elif epoch > self._first_epoch[0]:
                first, start = self._first_epoch
                self.training_end = now + (now - start) / (epoch - first) * (last - epoch)
            self.epoch = epoch, last
        elif (match := ERROR_LINE.match(line)) and not self.error:
            self.error = match[1]  # the first is the stage's own; DVC's errors follow

    @property
    def outcome(self) -> str:
        """done, stopped or FAILED, once it has ended."""
        return (
            "stopped" if self.process.returncode and self.signalled else "FAILED" if self.process.returncode else "done"
        )

    @property
    def reason(self) -> str:
        """Why it failed."""
        code = self.process.returncode
        return self.error or (f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}")

    def free_memory(self) -> int:
        """Bytes of `memory` that it does not use yet."""
        used = 0
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.process.pid)
            for one in (process, *process.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    info = one.memory_info()
                    used += info.rss - getattr(info, "shared", 0)  # the files of libraries need memory only once
        return max(0, self.memory - used)


class Build:
    """Runs stages, at most `jobs` at once.

    Stages at the start of a long chain come first, so that short ones are left to fill the cores at the end.
    """

    def __init__(self, stages: Sequence[Stage], jobs: int, view: Lines) -> None:
        self.stages, self.jobs, self.view = {stage.name: stage for stage in stages}, jobs, view
        self.depths = depths(stages)
        self.running: dict[str, Job] = {}
        self.failed: list[Job] = []
        self.events: SimpleQueue[tuple[str, str | None]] = SimpleQueue()  # a stage and its line, or None at its end

    def run(self) -> list[str]:
        """Run all stages; the names of those that did not run because one that they need failed.

        KeyboardInterrupt or SystemExit after a signal, when all that runs has saved its work and ended; a second signal
        kills at once, as an error of the view does.
        """
        order: TopologicalSorter[str] = TopologicalSorter({name: s.needs for name, s in self.stages.items()})
        order.prepare()
        ready: list[str] = []
        waiting = set(self.stages)
        try:
            with DeferredSignals() as signals:
                while True:
                    ready += order.get_ready()
                    ready.sort(key=lambda name: -self.depths[name])  # stable: else in DVC's order
                    while ready and not signals.received and self.start(ready[0], len(ready)):
                        waiting.remove(ready.pop(0))
                    if signals.received or not self.running:
                        break
                    for name in self.take():
                        order.done(name)
                end = time.monotonic() + SAVE_SECONDS
                while self.running and time.monotonic() < end:
                    for job in self.running.values():
                        signal_stage(job.process.pid, signal.SIGINT, job.signalled)
                    self.take()
        finally:
            self.kill()
        if signals.received == signal.SIGTERM:
            sys.exit(128 + signal.SIGTERM)
        if signals.received:
            raise KeyboardInterrupt
        return [name for name in self.stages if name in waiting]

    def start(self, name: str, ready: int) -> bool:
        """Start a stage with its share of the cores, unless enough run or the memory is short: then False."""
        if len(self.running) >= self.jobs:
            return False
        free_cores = cores() - sum(job.share for job in self.running.values())
        share = max(1, free_cores // min(self.jobs - len(self.running), ready))
        memory = memory_need(self.stages[name], share)
        promised = sum(job.free_memory() for job in self.running.values())
        if self.running and memory + promised > psutil.virtual_memory().available:
            return False
        process = subprocess.Popen(
            command(name),
            env=os.environ | {"MELISMA_CORES": str(share), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            process_group=0,  # a terminal's Ctrl-C reaches only this process
        )
        self.running[name] = Job(self.stages[name], process, share, memory)

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                self.events.put((name, line.rstrip()))
            process.wait()  # the output ends when the last process of the stage has ended
            self.events.put((name, None))

        Thread(target=read, daemon=True).start()
        return True

    def take(self) -> list[str]:
        """Take the lines and ends since the last call, or wait a moment; the stages that have ended well."""
        succeeded = []
        self.view.on_poll(self.running.values())
        with contextlib.suppress(Empty):
            name, line = self.events.get(timeout=POLL_SECONDS)
            while True:
                if line is None:
                    job = self.running.pop(name)
                    job.seconds = time.monotonic() - job.started
                    if job.process.returncode:
                        self.failed.append(job)
                    else:
                        succeeded.append(name)
                    self.view.on_end(job)
                elif line and not QUIET.match(line):
                    self.running[name].read(line)
                    self.view.on_line(self.running[name], line)
                name, line = self.events.get_nowait()
        return succeeded

    def kill(self) -> None:
        """Kill the stages that still run; then DVC, if it does not end either."""
        processes = [job.process for job in self.running.values()]
        end = time.monotonic() + KILL_SECONDS
        while any(process.poll() is None for process in processes) and time.monotonic() < end:
            for process in processes:
                signal_stage(process.pid, signal.SIGKILL, set())
            time.sleep(POLL_SECONDS)
        for process in processes:
            process.kill()


def command(name: str) -> list[str]:
    """The command line that builds one stage."""
    arguments = ["--wait-for-lock", "repro", "--single-item", name]
    return [sys.executable, "-m", "pipeline.repro.child", str(os.getpid()), *arguments]


def depths(stages: Sequence[Stage]) -> dict[str, int]:
    """Name -> number of stages on the longest way to the end of the build."""
    result = {stage.name: 1 for stage in stages}
    for stage in reversed(stages):  # each before those that it needs
        for name in stage.needs:
            result[name] = max(result[name], result[stage.name] + 1)
    return result


def memory_need(stage: Stage, share: int) -> int:
    """Bytes that a stage may need: 1 GiB for each process that it may start, and the data that it reads, at most 4 GiB.

    (A training loads a split of up to `train.resident_gib`; what is larger is streamed.)
    """
    return share * GIB + min(4 * GIB, _data_size(stage))


@cache
def _data_size(stage: Stage) -> int:
    files = [path for top in stage.inputs for path in (top.rglob("*") if top.is_dir() else [top])]
    return sum(path.stat().st_size for path in files if path.is_file())


def default_jobs(device: str, train: TrainConfig) -> int:
    """One job per core, at most one per 2 GiB of free memory, on a GPU one per 6 GiB of its free memory.

    `device` is `runtime.device`. A training on several devices leaves no room for a second job.
    """
    import pynvml  # type: ignore[import-untyped]

    if train.devices > 1:
        return 1
    jobs = min(cores() // train.threads, psutil.virtual_memory().available // (2 * GIB))
    if device in ("auto", "cuda") or device.startswith("cuda:"):
        with contextlib.suppress(pynvml.NVMLError):  # no GPU of NVIDIA
            pynvml.nvmlInit()
            index, visible = int(device.partition(":")[2] or 0), os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
            if index < len(visible) and visible[index].isdigit():  # NVML also counts the GPUs that this hides
                index = int(visible[index])
            gpu = pynvml.nvmlDeviceGetHandleByIndex(index)
            jobs = min(jobs, pynvml.nvmlDeviceGetMemoryInfo(gpu).free // (6 * GIB))
    return max(1, jobs)
