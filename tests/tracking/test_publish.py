"""A store gets what it lacks, once: after a failure, a kill, a loss of the database."""

import contextlib
import os
import random
import re
import shutil
import signal
import string
import time
from multiprocessing import get_context
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from urllib3.exceptions import ResponseError

from pipeline.tracking import publish, publisher, store
from pipeline.tracking.publish import Mirror, send_pending
from pipeline.tracking.run import record
from pipeline.tracking.run_folder import folder_for, run_folders
from tests.tracking.conftest import CONFIG, IDENTITY, artifacts, epoch, get, history, result, run_stage, runs

EPOCHS = 30
DOWN = "http://bob:s3cret@127.0.0.1:9"


@pytest.fixture
def figures(tmp_path):
    """A folder with a picture."""
    folder = tmp_path / "figures"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"png")
    return folder


@pytest.fixture
def empty_project(project, tmp_path, monkeypatch, empty_store):
    """A project without runs."""
    shutil.copy(empty_store, tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path


@contextlib.contextmanager
def without_artifacts(project):
    """A store that takes metrics but no artifacts."""
    folder = project / "mlartifacts" / "tests"
    folder.mkdir(parents=True, exist_ok=True)
    backup = folder.rename(folder.with_name("backup"))
    folder.write_text("no folder")
    yield
    folder.unlink()
    backup.rename(folder)


def test_a_live_run_is_mirrored_again_and_again(project):
    with record(CONFIG, "train", IDENTITY | {"fingerprint": "live"}) as run:
        mirror = Mirror(folder_for("live"))
        for number in (1, 2, 3):
            run.log_epoch(epoch(number))
            run.log_steps(number, [{"loss": 1.0, "reconstruction": 1.0, "kl": 0.0, "grad_norm": 1.0}])
            assert mirror.publish() is None
        assert get("live").info.status == "RUNNING"
        assert history(get("live"), "train/loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert [step for step, _ in history(get("live"), "step/loss")] == [1, 2, 3]


def test_sending_again_changes_nothing(project, figures):
    with record(CONFIG, "train", IDENTITY | {"fingerprint": "again"}) as run:
        run.log_params({"a": 1})
        run.log_epoch(epoch(1))
        run.log_files(figures, "artifacts/figures")
    first = get("again")
    (folder_for("again").path / "sent.json").unlink()
    assert Mirror(folder_for("again")).publish() is None
    assert [run.to_dictionary() for run in runs("again")] == [first.to_dictionary()]
    assert history(first, "train/loss") == [(1, 1.0)]


def test_changed_artifacts_replace_the_old_ones(project, figures):
    for content in (b"png", b"gnp"):  # of equal size
        (figures / "a.png").unlink()
        (figures / "a.png").write_bytes(content)
        with record(CONFIG, "figures", IDENTITY | {"fingerprint": "changed"}) as run:
            run.log_files(figures, "artifacts/figures")
    path = store.client().download_artifacts(get("changed").info.run_id, "figures/a.png")
    assert Path(path).read_bytes() == b"gnp"


def test_a_stage_goes_on_without_its_store_and_a_later_one_sends_its_run(empty_project, monkeypatch, figures):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DOWN)
    with record(CONFIG, "train", IDENTITY | {"fingerprint": "down"}) as run:
        run.log_params({"b": 2})
        run.log_epoch(epoch(1))
        run.log_files(figures, "artifacts/figures")
    (figures / "a.png").unlink()
    folder = folder_for("down")
    assert "MLflow at http://127.0.0.1:9 failed" in folder.sent["error"]
    assert publish.count_pending()[0] == 1
    number, errors = send_pending()
    assert number == 0 and len(errors) == 1 and "Connection refused" in errors[0]
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert publish.count_pending() == (0, ["1 run pending for MLflow at http://127.0.0.1:9"])
    assert send_pending() == (0, [])  # it belongs to the other store
    assert store.client().get_experiment_by_name("tests") is None
    run_stage("evaluate", "down", "e1")  # here
    run = get("down")
    assert run.data.params == {"b": "2"} and history(run, "train/loss") == [(1, 1.0)]
    assert artifacts(run, "figures") == ["figures/a.png"] and publish.count_pending() == (0, [])


def test_a_part_that_fails_does_not_stop_the_others(empty_project, figures):
    with without_artifacts(empty_project):
        with record(CONFIG, "train", IDENTITY | {"fingerprint": "part"}) as run:
            run.log_files(figures, "artifacts/figures")
            run.log_epoch(epoch(1))
        folder = folder_for("part")
        assert folder.sent["error"] and get("part").info.status == "FINISHED"
        assert history(get("part"), "train/loss") == [(1, 1.0)]
        assert not publisher.is_due(folder)  # soon after an error
        assert send_pending() == (0, [])
    assert send_pending() == (1, []) and artifacts(get("part"), "figures") == ["figures/a.png"]


def test_a_store_that_is_down_is_asked_once_for_all_runs(empty_project, monkeypatch):
    for fingerprint in ("first", "second"):
        run_stage("train", fingerprint)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DOWN)
    for folder in run_folders():
        folder.update(store=store.store_name())
    opened = []
    open_run = Mirror._open
    monkeypatch.setattr(
        Mirror, "_open", lambda mirror, meta: opened.append(meta["fingerprint"]) or open_run(mirror, meta)
    )
    publisher.publish_all({})
    assert opened == ["first"] and "127.0.0.1:9 failed" in folder_for("second").sent["error"]


def test_a_lost_database_is_filled_again_but_a_deleted_run_is_not_sent(empty_project, empty_store):
    with record(CONFIG, "train", IDENTITY) as run:
        run.log_epoch(epoch(1))
    store.client().delete_run(get().info.run_id)
    assert send_pending() == (0, []) and not runs("abc")
    store._create_client.cache_clear()
    shutil.copy(empty_store, empty_project)
    assert publish.count_pending()[0] == 0 and send_pending() == (1, [])
    assert history(get(), "train/loss") == [(1, 1.0)]


def test_a_deleted_experiment_is_named_with_the_command_that_restores_it(empty_project):
    run_stage("train", "before")
    client, number = store.client(), store.client().get_experiment_by_name("tests").experiment_id
    client.delete_experiment(number)
    with record(CONFIG, "train", IDENTITY | {"fingerprint": "after"}) as run:
        run.log_epoch(epoch(1))
    error = folder_for("after").sent["error"]
    assert "the experiment 'tests' was deleted" in error and "tracking.experiment" in error
    with record(CONFIG.model_copy(update={"experiment": "other"}), "train", IDENTITY | {"fingerprint": "last"}):
        folder_for("last").update(started=2**50)
    (folder_for("last").path / "sent.json").unlink()
    assert send_pending() == (1, [error])  # the other experiment takes runs
    command = re.search("`(.*?)`", error)[1]
    assert store.tracking_uri() in command
    client.restore_experiment(re.search(r"--experiment-id (\d+)$", command)[1])  # as the command does
    assert send_pending() == (1, []) and history(get("after"), "train/loss") == [(1, 1.0)]


def test_a_stage_continues_a_run_that_was_deleted_in_a_new_one(empty_project, figures):
    with record(CONFIG, "train", IDENTITY) as run:
        run.log_epoch(epoch(1))
        run.log_files(figures, "artifacts/figures")
    deleted = get()
    store.client().delete_run(deleted.info.run_id)
    new = run_stage("evaluate", evaluation="e1")
    assert new.info.run_id != deleted.info.run_id and folder_for("abc").is_complete
    assert history(new, "train/loss") == [(1, 1.0)] and artifacts(new, "figures") == ["figures/a.png"]


@pytest.mark.parametrize("name", [string.punctuation, "..", "../up", "/etc", "~", ".a", "é😀 x", "50%20", "x" * 200])
def test_artifacts_of_any_experiment_lie_in_the_project(project, figures, name):
    with record(CONFIG.model_copy(update={"experiment": name}), "train", IDENTITY | {"fingerprint": "any"}) as run:
        run.log_files(figures, "artifacts/figures")
    run = get("any")
    folder = store.artifact_folder(name) / run.info.run_id / "artifacts"
    assert folder.resolve().parents[2] == project.resolve() / "mlartifacts"
    assert (folder / "figures" / "a.png").read_bytes() == b"png"
    path = store.client().download_artifacts(run.info.run_id, "figures/a.png")  # as the UI does
    assert Path(path).read_bytes() == b"png"
    shutil.rmtree(folder_for("any").path)


def test_a_project_that_moved_writes_nothing_where_it_was(empty_project):
    old = empty_project / "old"
    client, location = store.client(), (old / "mlartifacts" / "tests").as_uri()
    client.create_experiment("tests", artifact_location=location)
    with record(CONFIG, "train", IDENTITY):
        pass
    error = folder_for("abc").sent["error"]
    assert f"ln -s {empty_project} {old}`" in error and not old.exists()
    old.symlink_to(empty_project)
    assert send_pending() == (1, [])


def test_choose_run_of_a_shared_store(project):
    """Another clone has evaluated this training with other settings."""
    first = run_stage("evaluate", "shared", "theirs")
    shutil.rmtree(folder_for("shared").path)
    own = run_stage("evaluate", "shared", "ours")
    assert own.info.run_id != first.info.run_id and own.data.tags["model_run"] == first.info.run_id
    assert run_stage("figures", "shared", "ours").info.run_id == own.info.run_id


def test_an_error_message_has_the_reason_of_the_server(project):
    error = MlflowException("API request to http://127.0.0.1/api/2.0/mlflow/experiments/search failed")
    error.__cause__ = ResponseError("too many 503 error responses")
    assert store.failure(error).endswith("failed (too many 503 error responses)")


def record_slowly(figures):
    """A stage that trains and evaluates. It continues where the last one was killed."""
    with record(CONFIG, "train", IDENTITY) as run:
        for number in range(1, EPOCHS + 1):
            run.log_epoch(epoch(number))
            time.sleep(0.005)
        run.log_evaluation(result())
        run.log_files(figures, "artifacts/figures")


def publish_forever():
    mirrors = {}
    while True:
        publisher.publish_all(mirrors)


def test_kills_at_any_moment_lose_and_repeat_nothing(empty_project, figures, monkeypatch):
    """Twenty times, a stage or its publisher is killed. Forks have imported MLflow already."""
    for number in range(20):
        (figures / f"{number}.png").write_bytes(os.urandom(20_000))
    monkeypatch.setattr(publisher, "wait_at_end", lambda *_: time.sleep(0.02))
    monkeypatch.setattr(Mirror, "watch_system", lambda *_: None)
    fork, order = get_context("fork"), random.Random(0)
    sender = None
    for _ in range(20):
        stage = fork.Process(target=record_slowly, args=(figures,))
        stage.start()
        if sender is None or not sender.is_alive():
            sender = fork.Process(target=publish_forever)
            sender.start()
        time.sleep(order.uniform(0, 0.4))
        victim = order.choice([stage, sender])
        os.kill(victim.pid, signal.SIGKILL)
        victim.join()
        stage.join()
    sender.kill()
    sender.join()
    record_slowly(figures)
    assert Mirror(folder_for("abc")).publish() is None
    (run,) = runs("abc")
    assert run.info.status == "FINISHED" and run.data.metrics["test/mse"] == 0.5
    for key in ("train/loss", "epoch/seconds"):
        assert [step for step, _ in history(run, key)] == [*range(1, EPOCHS + 1)]
    assert len(artifacts(run, "figures")) == 21
    for file in figures.iterdir():
        copy = empty_project / "mlartifacts" / "tests" / run.info.run_id / "artifacts" / "figures" / file.name
        assert copy.read_bytes() == file.read_bytes()


def test_a_killed_stage_has_the_status_killed(empty_project):
    def die():
        with record(CONFIG, "train", IDENTITY) as run:
            run.log_epoch(epoch(1))
            os.kill(os.getpid(), signal.SIGKILL)

    stage = get_context("fork").Process(target=die)
    stage.start()
    stage.join()
    folder = folder_for("abc")
    assert folder.meta["status"] == "RUNNING"
    for name in ("meta.json", "epochs.csv"):
        os.utime(folder.path / name, (1_790_000_000,) * 2)
    assert publisher.publish_all({}) is False
    run = get()
    assert (run.info.status, run.info.end_time) == ("KILLED", 1_790_000_000_000)
    assert history(run, "train/loss") == [(1, 1.0)]


def test_a_damaged_folder_stops_neither_its_stage_nor_other_runs(empty_project):
    for fingerprint in ("zeroth", "first", "second"):
        run_stage("train", fingerprint)
    folder_for("zeroth").update(experiment="")  # which MLflow refuses
    (folder_for("first").path / "meta.json").write_text("")  # after a power cut
    (folder_for("second").path / "epochs.csv").write_text("epoch,time\nnothing,nothing\n")
    run_stage("train", "third")
    for folder in (folder_for("second"), folder_for("third")):
        (folder.path / "sent.json").unlink()
    publisher.publish_all({})
    assert folder_for("third").is_complete
    assert folder_for("second").sent["error"] and folder_for("zeroth").sent["error"]
    assert publish.count_pending() == (2, [])  # without the damaged one
    assert run_stage("train", "first").info.status == "FINISHED"


def test_clones_that_share_a_store_keep_their_study_tags(project):
    run_stage("train", "cloned")
    folder_for("cloned").update(tags={"study.mine": "a"})
    Mirror(folder_for("cloned")).publish()
    theirs = folder_for("cloned").path.rename(folder_for("cloned").path.with_name("elsewhere"))
    assert run_stage("train", "cloned").data.tags["study.mine"] == "a"
    shutil.rmtree(theirs)
