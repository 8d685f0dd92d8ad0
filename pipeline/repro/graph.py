"""The stages of dvc.yaml, what each needs, and which are out of date. DVC answers all three."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.core import workspace
from pipeline.core.errors import MelismaError
from pipeline.core.git import INIT_HINT
from pipeline.core.params import suggest


@dataclass(frozen=True)
class Stage:
    """A stage that a build may run."""

    name: str  # such as train@mel_conv
    needs: frozenset[str]  # names of the stages that write its inputs
    inputs: tuple[Path, ...] = ()  # files and folders in data/ that it reads


def outdated_stages(targets: Iterable[str] = ()) -> list[Stage]:
    """The stages that `dvc repro` would look at again, in its order: those that changed and all that depend on them.

    `targets` are names of stages, as for `dvc repro`; by default all. MelismaError with DVC's words if it refuses.
    """
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.lock import LockError
    from dvc.repo import Repo
    from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
    from dvc.scm import SCMError
    from dvc.stage.exceptions import StageNotFound

    logging.getLogger("dvc").setLevel(logging.CRITICAL)  # else a terminal shows its progress bars
    targets = list(targets)
    try:
        with Repo(str(workspace.root()), _wait_for_lock=True) as repo:
            graph = get_active_graph(repo.index.graph)
            steps = plan_repro(graph, collect_stages(repo, targets or ["dvc.yaml"]))
            changed = set(repo.status(targets, with_deps=True))
    except LockError as error:
        raise MelismaError("another DVC command is running in this project; try again when it has ended") from error
    except SCMError as error:
        raise MelismaError(f"{error}; DVC needs one, and a ZIP download has none: {INIT_HINT}") from error
    except NotDvcRepoError as error:
        raise MelismaError(f"{error}; copy the project with its hidden files, such as the folder .dvc") from error
    except UnicodeError as error:
        problem = "a file in source.path has a name that is not UTF-8, which DVC cannot store"
        raise MelismaError(f"{problem}; rename it: `find FOLDER | LC_ALL=C.UTF-8 grep -avx '.*'` shows it") from error
    except StageNotFound as error:
        names = {stage.addressing for stage in repo.index.stages}
        if "@" not in error.name:
            names = {name.partition("@")[0] for name in names}  # train: all of train@...
        raise MelismaError(f"{error}; {suggest(error.name, names)}") from error
    except DvcException as error:
        raise MelismaError(str(error)) from error
    stages: dict[str, Stage] = {}
    for step in steps:  # each comes after those that it needs
        needs = frozenset(needed.addressing for needed in graph.successors(step))
        if step.addressing in changed or needs & stages.keys():
            inputs = [workspace.root() / dep.def_path for dep in step.deps if dep.def_path.startswith("data/")]
            stages[step.addressing] = Stage(step.addressing, frozenset(needs & stages.keys()), tuple(inputs))
    return list(stages.values())
