"""Trainings on a GPU: how much of it each variant uses, at which batch sizes, and what could use more of it.

Rows come in the order of their importance. One that fails is named and left out. None begins after `LIMIT` seconds.
"""

import gc
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import chain, count, islice
from queue import Empty
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import Row, compare
from benchmarks.training.bare_step import bare_steps
from benchmarks.training.case import Case, split
from pipeline.core.device import pick_device
from pipeline.core.params import read_params
from pipeline.models.bottlenecks.vq import KMEANS_BATCHES
from pipeline.schema import schema
from pipeline.studies.study import study_params
from pipeline.training.device import autocast, numerics, precision
from pipeline.training.trainer import Trainer
from pipeline.training.validate import validate

LIMIT = 230.0
WARMUP_STEPS, STEPS, GRAPH_STEPS = KMEANS_BATCHES + 2, 20, 100
LARGE_BATCH = 64
MATRIX = 8192  # rows of the matrices whose product shows the highest FLOP/s
STUDIES = ("full", "full_band")
KINDS = ("mel_conv", "mel_fc", "wave_resnet", "wave_transformer")  # one variant of each kind of network
EVALUATED = ("mel_conv", "wave_full")
PROCESSES = (4, 8)
WINDOWS = 1000  # of an evaluation
STUDY_WINDOWS, STUDY_EPOCHS = 6000, 200  # of a study as large as GTZAN
SECONDS, TIMEOUT = 3.0, 60.0  # of trainings side by side; until all of them have begun
Measure = Callable[[], Iterator[Row]]


@dataclass(frozen=True)
class Speed:
    """A step of a training."""

    windows: int
    seconds: float
    busy_seconds: float  # in which the GPU runs kernels
    kernels: float
    flop: float
    memory: float  # peak, GiB

    @property
    def rate(self) -> float:
        """Windows per second."""
        return self.windows / self.seconds


def training_steps(trainer: Trainer) -> Callable[[int], None]:
    """A function that trains for so many steps, each with the next batch.

    They count as steps after the last one, in which all terms of a loss are on.
    """
    size, trainer.step = trainer.config.batch_size, trainer.total_steps
    batches = chain.from_iterable(trainer.train_data.epoch(size, trainer.seed, epoch) for epoch in count(1))

    def run(steps: int) -> None:
        for batch in islice(batches, steps):
            trainer.train_step(*batch)

    return run


def measure(case: Case) -> Speed:
    """Steps with their batches, without the fit of components, which does not change the time of a step."""
    is_gpu = case.device.type == "cuda"
    gc.collect()
    if is_gpu:
        torch.cuda.reset_peak_memory_stats()
    with numerics(case.settings, case.device):
        trainer = case.trainer()
        run = training_steps(trainer)
        with FlopCounterMode(display=False) as counter:
            run(1)
        run(WARMUP_STEPS)
        start = trainer.synchronised_time()
        run(STEPS)
        seconds = trainer.synchronised_time() - start
        memory = torch.cuda.max_memory_allocated() / 2**30 if is_gpu else 0.0
        with profile(activities=[ProfilerActivity.CUDA if is_gpu else ProfilerActivity.CPU]) as profiler:
            run(STEPS)
            trainer.synchronised_time()
    events = [event.time_range for event in profiler.events() or [] if event.device_type.name == "CUDA"]
    busy, end = 0.0, 0.0  # microseconds
    for span in sorted(events, key=lambda span: span.start):
        busy += max(0.0, span.end - max(span.start, end))
        end = max(end, span.end)
    flop = counter.get_total_flops()
    return Speed(case.settings.batch_size, seconds / STEPS, busy / STEPS / 1e6, len(events) / STEPS, flop, memory)


@cache
def peak_flops(device: torch.device, repeats: int = 20) -> float:
    """FLOP/s of the device in a product of two square matrices in bf16."""
    a = torch.randn(MATRIX, MATRIX, device=device, dtype=torch.bfloat16)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        (a @ a)[0, 0].item()
        times.append(time.perf_counter() - start)
    return 2 * MATRIX**3 / min(times)


def speed_row(speeds: dict[str, Speed], label: str, make_case: Callable[[], Case]) -> Iterator[Row]:
    """The time of a step against that of its kernels: the ratio is the share of the time in which the GPU is busy."""
    case = make_case()
    speed = speeds[label] = measure(case)
    share = speed.flop / speed.seconds / peak_flops(case.device)
    facts = f"{speed.rate:,.0f} windows/s, {speed.kernels:,.0f} kernels, {speed.memory:.2f} GiB, {share:.1%} of FLOP/s"
    what = f"step of {label}, {speed.windows} windows, {precision(case.settings, case.device)}: {facts}"
    yield Row(what, 1e6 * speed.seconds, "its kernels", 1e6 * speed.busy_seconds, "µs")


def study_row(speeds: dict[str, Speed], names: list[str]) -> Iterator[Row]:
    """The time of all trainings of a study, one after the other, without validation."""
    windows = STUDY_EPOCHS * STUDY_WINDOWS
    default, large = (sum(windows / speeds[f"{n}{suffix}"].rate for n in names) for suffix in ("", " in large batches"))
    what = f"{STUDY_EPOCHS} epochs of {STUDY_WINDOWS:,} windows, all variants, batches of {LARGE_BATCH}"
    yield Row(what, large, "batches as in params.yaml", default)


def graph_row(label: str, make_case: Callable[[], Case]) -> Iterator[Row]:
    """Bare steps as replays of one CUDA graph, against the same steps launched kernel by kernel."""
    case = make_case()
    with numerics(case.settings, case.device):
        eager, captured = bare_steps(case), bare_steps(case, capturable=True)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            captured(WARMUP_STEPS)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            captured(1)

        def replay() -> None:
            for _ in range(GRAPH_STEPS):
                graph.replay()
            torch.cuda.synchronize()

        def launch() -> None:
            eager(GRAPH_STEPS)
            torch.cuda.synchronize()

        what = f"{GRAPH_STEPS} bare steps of {label}, {case.settings.batch_size} windows, as CUDA graphs"
        yield compare(what, replay, "launched kernel by kernel", launch, rounds=3)


def _train(variant: str, device: str, barrier: Any, rates: Any) -> None:
    """Train for some seconds beside other processes, and hand over the windows per second."""
    case = Case.of(variant, STEPS, torch.device(device))
    with numerics(case.settings, case.device):
        trainer = case.trainer()
        run = training_steps(trainer)
        run(WARMUP_STEPS)
        trainer.synchronised_time()
        barrier.wait(TIMEOUT)
        start, steps, seconds = time.perf_counter(), 0, 0.0
        while seconds < SECONDS:
            run(STEPS)
            steps, seconds = steps + STEPS, trainer.synchronised_time() - start
    rates.put(steps * case.settings.batch_size / seconds)


@cache
def rate_together(variant: str, device: torch.device, number: int) -> float:
    """Windows per second of so many trainings at once, all together; RuntimeError if one of them fails."""
    context = multiprocessing.get_context("spawn")
    barrier, rates = context.Barrier(number), context.Queue()
    processes = [context.Process(target=_train, args=(variant, str(device), barrier, rates)) for _ in range(number)]
    try:
        for process in processes:
            process.start()
        return sum(rates.get(timeout=TIMEOUT + 10 * SECONDS) for _ in processes)
    except Empty as error:
        raise RuntimeError(f"{number} trainings of {variant} at once: one has failed") from error
    finally:
        for process in processes:
            process.kill()
            process.join()


def processes_row(device: torch.device, number: int) -> Iterator[Row]:
    """The time per window of several trainings at once: the ratio is how many times as fast they are as one."""
    alone, together = (1e6 / rate_together("mel_conv", device, n) for n in (1, number))
    yield Row(f"{number} trainings of mel_conv at once, time per window", together, "one alone", alone, "µs")


def evaluation_rows(name: str, device: torch.device) -> Iterator[Row]:
    """What a training does besides steps, and the reconstructions of an evaluation, against steps."""
    size = Case.of(name, 1, device).settings.batch_size
    case = Case.of(name, -(-WINDOWS // size), device)
    case = replace(case, valid=split(case.params, name, WINDOWS, seed=1))
    trainer = case.trainer()
    model, data, run = trainer.model, trainer.valid_data, training_steps(trainer)

    def timed(function: Callable[[], object]) -> float:
        start = trainer.synchronised_time()
        function()
        return trainer.synchronised_time() - start

    def check() -> None:
        with autocast(case.settings, device):
            validate(model, data, trainer.valid_objective, size)

    def reconstruct() -> None:
        for x, label in data.batches(case.params.evaluate.batch_size):
            model.reconstruct_draws(x, [None, torch.randn(len(x), model.latent_dims, device=device)], label)

    with numerics(case.settings, device):
        fit = timed(trainer.prepare)
        run(WARMUP_STEPS)
        steps = timed(partial(run, WINDOWS // size))
        yield Row(f"fit of the components of {name}", fit, f"training steps on {WINDOWS:,} windows", steps)
        check()
        yield Row(f"validation of {name} on {WINDOWS:,} windows", timed(check), "training steps on as many", steps)
    with torch.no_grad():
        reconstruct()
        what = f"reconstructions of an evaluation of {name}, {WINDOWS:,} windows"
        yield Row(what, timed(reconstruct), "training steps on as many", steps)


def plan(device: torch.device) -> Iterator[tuple[str, Measure]]:
    """Titles and measurements, the most important first."""
    speeds: dict[str, Speed] = {}

    def speed(label: str, name: str, **settings: Any) -> tuple[str, Measure]:
        return label, partial(speed_row, speeds, label, partial(Case.of, name, STEPS, device, **settings))

    raw = read_params()
    names = [name for name, model in schema.load(raw).models.items() if model.loss]
    for name in names:
        yield speed(name, name)
    for name in names:
        yield speed(f"{name} in large batches", name, batch_size=LARGE_BATCH)
    yield "study", partial(study_row, speeds, names)
    for study in STUDIES:
        full = study_params(study)
        for name, model in schema.load(full).models.items():
            if model.loss and full["models"][name] != raw["models"].get(name):
                yield speed(f"{name} of studies/{study}", name, raw=full)
    for label, params in (("", raw), (" of studies/full", study_params("full"))) if device.type == "cuda" else ():
        for name in KINDS:
            make_case = partial(Case.of, name, 1, device, raw=params)
            yield f"graph of {name}{label}", partial(graph_row, name + label, make_case)
    for number in PROCESSES:
        yield f"{number} processes", partial(processes_row, device, number)
    for name in EVALUATED:
        yield f"evaluation of {name}", partial(evaluation_rows, name, device)
    for name in KINDS:
        yield speed(f"{name} in 32 bits", name, precision="fp32")


def rows(device: torch.device | None = None) -> Iterator[Row]:
    """Each row as soon as it is measured; nothing without a GPU, unless another device is given."""
    if device is None:
        device = pick_device("auto")
        if device.type != "cuda":
            print("benchmarks: no CUDA device here, so its use is not measured", file=sys.stderr)
            return
    start = time.perf_counter()
    for title, measurement in plan(device):
        if time.perf_counter() - start > LIMIT:
            print(f"benchmarks: {LIMIT:g} s are over, before {title}", file=sys.stderr)
            return
        try:
            yield from measurement()
        except Exception as error:  # whatever it is: the rows that follow count
            print(f"benchmarks: {title}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
