"""Run a study through DVC's queue. It may stop and start again at any point."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager

from pipeline.core import workspace
from pipeline.core.errors import ParamsError
from pipeline.core.params import RuntimeConfig, read_section, suggest
from pipeline.core.process import cores
from pipeline.studies import commit, queue
from pipeline.studies.queue import State
from pipeline.studies.study import Experiment, load_experiments

POLL_SECONDS = 2.0
LOST_MESSAGE = (
    "it ended, but DVC has no result with these params and this code. If it started with others, the same command "
    "runs it again; else see .dvc/tmp/exps/celery/dvc-exp-worker-*.out"
)

States = dict[str, State]  # name in the study (full name in `queue`) -> state


def select_experiments(study: str, names: list[str] | None) -> list[Experiment]:
    """The experiments of a study with these names; all of them for None.

    Raises:
        ParamsError: there is no such study or experiment, or one of the study is wrong.
    """
    experiments = load_experiments(study)
    all_names = [experiment.name for experiment in experiments]
    for name in names or []:
        if name not in all_names:
            raise ParamsError(f"{study}: there is no experiment '{name}'; {suggest(name, all_names)}")
    return [experiment for experiment in experiments if not names or experiment.name in names]


def current_states(experiments: list[Experiment]) -> States:
    """The state of each experiment."""
    done = commit.find_completed(experiments, commit.snapshot())
    with queue.open_queue() as opened:
        queued = opened.states({experiment.full_name for experiment in experiments})
        return _merge(experiments, queued, done, State(""))


def run_study(
    experiments: list[Experiment],
    base: str,
    jobs: int | None,
    show: Callable[[States], None],
    say: Callable[[str], None],
) -> States:
    """Queue the experiments that are neither completed nor queued; return the states when all have ended.

    The queue goes on if this process ends; a second call waits again.

    Args:
        base: the commit that they run from, from `commit.snapshot`.
        jobs: number of workers, unless more run already. None: keep the running ones, else start as many as fit.
        show: gets the states at every poll.
        say: gets messages for the user.
    """
    worker_count = jobs or _default_jobs(experiments[0])
    with queue.open_queue() as opened:
        with _queue_lock():
            _fill_queue(experiments, opened, base, say)
            running = len(opened.workers())
            if jobs and running > jobs:
                say(f"{running} workers run already, more than --jobs {jobs}; `dvc queue stop` ends them")
            elif jobs and 0 < running < jobs:  # maybe the rest of another study's
                opened.start_workers(jobs)
        for states in _follow(experiments, opened, worker_count, base):
            show(states)
    return states


def _fill_queue(experiments: list[Experiment], opened: queue.Queue, base: str, say: Callable[[str], None]) -> None:
    names = {experiment.full_name for experiment in experiments}
    if not opened.workers():
        opened.fail_orphans(names)
    states = opened.states(names)
    for experiment in experiments:
        state = states.get(experiment.full_name, State(""))
        is_outdated = state.status == "queued" and not commit.is_up_to_date(experiment, state.commit, base)
        if is_outdated or state.status == "failed":
            opened.remove(state.commit)
        if is_outdated:
            say(f"{experiment.full_name}: was queued with other params or code; it is queued again with the new ones")
    queued = opened.states(names)
    done = commit.find_completed(experiments, base)  # after the queue: an experiment may be done in between
    new = [e for e in experiments if e.full_name not in queued and e.name not in done]
    if new and (files := commit.untracked_code()):
        say(f"warning: Git does not track {', '.join(files)}: no experiment has them before `git add`")
    for experiment in new:
        if name := commit.rename_outdated(experiment):
            say(f"{experiment.full_name}: an experiment with other params or code is now called {name}")
        opened.add(experiment, base)
    if others := opened.other_names(names):
        say(f"DVC's queue also runs: {', '.join(others)}")


def _follow(experiments: list[Experiment], opened: queue.Queue, worker_count: int, base: str) -> Iterator[States]:
    """Yield the states at every poll until all have ended; start workers if none lives."""
    names = {experiment.full_name for experiment in experiments}
    done: dict[str, str] = {}
    ended: set[str] = set()
    while True:
        queued = opened.states(names)
        if names - set(queued) != ended:
            ended = names - set(queued)
            done = commit.find_completed(experiments, base)
        states = _merge(experiments, queued, done, State("lost", LOST_MESSAGE))
        yield states
        if not any(state.status in ("queued", "running") for state in states.values()):
            return
        with _queue_lock():
            if not opened.workers():
                opened.fail_orphans(names)
                opened.start_workers(worker_count)
        time.sleep(POLL_SECONDS)


def _queue_lock() -> AbstractContextManager[None]:
    """Several processes may follow the queue, but only one at a time changes it."""
    lock = workspace.state_folder() / "locks" / "queue"
    lock.parent.mkdir(exist_ok=True)
    return workspace.hold_lock(lock, "filling DVC's queue")


def _merge(experiments: list[Experiment], queued: States, done: Iterable[str], default: State) -> States:
    """The state of each experiment; `default` if it is neither in the queue nor done."""
    states = {e.name: queued.get(e.full_name, default) for e in experiments}
    return states | {name: State("done") for name in done}


def _default_jobs(experiment: Experiment) -> int:
    """One worker on a GPU, else one per four cores."""
    device = read_section(RuntimeConfig, "runtime", raw=experiment.raw).device
    if device != "cpu":
        from pipeline.core.distributed import pick_device  # importing torch takes seconds

        if pick_device(device).type != "cpu":
            return 1
    return max(1, cores() // 4)
