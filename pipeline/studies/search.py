"""Run a search with Optuna: each trial is an experiment in DVC's queue that only trains.

Optuna's database .melisma/searches.db has all trials, so a search may stop and start again at any point. A search is
known by everything that its values depend on: with other params, another space or other code, a new one begins.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from pipeline.core import workspace
from pipeline.core.errors import MelismaError, ParamsError
from pipeline.studies import commit, queue, results, runner
from pipeline.studies.study import Dimension, Experiment, load_search, with_settings
from pipeline.tracking.run_folder import run_folders
from pipeline.training.selection import selected_epoch

STARTUP_TRIALS = 5  # random trials, before Optuna proposes values and ends bad trials early
FIRST_PRUNED_EPOCH = 2  # after one epoch, a low learning rate looks worse than it is
DIGITS = 4  # significant digits of a value that is no whole number
STATUS = {TrialState.COMPLETE: "done", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
FINISHED = tuple(STATUS)


@dataclass(frozen=True)
class Trial:
    """A trial that has ended."""

    number: int
    status: str  # done, pruned (ended early) or failed
    value: float | None  # the metric; if pruned, that of the last epoch
    epochs: int  # reported to Optuna
    settings: dict[str, Any]  # dotted key, as in the file -> value
    error: str

    def flat(self) -> dict[str, Any]:
        """Column -> value."""
        values = asdict(self) | self.settings
        del values["settings"]
        return values


class SearchRun:
    """A search of the present params with the code of the commit `base`, from `commit.snapshot`."""

    def __init__(self, name: str, base: str) -> None:
        self.name, self.base = name, base
        self.start, self.search, self.variant = load_search(name)
        space = self.search.model_dump(mode="json", exclude={"trials"})
        params = commit.relevant(self.start.params)
        self.identity = f"{name}-{workspace.fingerprint([params, space, commit.code_hashes(base)])}"
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.storage = optuna.storages.RDBStorage(f"sqlite:///{workspace.state_folder() / 'searches.db'}")

    @property
    def short_keys(self) -> dict[str, str]:
        """Key as in the file -> its name in tables."""
        names = results.short_keys(self.search.space)
        return {key: names[results.without_variant(key)] for key in self.search.space}

    def trials(self) -> list[Trial]:
        """The trials that have ended; none before the first run."""
        if self.identity not in optuna.get_all_study_names(self.storage):
            return []
        study = optuna.load_study(study_name=self.identity, storage=self.storage)
        return [self._describe(trial) for trial in study.get_trials(states=FINISHED)]

    def best(self) -> Trial:
        """The trial with the lowest value, of those that were not pruned; MelismaError if there is none."""
        done = [trial for trial in self.trials() if trial.value is not None and trial.status == "done"]
        if not done:
            raise MelismaError(f"{self.name}: no trial has a value; change the space, or run more: --trials N")
        return min(done, key=lambda trial: trial.value or 0.0)

    def best_experiment(self) -> Experiment:
        """The experiment that builds everything with the settings of the best trial; MelismaError as `best`."""
        return with_settings(self.start, "best", self.best().settings)

    def run(self, trials: int, say: Callable[[str], None]) -> Iterator[Trial]:
        """Run until `trials` have ended, and yield each one that ends; `say` gets messages for the user.

        MelismaError if a trial ended for another reason than its params; then the next run repeats it.
        """
        study = self._open(say)
        while True:
            number = len(study.get_trials(deepcopy=False, states=FINISHED))
            # Of the number, so that a search proposes the same trials whether it was stopped or not.
            study.sampler = optuna.samplers.TPESampler(n_startup_trials=STARTUP_TRIALS, seed=number)
            running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            if not running and number >= trials:
                return
            if running:
                say(f"trial {running[0].number} goes on")
            # `ask` would leave a trial that runs already, after this process was stopped, and begin the next.
            trial = optuna.trial.Trial(study, running[0]._trial_id) if running else study.ask()
            self._run_trial(study, trial, say)
            yield self._describe(study.trials[trial.number])

    def _open(self, say: Callable[[str], None]) -> optuna.Study:
        """The search in the database; a new one begins with the values of the base, if they are in the space."""
        names = optuna.get_all_study_names(self.storage)
        if self.identity not in names and any(name.rpartition("-")[0] == self.name for name in names):
            say("params, space or code have changed since the last search: a new one begins")
        pruner = optuna.pruners.MedianPruner(STARTUP_TRIALS, n_warmup_steps=FIRST_PRUNED_EPOCH)
        study = optuna.create_study(study_name=self.identity, storage=self.storage, pruner=pruner, load_if_exists=True)
        if not study.get_trials(deepcopy=False):
            space, params = self.search.space, self.start.params
            values = {key: results.setting(params, self.variant, results.without_variant(key)) for key in space}
            if all(_contains(dimension, values[key]) for key, dimension in space.items()):
                study.enqueue_trial({key: _to_optuna(space[key], value) for key, value in values.items()})
        return study

    def _run_trial(self, study: optuna.Study, trial: optuna.Trial, say: Callable[[str], None]) -> None:
        """Run the experiment of a trial, or follow it if it runs already, and tell Optuna its result."""
        settings = {key: _suggest(trial, key, dimension) for key, dimension in self.search.space.items()}
        experiment = with_settings(self.start, str(trial.number), settings, (f"train@{self.variant}",))
        try:
            params = experiment.params
        except ParamsError as error:
            self._fail(study, trial, str(error))
            return
        seeds, epochs = params["seeds"], results.setting(params, self.variant, "train.epochs")
        is_pruned = False
        for states in runner.run_study([experiment], self.base, None, 1, say):
            state = states[experiment.name]
            if state.status == "running" and state.started and runner.is_current(state, experiment, self.base):
                values = self._live_values(experiment, seeds[0], state.started)
                if is_pruned := is_pruned or self._report(study, trial, values, epochs):
                    queue.stop(experiment.full_name)
        histories = self._read_histories(experiment, seeds) if state.status == "done" else []
        if histories and not is_pruned:
            is_pruned = self._report(study, trial, histories[0][self.search.metric].tolist(), epochs)
        if is_pruned:
            if state.status == "failed":
                queue.remove(state.commit)
            study.tell(trial, state=TrialState.PRUNED)
        elif histories:
            study.tell(trial, mean(_selected(history, self.search.metric) for history in histories))
        elif state.detail.startswith(f"train@{self.variant}: ") and not state.detail.endswith(queue.STOPPED):
            self._fail(study, trial, state.detail)
        else:
            raise MelismaError(f"{experiment.full_name}: {state.status}: {state.detail}; the next search repeats it")

    def _fail(self, study: optuna.Study, trial: optuna.Trial, error: str) -> None:
        trial.set_user_attr("error", error)
        study.tell(trial, state=TrialState.FAIL)

    def _report(self, study: optuna.Study, trial: optuna.Trial, values: list[float], epochs: int) -> bool:
        """Report the metric of each new epoch of the first seed, in order; whether the trial is to be pruned.

        After all `epochs`, nothing is left to save.
        """
        known = study.get_trials(deepcopy=False)[trial.number].intermediate_values
        for epoch, value in enumerate(values, 1):
            if epoch not in known:
                trial.report(value, epoch)
                if epoch < epochs and trial.should_prune():
                    return True
        return False

    def _live_values(self, experiment: Experiment, seed: int, started: float) -> list[float]:
        """The metric of each epoch so far, which a training records as a run; none if tracking is off.

        A run with rows from before `started` is of an earlier experiment with this name.
        """
        tags = {"dvc.exp_name": experiment.full_name, "variant": self.variant, "seed": str(seed)}
        for run in run_folders():
            file = run.series_file("epoch")
            if tags.items() <= run.meta["tags"].items() and file.exists() and file.stat().st_mtime >= started:
                return [float(row[self.search.metric]) for row in run.read_series("epoch")[0]]
        return []

    def _read_histories(self, experiment: Experiment, seeds: list[int]) -> list[pd.DataFrame]:
        """history.csv of each seed, from the result of an experiment."""
        revision = runner.find_results([experiment], self.base)[experiment.name]
        with queue.files_at(revision) as files:
            folder = f"/{workspace.MODELS}/{self.variant}"
            histories = []
            for seed in seeds:
                with files.open(f"{folder}/seed-{seed}/history.csv", "rb") as file:
                    histories.append(pd.read_csv(file))
            return histories

    def _describe(self, trial: FrozenTrial) -> Trial:
        settings = {
            key: _from_optuna(dimension, trial.params[key])
            for key, dimension in self.search.space.items()
            if key in trial.params
        }
        error = trial.user_attrs.get("error", "")
        status, epochs = STATUS[trial.state], len(trial.intermediate_values)
        return Trial(trial.number, status, trial.value, epochs, settings, error)


def _selected(history: pd.DataFrame, metric: str) -> float:
    """The metric of the epoch whose weights a training uses."""
    adversarial: Any = history.get("adversarial_phase", [])
    return float(history[metric].iloc[selected_epoch(history["valid_loss"].tolist(), list(adversarial))])


def _suggest(trial: optuna.Trial, key: str, dimension: Dimension) -> Any:
    """Optuna's value for a key; the same again if it has one."""
    if dimension.choices is not None:
        value: Any = trial.suggest_categorical(key, [_to_optuna(dimension, choice) for choice in dimension.choices])
    elif isinstance(dimension.low, int) and isinstance(dimension.high, int):
        value = trial.suggest_int(key, dimension.low, dimension.high, log=dimension.log)
    else:
        assert dimension.low is not None and dimension.high is not None
        value = trial.suggest_float(key, dimension.low, dimension.high, log=dimension.log)
    return _from_optuna(dimension, value)


def _to_optuna(dimension: Dimension, value: Any) -> Any:
    """Optuna's choices are plain values; here they may be lists."""
    return value if dimension.choices is None else json.dumps(value)


def _from_optuna(dimension: Dimension, value: Any) -> Any:
    if dimension.choices is not None:
        return json.loads(value)
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _contains(dimension: Dimension, value: Any) -> bool:
    """Whether a dimension has a value."""
    if dimension.choices is not None:
        return value in dimension.choices
    if dimension.low is None or dimension.high is None or not isinstance(value, int | float):
        return False
    return dimension.low <= value <= dimension.high
