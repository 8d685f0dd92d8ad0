"""Run a study through DVC's queue. It may stop and start again at any point."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from pipeline.core import workspace
from pipeline.studies import commit, queue
from pipeline.studies.queue import State
from pipeline.studies.study import Experiment

POLL_SECONDS = 2.0
LOST_MESSAGE = (
    "it ended, but DVC has no result with these params and this code. If it started with others, the same command "
    "runs it again; else see .dvc/tmp/exps/celery/dvc-exp-worker-*.out"
)

States = dict[str, State]  # name in the study (full name in `queue`) -> state


def find_results(experiments: list[Experiment], base: str) -> dict[str, str]:
    """Name in the study -> commit of the newest result with its params, if possible with the code of `base` too."""
    results = {}
    for experiment in experiments:
        commits = [c for c in queue.result_commits(experiment.full_name) if commit.has_params(c, experiment)]
        if commits:
            results[experiment.name] = max(commits, key=lambda c: commit.has_code(c, base))  # the first of equals
    return results


def read_states(experiments: list[Experiment], base: str, default: State) -> States:
    """The state of each experiment; `default` if it is neither in the queue nor done."""
    queued = queue.states()  # before the results: an experiment may be done in between
    states = {e.name: queued.get(e.full_name, default) for e in experiments}
    ended = [e for e in experiments if states[e.name].status not in ("queued", "running")]
    return states | {name: State("done") for name, c in find_results(ended, base).items() if commit.has_code(c, base)}


def is_current(state: State, experiment: Experiment, base: str) -> bool:
    """Whether an experiment that is in the queue has these params and the code of `base`."""
    return commit.has_params(state.commit, experiment) and commit.has_code(state.commit, base)


def run_study(
    experiments: list[Experiment], base: str, jobs: int | None, default_jobs: int, say: Callable[[str], None]
) -> Iterator[States]:
    """Queue the experiments that are neither done nor queued, and yield all states at every poll until all have ended.

    The queue goes on if this process ends; a second call waits again.

    Args:
        base: the commit that they run from, from `commit.snapshot`.
        jobs: number of workers, unless more run already. None: keep the running ones, else start `default_jobs`.
        say: gets messages for the user.
    """
    names = {experiment.full_name for experiment in experiments}
    with _queue_lock():
        if not queue.workers():
            queue.fail_orphans(names)
        _fill_queue(experiments, base, say)
        running = len(queue.workers())
        if jobs and running > jobs:
            say(f"{running} workers run already, more than --jobs {jobs}; `dvc queue stop` ends them")
        elif jobs and 0 < running < jobs:  # maybe the rest of another study's
            queue.start_workers(jobs)
    while True:
        states = read_states(experiments, base, State("lost", LOST_MESSAGE))
        yield states
        if not any(state.status in ("queued", "running") for state in states.values()):
            return
        with _queue_lock():
            if not queue.workers():
                queue.fail_orphans(names)
                queue.start_workers(jobs or default_jobs)
        time.sleep(POLL_SECONDS)


def _fill_queue(experiments: list[Experiment], base: str, say: Callable[[str], None]) -> None:
    """Queue the experiments that have no current result and do not run."""
    queued = queue.states()
    for experiment in experiments:
        state = queued.get(experiment.full_name, State(""))
        is_outdated = state.status == "queued" and not is_current(state, experiment, base)
        if is_outdated or state.status == "failed":
            queue.remove(state.commit)
        if is_outdated:
            say(f"{experiment.full_name}: was queued with other params or code; it is queued again with the new ones")
    states = read_states(experiments, base, State(""))
    new = [experiment for experiment in experiments if not states[experiment.name].status]
    if new and (files := commit.untracked_code()):
        say(f"warning: Git does not track {', '.join(files)}: no experiment has them before `git add`")
    for experiment in new:
        if name := queue.rename_result(experiment.full_name):
            say(f"{experiment.full_name}: an experiment with other params or code is now called {name}")
        queue.add(experiment, base)
    own_names = {experiment.full_name for experiment in experiments}
    if others := [n for n, state in queued.items() if state.status == "queued" and n not in own_names]:
        say(f"DVC's queue also runs: {', '.join(others)}")


def _queue_lock() -> AbstractContextManager[None]:
    """Several processes may follow the queue, but only one at a time changes it."""
    lock = workspace.state_folder() / "locks" / "queue"
    return workspace.hold_lock(lock, "filling DVC's queue")
