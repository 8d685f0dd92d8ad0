"""Run a study through DVC's queue, from wherever it stands."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from pipeline.core import workspace
from pipeline.core.errors import ParamsError
from pipeline.core.params import RuntimeConfig, read_section, suggest
from pipeline.core.process import cores
from pipeline.studies import commit, completed, queue
from pipeline.studies.queue import State
from pipeline.studies.study import Experiment, experiments

POLL = 2.0  # seconds between two looks at the queue
LOST = (
    "it ended, but DVC has no result of it with these params and this code: if it was begun with others, the same "
    "command runs it anew, else .dvc/tmp/exps/celery/dvc-exp-worker-*.out says why"
)

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
    done = completed.find(wanted, commit.base())
    with queue.opened() as opened:
        return _states(wanted, opened.states({one.full for one in wanted}), set(done), State(""))


def revisions(wanted: list[Experiment], changed: str) -> dict[str, str]:
    """The commit of each that is finished, by its name in the study; `changed` is from `commit.base`."""
    found = completed.find(wanted, changed)
    return {one.name: found[one.full] for one in wanted if one.full in found}


def run(
    wanted: list[Experiment], changed: str, jobs: int | None, told: Callable[[States], None], say: Callable[[str], None]
) -> States:
    """Queue what is neither finished nor queued, and follow all until nothing is left to wait for.

    Nothing of the queue ends with this process: called again, it goes on from there.

    Args:
        wanted: experiments of one study.
        changed: a commit of the files that they are run from, from `commit.base`.
        jobs: workers, unless more of them run already; by default as many as fit, where none does.
        told: called with the states at every look.
        say: called with what a user should know once.

    Returns:
        The last states.
    """
    number = jobs or _jobs(wanted[0])
    with queue.opened() as opened:
        with _alone():
            _fill(wanted, opened, changed, say)
            workers = len(opened.workers())
            if jobs and workers > jobs:
                say(f"workers that run already: {workers}, more than --jobs {jobs}; `dvc queue stop` ends them")
            elif jobs and 0 < workers < jobs:  # perhaps what is left of another study's
                opened.start(jobs)
        for now in _follow(wanted, opened, number, changed):
            told(now)
    return now


def _fill(wanted: list[Experiment], opened: queue.Queue, changed: str, say: Callable[[str], None]) -> None:
    """Queue what is neither finished nor queued, or was queued with other params or code."""
    names = {one.full for one in wanted}
    if not opened.workers():
        opened.bury(names)
    before = opened.states(names)
    for one in wanted:
        state = before.get(one.full, State(""))
        is_old = state.status == "queued" and not completed.is_made_like(one, state.revision, changed)
        if is_old or state.status == "failed":
            opened.forget(state.revision)
        if is_old:
            say(f"{one.full}: queued with other params or other code before; that one is not run")
    waiting = opened.states(names)
    done = completed.find(wanted, changed)  # after the queue was looked at, since what ends in between is here
    put = [one for one in wanted if one.full not in waiting and one.full not in done]
    if put and (unknown := commit.untracked()):
        say(f"warning: Git does not track {', '.join(unknown)}: no experiment has them before `git add`")
    for one in put:
        if name := completed.set_aside(one):
            say(f"{one.full}: made with other params or other code before; that one is now called {name}")
        opened.put(one, changed)
    if others := opened.others(names):
        say(f"run as well, since they are in DVC's queue: {', '.join(others)}")


def _follow(wanted: list[Experiment], opened: queue.Queue, jobs: int, changed: str) -> Iterator[States]:
    names = {one.full for one in wanted}
    done: set[str] = set()
    ended: set[str] = set()
    while True:
        found = opened.states(names)
        if names - set(found) != ended:
            ended = names - set(found)
            done = set(completed.find(wanted, changed))
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
    return workspace.hold_lock(lock, "filling DVC's queue")


def _states(wanted: list[Experiment], found: States, done: set[str], ended: State) -> States:
    """Of each experiment; `ended` is that of one that is neither in the queue nor finished."""
    return {one.name: State("done") if one.full in done else found.get(one.full, ended) for one in wanted}


def _jobs(experiment: Experiment) -> int:
    """Workers where none are asked for: one on a GPU, else one for every four cores, so that each has enough of it."""
    device = read_section(RuntimeConfig, "runtime", raw=experiment.raw).device
    if device != "cpu":
        from pipeline.core.distributed import pick_device  # torch takes seconds

        if pick_device(device).type != "cpu":
            return 1
    return max(1, cores() // 4)
