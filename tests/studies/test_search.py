"""`melisma study search`: the section of the file, and a search in DVC's queue that is killed and goes on."""

import csv
import time

import optuna
import pandas as pd
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.core.errors import MelismaError
from pipeline.studies import commit, queue, runner, search
from pipeline.studies.queue import State
from pipeline.studies.search import SearchRun
from pipeline.training.config import TrainConfig
from tests.studies.conftest import TRAIN

RATE = {"low": 0.001, "high": 0.1, "log": True}
LR, WIDTH = "models.*.train.learning_rate", "models.mel_conv.network.channels"
SPACE = {LR: RATE, WIDTH: {"choices": [[16], [32], [48]]}}


def write(project, trials=3, space=SPACE, **keys):
    section = {"trials": trials, "space": space} | keys.pop("section", {})
    project.write("mine", **{"models": ["mean", "mel_conv"], "search": section} | keys)


def invoke(*arguments):
    return CliRunner().invoke(app, ["study", *arguments])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"models": ["mel_conv", "mel_fc"]}, "models: a search trains one variant, not 2 (mel_conv, mel_fc)"),
        ({"models": ["mean"]}, "models: a search trains one variant, not 0"),
        ({"grid": {"train.epochs": [1, 2]}}, "a study with `search` has neither `experiments` nor `grid`"),
        ({"section": {"metric": "test_mse"}}, "search.metric: Input should be 'valid_loss' or 'valid_mse'"),
        ({"section": {"trial": 3}}, "search: unknown key 'trial'; did you mean 'trials'?"),
        ({"space": {}}, "search.space"),
        ({"space": {LR: {"low": 1, "high": 0.1}}}, f"search.space.{LR}.low: must be below high"),
        ({"space": {LR: {"low": 0, "high": 1, "log": True}}}, f"search.space.{LR}.low: must be above 0 with `log`"),
        ({"space": {LR: {"low": 0.1}}}, f"search.space.{LR}: give `low` and `high` (and perhaps `log`), or `choices`"),
        ({"space": {LR: RATE | {"choices": [1, 2]}}}, f"search.space.{LR}: give `low` and `high` (and"),
        ({"space": {LR: {"choices": [0.1, 0.1]}}}, f"search.space.{LR}.choices: a value occurs twice"),
        ({"space": {LR: {"low": -1, "high": 1}}}, f"search.space.{LR}: models.mel_conv.train.learning_rate: "),
        ({"space": {"models.*.train.rate": RATE}}, "search.space.models.*.train.rate: models.mel_conv.train: unknown"),
        ({"space": {"models.mel_fc.train.learning_rate": RATE}}, "search.space.models.mel_fc.train.learning_rate: not"),
        ({"space": {"windows.seconds": RATE}}, "search.space: windows.seconds: a search changes only `train`"),
        ({"space": {"models.*.loss.kl.beta": RATE}}, "search: `metric` must be valid_mse, since models.*.loss.kl"),
        (
            {"space": {"train.learning_rate": RATE}, "overrides": {LR: 0.5}},
            "search.space.train.learning_rate: has no effect; does models.mel_conv.train override it?",
        ),
    ],
)
def test_a_mistake_is_one_line_before_a_trial_starts(project, keys, message):
    write(project, **keys)
    result = invoke("search", "mine")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: studies/mine.yaml: {message}") and result.stderr.count("\n") == 1
    assert queue.states() == {}


def test_a_search_and_a_study_name_each_other_s_command(project):
    write(project)
    assert "it is a search; `melisma study search mine` runs it" in invoke("run", "mine").stderr
    project.write("other", grid={"train.epochs": [2, 3]})
    assert "it has no `search`; `melisma study run other` runs it" in invoke("search", "other").stderr
    assert invoke("list").stdout.splitlines()[0].split()[:3] == ["mine", "3", "trials"]
    assert invoke("table", "mine").stderr == "`melisma study search mine` runs what is missing\n"
    shown = invoke("show", "mine")
    assert shown.stdout == "search of valid_loss of mel_conv: 0 of 3 trials\n"
    assert shown.stderr == "`melisma study search mine` runs what is missing\n"


@pytest.fixture
def make_run(project, monkeypatch):
    """A search whose trainings are a function of the settings that returns the losses of the epochs, or an error."""
    stopped = []

    def make(losses_of, **keys):
        write(project, **keys)
        live = {}

        def run_study(experiments, *_):
            [experiment] = experiments
            result = losses_of(experiment.settings)
            losses = [] if isinstance(result, State) else result
            for epoch in range(1, len(losses)):
                live[experiment.name] = losses[:epoch]
                yield {experiment.name: State("running", started=1.0)}
                if experiment.full_name in stopped:
                    yield {experiment.name: State("failed", "train@mel_conv: it was stopped", commit="c")}
                    return
            live[experiment.name] = losses
            yield {experiment.name: result if isinstance(result, State) else State("done")}

        monkeypatch.setattr(runner, "run_study", run_study)
        monkeypatch.setattr(runner, "is_current", lambda *_: True)
        monkeypatch.setattr(queue, "stop", stopped.append)
        monkeypatch.setattr(queue, "remove", lambda _: None)
        run = SearchRun("mine", commit.snapshot())
        monkeypatch.setattr(run, "_live_values", lambda experiment, *_: live[experiment.name])
        history = lambda experiment, _: [pd.DataFrame({"valid_loss": live[experiment.name]})]  # noqa: E731
        monkeypatch.setattr(run, "_read_histories", history)
        run.stopped = stopped
        return run

    return make


def bowl(settings):
    """Losses of four epochs; the lowest is at a learning rate of 0.01 and 16 channels."""
    value = abs(settings[LR] - 0.01) * 100 + settings[WIDTH][0] - 16
    return [value + 3, value + 2, value + 1, value]


def test_the_first_trial_has_the_present_values_and_the_best_has_the_lowest_value(make_run):
    run = make_run(bowl)
    trials = list(run.run(8, print))
    assert trials[0].settings == {LR: 0.002, WIDTH: [48]} and trials[0].value == pytest.approx(32.8)
    assert len(trials) == 8 and trials == run.trials()
    best = min((trial for trial in trials if trial.status == "done"), key=lambda trial: trial.value)
    assert run.best() == best
    assert run.best_experiment().params["models"]["mel_conv"]["network"]["channels"] == best.settings[WIDTH]
    assert run.best_experiment().full_name == "mine-best"
    assert all(0.001 <= trial.settings[LR] <= 0.1 for trial in trials)


def test_a_search_that_was_stopped_proposes_the_same_trials(make_run):
    run = make_run(bowl)
    whole = list(run.run(8, print))
    optuna.delete_study(study_name=run.identity, storage=run.storage)
    list(run.run(3, print))

    def die(*_):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "run_study", die)
        with pytest.raises(KeyboardInterrupt):
            list(run.run(8, print))
    run.stopped.clear()
    assert [trial.number for trial in run.run(8, print)] == [3, 4, 5, 6, 7]
    assert run.trials() == whole


def test_bad_trials_end_early_and_are_no_result(make_run):
    def losses(settings):
        return bowl(settings) if settings[LR] <= 0.03 else [99.0, 99.0, 99.0, 0.0]

    run = make_run(losses, space={LR: RATE, WIDTH: {"choices": [[32], [48]]}})
    trials = list(run.run(14, print))
    pruned = [trial for trial in trials if trial.status == "pruned"]
    assert pruned and all(trial.number >= search.STARTUP_TRIALS for trial in pruned)
    assert {trial.epochs for trial in pruned} == {search.FIRST_PRUNED_EPOCH}
    assert any(trial.value == 99 for trial in pruned)
    assert run.stopped == [f"mine-{trial.number}" for trial in pruned]


def test_a_training_that_fails_is_a_failed_trial_and_what_fails_before_it_ends_the_search(make_run):
    results = [State("failed", "train@mel_conv: the loss is not finite")]
    run = make_run(lambda _: results[0])
    [first] = run.run(1, print)
    assert (first.status, first.value, first.error) == ("failed", None, "train@mel_conv: the loss is not finite")
    with pytest.raises(MelismaError, match="mine: no trial has a value"):
        run.best()
    for detail in ("cache@mel128: the disk is full", "train@mel_conv: it was stopped"):
        results[0] = State("failed", detail)
        with pytest.raises(MelismaError, match=f"mine-1: failed: {detail}; the next search repeats it"):
            list(run.run(2, print))
    results[0] = [3.0, 2.0]
    assert [(trial.number, trial.value) for trial in run.run(2, print)] == [(1, 2.0)]


def test_a_combination_that_params_forbid_is_a_failed_trial(make_run):
    space = {"models.*.train.batch_size": {"choices": [8, 9]}, "models.*.train.devices": {"choices": [1, 2]}}
    run = make_run(lambda _: [1.0], space=space)
    trials = list(run.run(10, print))
    wrong = [trial for trial in trials if [*trial.settings.values()] == [9, 2]]
    assert wrong and all(trial.status == "failed" and "batch_size 9 is no multiple" in trial.error for trial in wrong)
    assert all(trial.status != "failed" for trial in trials if trial not in wrong)


def test_ctrl_c_says_how_the_search_goes_on(project, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    write(project)
    monkeypatch.setattr(runner, "run_study", interrupt)
    result = invoke("search", "mine")
    assert result.exit_code == 130
    assert result.stderr.startswith("error: the running trial goes on: `melisma study search mine` continues")


def test_other_params_or_code_begin_a_new_search(make_run, project):
    assert len(list(make_run(bowl).run(2, print))) == 2
    (project.path / "README.md").write_text("a new text\n")
    assert len(make_run(bowl, trials=9).trials()) == 2
    (project.path / "pipeline" / "code.py").write_text("x = 2\n")
    messages = []
    assert len(list(make_run(bowl).run(1, messages.append))) == 1
    assert messages == ["params, space or code have changed since the last search: a new one begins"]
    assert make_run(bowl, overrides={"train.epochs": 9}).trials() == []


PATIENCE = 240  # seconds
EPOCHS = TrainConfig().epochs  # of the evaluation's stand-in
# Writes epochs as stage train does: to a run, one by one, and to the history at the end. The first trial never ends.
TRAINING = """
import json, os, sys, time, yaml
from pathlib import Path
name, raw = sys.argv[1], yaml.safe_load(open("params.yaml"))
rate, trial = raw["models"][name]["train"]["learning_rate"], os.environ["DVC_EXP_NAME"]
outside = Path(os.environ["DVC_ROOT"]) / ".melisma"
with (outside / "ran").open("a") as file:
    file.write(f"{trial}\\n")
run = outside / "runs" / f"{trial}{rate}"
run.mkdir(parents=True, exist_ok=True)
tags = {"dvc.exp_name": trial, "variant": name, "seed": "0"}
(run / "meta.json").write_text(json.dumps({"tags": tags}))
rows = ["epoch,valid_loss,valid_mse"]
for epoch in range(1, 4):
    rows.append(f"{epoch},{10 * rate + 3 - epoch - 10 * (trial != 'mine-0')},{rate}")
    (run / "epochs.csv").write_text("\\n".join(rows) + "\\n")
    print(f"  epoch {epoch} of 3: loss 1", flush=True)
    while epoch == 2 and trial == "mine-0":
        time.sleep(0.1)
folder = Path("data/models") / name / "seed-0"
folder.mkdir(parents=True)
(folder / "history.csv").write_text("\\n".join(rows) + "\\n")
"""


def await_lines(project, process, number):
    """Wait until so many trainings and evaluations have started."""
    end = time.monotonic() + PATIENCE
    while len(project.trainings()) < number:
        assert time.monotonic() < end and process.poll() is None, project.trainings()
        time.sleep(0.1)


def test_a_search_in_dvcs_queue_is_killed_goes_on_and_prunes(project):
    (project.path / "training.py").write_text(TRAINING)
    model = {"cmd": "python training.py ${key}", "deps": ["training.py"], "outs": ["data/models/${key}"]}
    model |= {"params": ["models.${key}"]}
    stages = {"train": model, "evaluate": TRAIN | {"deps": [*TRAIN["deps"], "data/models/${key}"]}}
    stages = {name: {"foreach": "${models}", "do": stage} for name, stage in stages.items()}
    (project.path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    project.git("add", "training.py", "dvc.yaml")
    write(project, trials=2, models=["mel_conv"], space={LR: RATE})

    process = project.start("search", "mine")
    await_lines(project, process, 1)
    process.kill()
    process.wait()

    # Earlier trials, in which the second epoch was much better.
    run = SearchRun("mine", commit.snapshot())
    study = optuna.load_study(study_name=run.identity, storage=run.storage)
    assert [trial.state.name for trial in study.trials] == ["RUNNING"]
    rate = optuna.distributions.FloatDistribution(**RATE)
    losses = {"value": 1.0, "intermediate_values": {1: 3.0, 2: -1.0, 3: 1.0}}
    for _ in range(search.STARTUP_TRIALS):
        study.add_trial(optuna.trial.create_trial(params={LR: 0.1}, distributions={LR: rate}, **losses))
    result = invoke("search", "mine", "--trials", "7")
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stdout.splitlines() if line.startswith(("trial", "best is"))]
    assert lines[0] == "trial 0 goes on"
    assert lines[1] == "trial 0: ended early, after 2 epochs, at valid_loss 1.02, learning_rate 0.002"
    last = run.trials()[-1]
    assert last == run.best() and last.value == pytest.approx(10 * last.settings[LR] - 10) and last.epochs == 3
    text = f"valid_loss {last.value:.6g}, learning_rate {last.settings[LR]:g}"
    assert lines[2:] == [f"trial 6: {text}", f"best is trial 6: {text}"]
    assert f"dvc exp run -S '++models.mel_conv.train.learning_rate={last.settings[LR]}'" in result.stdout
    assert queue.states() == {}  # DVC does not list the pruned trial as failed

    # Only the best trial is evaluated. DVC has its training already.
    assert project.trainings() == ["mine-0", "mine-6", f"mel_conv {EPOCHS}"]
    folder = project.path / "data" / "studies" / "mine"
    with (folder / "search.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["pruned", *["done"] * 6]
    assert float(rows[6][LR]) == last.settings[LR] and float(rows[6]["value"]) == last.value
    assert Image.open(folder / "search.png").width > 600
    (folder / "search.csv").unlink()
    result = invoke("table", "mine")
    assert lines[-1] in result.stdout and (folder / "search.csv").is_file()
    assert invoke("show", "mine").stdout.splitlines()[0] == "search of valid_loss of mel_conv: 7 of 7 trials"
