"""Run a study through DVC's queue, from wherever it stands."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from pipeline import workspace
from pipeline.errors import ParamsError
from pipeline.params import suggest
from pipeline.studies import commit, finished, queue
from pipeline.studies.queue import State
from pipeline.studies.study import Experiment, experiments

POLL = 2.0  # seconds between two looks at the queue
LOST = "it ended, but DVC kept nothing of it: see .dvc/tmp/exps/celery/dvc-exp-worker-*.out"

States = dict[str, State]  # by the experiment's name in the study


def chosen(study: str, only: list[str] | None) -> list[Experiment]:
    """The experiments of a study, or those named.

    Raises:
        ParamsError: there is no such study or experiment, or one of the study is wrong.
    """
    found = experiments(study)
    names = [one.name for one in found]
    for name in only or []:
        if name not in names:
            raise ParamsError(f"{study}: there is no experiment '{name}'; {suggest(name, names)}")
    return [one for one in found if not only or one.name in only]


def states(wanted: list[Experiment]) -> States:
    """Where each of these experiments stands; '' is the status of one that was never run."""
    done = finished.find(wanted, commit.base())
    with queue.opened() as opened:
        return _states(wanted, opened.states({one.full for one in wanted}), set(done), State(""))


def revisions(wanted: list[Experiment], changed: str) -> dict[str, str]:
    """The commit of each that is finished, by its name in the study; `changed` is from `commit.base`."""
    found = finished.find(wanted, changed)
    return {one.name: found[one.full] for one in wanted if one.full in found}


def run(
    wanted: list[Experiment], changed: str, jobs: int, told: Callable[[States], None], say: Callable[[str], None]
) -> States:
    """Queue what is neither finished nor queued, and follow all until nothing is left to wait for.

    Nothing of the queue ends with this process: called again, it goes on from there.

    Args:
        wanted: experiments of one study.
        changed: a commit of the files that they are run from, from `commit.base`.
        jobs: workers.
        told: called with the states at every look.
        say: called with what a user should know once.

    Returns:
        The last states.
    """
    names = {one.full for one in wanted}
    with queue.opened() as opened:
        with _alone():
            if not opened.workers():
                opened.bury(names)
            done = finished.find(wanted, changed)
            waiting = opened.states(names)
            opened.forget({name for name, state in waiting.items() if state.status == "failed"})
            for one in wanted:
                if one.full not in done and waiting.get(one.full, State("failed")).status == "failed":
                    if name := finished.set_aside(one):
                        say(f"{one.full}: made with other params or other code before; that one is now called {name}")
                    opened.put(one, changed)
        for now in _follow(wanted, opened, jobs, changed):
            told(now)
    return now


def _follow(wanted: list[Experiment], opened: queue.Queue, jobs: int, changed: str) -> Iterator[States]:
    names = {one.full for one in wanted}
    done: set[str] = set()
    ended: set[str] = set()
    while True:
        found = opened.states(names)
        if names - set(found) != ended:
            ended = names - set(found)
            done = set(finished.find(wanted, changed))
        now = _states(wanted, found, done, State("lost", LOST))
        yield now
        if not any(state.status in ("queued", "running") for state in now.values()):
            return
        with _alone():
            if not opened.workers():
                opened.bury(names)
                opened.start(jobs)
        time.sleep(POLL)


def _alone() -> AbstractContextManager[None]:
    """Others may follow the same queue, but one at a time changes it."""
    lock = workspace.state() / "locks" / "queue"
    lock.parent.mkdir(exist_ok=True)
    return workspace.alone(lock, "filling DVC's queue")


def _states(wanted: list[Experiment], found: States, done: set[str], ended: State) -> States:
    """Of each experiment; `ended` is that of one that is neither in the queue nor finished."""
    return {one.name: State("done") if one.full in done else found.get(one.full, ended) for one in wanted}


def jobs() -> int:
    """Workers where none are asked for: one for every four cores, so that each has enough of them."""
    return max(1, (os.cpu_count() or 1) // 4)
