"""`melisma gc` finds what nothing refers to, and removes nothing else."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import yaml
from filelock import FileLock
from typer.testing import CliRunner

from pipeline import schema
from pipeline.cli import app
from pipeline.tracking import outbox, store
from pipeline.unused import files, references
from pipeline.unused.references import References

ROOT = Path(__file__).resolve().parent.parent
REFERRED = ("here", "branch", "older", "experiment", "tag")


@dataclass
class Project:
    """A project in Git with results that were not computed: what DVC and MLflow know of them is written by hand."""

    path: Path
    runs: dict[str, str] = field(default_factory=dict)

    def git(self, *arguments):
        name = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        done = subprocess.run(["git", *name, *arguments], cwd=self.path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def kept(self, content):
        """Put a file into DVC's cache; its digest."""
        digest = hashlib.md5(content.encode()).hexdigest()
        return self._store(digest, content)

    def _store(self, digest, content):
        place = self.path / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
        return digest

    def lock(self, training, run=None):
        """Let dvc.lock have the result of a training."""
        identity = {"variant": "mel_conv", "seed": 0, "fingerprint": training, "run_id": run}
        inside = json.dumps([{"md5": self.kept(json.dumps(identity)), "relpath": "seed-0/run.json"}])
        digest = self._store(hashlib.md5(inside.encode()).hexdigest() + ".dir", inside)
        out = {"path": "data/models/mel_conv", "hash": "md5", "md5": digest, "size": 1, "nfiles": 1}
        lock = {"schema": "2.0", "stages": {"train@mel_conv": {"cmd": "python", "outs": [out]}}}
        (self.path / "dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False))
        return digest

    def commit(self, training, run):
        digest = self.lock(training, run)
        self.git("add", ".")
        self.git("commit", "-qm", training)
        return digest

    def seed(self, training, run=None, place="seeds", seed=0):
        folder = self.path / ".melisma" / place / training
        folder.mkdir(parents=True)
        identity = {"variant": "mel_conv", "seed": seed, "fingerprint": training, "run_id": run}
        (folder / "run.json").write_text(json.dumps(identity))
        (folder / "weights").write_bytes(b"w" * 1000)
        for path in (*folder.iterdir(), folder):
            os.utime(path, (0, 0))
        return folder


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of two variants, both of which have a result."""
    return begin(tmp_path, monkeypatch)


def begin(folder, patch):
    """Make such a project the current one."""
    shutil.copy(ROOT / "dvc.yaml", folder)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["models"] = {name: params["models"][name] for name in ("pca", "mel_conv")}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").touch()
    (folder / ".gitignore").write_text("/.melisma\n/.dvc/cache\n/.dvc/tmp\n/data\n/mlflow.db\n/mlartifacts\n")
    for name in params["models"]:
        (folder / "data" / "models" / name / "seed-0").mkdir(parents=True)
    enter(folder, patch)
    made = Project(folder)
    made.git("init", "-q", "-b", "main")
    return made


def enter(folder, patch):
    patch.chdir(folder)
    patch.setenv("DVC_ROOT", str(folder))
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def recorded(template, tmp_path, monkeypatch):
    """A copy of the template, which is the current project."""
    folder = shutil.copytree(template.path, tmp_path / "project")
    enter(folder, monkeypatch)
    return Project(folder, template.runs)


@pytest.fixture(scope="module")
def template(tmp_path_factory, empty_store):
    """With a training of each kind of reference, one of none, and their runs in MLflow."""
    with pytest.MonkeyPatch.context() as patch:
        return record(begin(tmp_path_factory.mktemp("template"), patch), empty_store)


def record(project, empty_store):
    shutil.copy(empty_store, project.path)
    client = store.client()
    number = store.experiment(client, "melisma")

    def run(name, status="FINISHED", **tags):
        tags = {"variant": "mel_conv", "fingerprint": name, **tags}
        made = client.create_run(number, tags=tags, run_name=name).info.run_id
        client.log_text(made, "w" * 100, "figures/a.txt")
        if status != "RUNNING":
            client.set_terminated(made, status)
        project.runs[name] = made
        return made

    for training in (*REFERRED, "gone"):
        project.seed(training, run(training))
    run("studied", **{"study.sizes": "large"})
    run("failed", "FAILED")
    run("left", "RUNNING")  # by a stage that was killed
    client.set_terminated(client.create_run(number, run_name="foreign").info.run_id, "FAILED")  # not of Melisma
    reports = store.experiment(client, "melisma-reports")
    for day in range(5):
        made = client.create_run(reports, 1 + day, tags={"fingerprint": f"{day}"}, run_name=f"report-{day}").info.run_id
        client.log_text(made, "w" * 100, "report/index.html")
        client.set_terminated(made)
        project.runs[f"report-{day}"] = made
    for training in ("gone", "here"):
        model = client.create_logged_model(number, name=training, source_run_id=project.runs[training])
        file = project.path / "mlartifacts" / "melisma" / "models" / model.model_id / "artifacts" / "model"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"w" * 1000)
    run("evaluated-again", fingerprint="gone", model_run=run("trained-before", fingerprint="nobody's"))
    client.delete_run(run("deleted"))
    client.create_registered_model("mel_conv")
    client.create_model_version("mel_conv", f"runs:/{run('registered')}/model", run_id=project.runs["registered"])

    project.commit("older", None)
    project.commit("tag", None)
    project.git("tag", "v1")
    project.git("checkout", "-qb", "other")
    project.commit("branch", project.runs["evaluated-again"])
    project.git("checkout", "-q", "--detach", "main")
    project.commit("experiment", project.runs["experiment"])
    project.git("update-ref", "refs/exps/ab/cdef/brave-name", "HEAD")
    project.git("checkout", "-q", "main")
    identity = {"variant": "mel_conv", "seed": 0, "fingerprint": "here", "run_id": None}
    (project.path / "data" / "models" / "mel_conv" / "seed-0" / "run.json").write_text(json.dumps(identity))
    return project


def gc(*arguments):
    result = CliRunner().invoke(app, ["gc", "--json", *arguments])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def listed(found):
    return {(item["kind"], item["name"]) for item in found["unused"]}


def test_only_what_nothing_refers_to_is_removed(recorded):
    orphan = recorded.path / "mlartifacts" / "melisma" / ("0" * 32)
    (orphan / "artifacts").mkdir(parents=True)
    runs = recorded.runs
    expected = {("seeds", "mel_conv-seed0 gone"), ("artifacts", str(orphan))}
    expected |= {
        ("runs", f"{name} {runs[name]}") for name in ("gone", "failed", "left", "deleted", "report-0", "report-1")
    }
    found = gc()
    assert listed(found) == expected and not found["removed"]
    assert all(item["bytes"] >= 100 for item in found["unused"] if item["kind"] in ("seeds", "runs"))
    assert (recorded.path / ".melisma" / "seeds" / "gone").exists()  # it was shown
    assert listed(gc("--yes")) == expected
    assert {path.name for path in (recorded.path / ".melisma" / "seeds").iterdir()} == set(REFERRED)
    left = {run.info.run_name for run in store.client().search_runs(["1"], run_view_type=3)}
    assert left == {*REFERRED, "studied", "evaluated-again", "trained-before", "registered", "foreign"}
    artifacts = recorded.path / "mlartifacts" / "melisma"
    assert {path.name for path in artifacts.iterdir()} == {runs[name] for name in left - {"foreign"}} | {"models"}
    reports = {path.name for path in artifacts.with_name("melisma-reports").iterdir()}
    assert reports == {runs[f"report-{day}"] for day in (2, 3, 4)}
    (model,) = store.client().search_logged_models(["1"])
    assert model.name == "here" and [path.name for path in (artifacts / "models").iterdir()] == [model.model_id]
    assert gc()["unused"] == []


def test_an_experiment_that_was_renamed_keeps_all_it_has(recorded):
    store.client().rename_experiment("1", "mine")
    orphan = recorded.path / "mlartifacts" / "melisma" / ("0" * 32)
    orphan.mkdir()
    assert {kind for kind, _ in listed(gc())} == {"seeds", "runs"}  # runs: of reports, which were not renamed
    store.experiment(store.client(), "melisma")  # as the next stage does, with artifacts in the same folder
    assert {name for kind, name in listed(gc()) if kind == "artifacts"} == {str(orphan)}


def test_no_run_is_removed_while_some_wait_to_be_sent(recorded, monkeypatch):
    (recorded.path / ".melisma" / "outbox").mkdir()
    waits = outbox.Waiting(recorded.path, "mel_conv-seed0", "train", outbox.here())
    monkeypatch.setattr(outbox, "waiting", lambda: [waits])
    found = gc("--yes")
    assert listed(found) == {("seeds", "mel_conv-seed0 gone")} and "melisma runs --send" in found["notes"][0]
    monkeypatch.setattr(outbox, "waiting", lambda: [replace(waits, store="http://there:5000")])
    found = gc()
    assert {kind for kind, _ in listed(found)} == {"runs"}
    assert found["notes"] == ["1 run waiting for MLflow at http://there:5000"]


def test_the_runs_of_a_server_are_left_alone(project, monkeypatch):
    project.commit("here", None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # where nothing listens
    found = gc()
    assert found["unused"] == [] and "other people's" in found["notes"][0]


def test_an_experiment_that_was_removed_refers_to_nothing(recorded):
    recorded.git("update-ref", "refs/exps/exec/EXEC_APPLY", "refs/exps/ab/cdef/brave-name")  # as DVC leaves it
    recorded.git("update-ref", "-d", "refs/exps/ab/cdef/brave-name")
    names = {name.split()[0] for kind, name in listed(gc()) if kind == "runs"}
    assert "experiment" in names and "branch" not in names


def test_a_run_that_a_stage_may_go_on_with_stays(recorded):
    shutil.rmtree(recorded.path / "data" / "models" / "mel_conv")  # as while it is trained
    recorded.seed("begun", recorded.runs["failed"], "checkpoints")
    assert ("runs", f"failed {recorded.runs['failed']}") not in listed(gc("--yes"))
    assert (recorded.path / ".melisma" / "checkpoints" / "begun").exists()


def test_nothing_is_removed_while_dvc_runs_a_stage(project):
    project.commit("here", None)
    project.seed("gone")
    below = project.path / ".dvc" / "tmp" / "exps" / "standalone" / "tmpabc"  # as DVC names a temporary workspace
    below.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", "input()", "-m", "dvc"], cwd=below, stdin=subprocess.PIPE) as running:
        result = CliRunner().invoke(app, ["gc", "--yes"])
        running.kill()
    assert result.exit_code == 1 and f"(process {running.pid}); try again when it has ended" in result.stderr
    assert (project.path / ".melisma" / "seeds" / "gone").exists()
    shown = CliRunner().invoke(app, ["gc"]).stdout.splitlines()
    assert shown[0].split()[:3] == ["seeds", "mel_conv-seed0", "gone"] and shown[1].startswith(
        "1 thing, 1.07kB: can be"
    )


def find(project, **known):
    found = files.find(schema.load(), References(**known))
    return {(item.kind, item.path.absolute().relative_to(project.path).as_posix()) for item in found}


def test_seeds_and_checkpoints_that_a_stopped_stage_needs_stay(project):
    project.seed("finished", seed=1)
    project.seed("begun", place="checkpoints")
    both = {("seeds", ".melisma/seeds/finished"), ("checkpoints", ".melisma/checkpoints/begun")}
    assert find(project) == both
    assert find(project, fingerprints={"finished"}) == both - {("seeds", ".melisma/seeds/finished")}
    assert find(project, lacking={"mel_conv"}) == both - {("seeds", ".melisma/seeds/finished")}
    assert find(project, waits=True) == set()  # an experiment that is queued or has failed may use them
    os.utime(project.path / ".melisma" / "checkpoints" / "begun" / "weights")  # maybe of another branch's params
    assert find(project) == both - {("checkpoints", ".melisma/checkpoints/begun")}
    os.utime(project.path / ".melisma" / "checkpoints" / "begun" / "weights", (0, 0))
    (project.path / ".melisma" / "locks").mkdir()
    with FileLock(project.path / ".melisma" / "locks" / "begun"):
        assert find(project) == both - {("checkpoints", ".melisma/checkpoints/begun")}
    params = (project.path / "params.yaml").read_text()
    (project.path / "params.yaml").write_text(params.replace("seeds:\n- 0\n", "seeds: [0, 1]\n"))
    assert find(project) == both - {("seeds", ".melisma/seeds/finished")}  # seed 1 has still to be put in place


def test_results_of_what_params_have_not(project):
    made = ("models/.pca.partial", "evaluation/wave_fc", "evaluation/pca", "cache/mel64", "cache/mel128", "windows")
    for name in made:
        (project.path / "data" / name).mkdir(parents=True)
    for name in ("mel128-aa", "wave3k-bb", "mel64-cc"):
        (project.path / ".melisma" / "cache" / name).mkdir(parents=True)
    assert find(project) == {
        ("data", "data/models/.pca.partial"),
        ("data", "data/evaluation/wave_fc"),
        ("data", "data/cache/mel64"),
        ("cache", ".melisma/cache/mel128-aa"),  # wave3k has no cache yet: its stage goes on there
        ("cache", ".melisma/cache/mel64-cc"),
    }


def test_downloads_stay_while_a_commit_names_their_source(project):
    downloads = project.path / ".melisma" / "downloads"
    downloads.mkdir(parents=True)
    for name in ("24347e02-genres.tar.gz", "84476491-musicnet.tar.gz.part"):
        (downloads / name).touch()
    raw = yaml.safe_load((project.path / "params.yaml").read_text())
    (project.path / "params.yaml").write_text(yaml.safe_dump(raw | {"source": {"name": "gtzan"}}))
    project.commit("gtzan", None)
    (project.path / "params.yaml").write_text(yaml.safe_dump(raw))
    known = references.collect(project.path / ".dvc" / "cache" / "files" / "md5")
    assert find(project, sources=known.sources) == {("downloads", ".melisma/downloads/84476491-musicnet.tar.gz.part")}


def test_a_commit_whose_params_are_no_utf_8_stops_nothing(project):
    params = (project.path / "params.yaml").read_bytes()
    (project.path / "params.yaml").write_bytes("# größer\n".encode("latin-1") + params)
    project.commit("latin", None)
    (project.path / "params.yaml").write_bytes(params)
    project.seed("latin")
    project.seed("gone")
    assert listed(gc()) == {("seeds", "mel_conv-seed0 gone")}


def test_a_result_that_the_cache_lacks_may_be_of_any_training(project):
    digest = project.commit("elsewhere", None)
    cache = project.path / ".dvc" / "cache" / "files" / "md5"
    assert references.collect(cache).fingerprints == {"elsewhere"}
    (cache / digest[:2] / digest[2:]).unlink()
    assert references.collect(cache).lacking == {"mel_conv"}
    project.seed("gone")
    found = gc()
    assert found["unused"] == [] and "trainings of mel_conv are kept" in found["notes"][0]


def test_runs_that_a_commit_may_refer_to_stay_where_the_cache_lacks_its_results(recorded):
    shutil.rmtree(recorded.path / ".dvc" / "cache")
    names = {name.split()[0] for _, name in listed(gc("--yes"))}
    assert names == {"report-0", "report-1"}
    assert len(store.client().search_runs(["1"])) == 13 and (recorded.path / ".melisma" / "seeds" / "gone").exists()


def test_stashes_and_worktrees_refer_to_results(project):
    project.commit("main", None)
    for number in range(2):
        project.lock(f"stash-{number}")
        project.git("stash")
    project.git("worktree", "add", "-q", "--detach", ".melisma/other")
    other = Project(project.path / ".melisma" / "other")
    project.git("checkout", "-q", "--detach")
    project.commit("worktree", None)
    other.git("checkout", "-q", "--detach", project.git("rev-parse", "HEAD"))
    project.git("checkout", "-q", "main")
    project.git("reflog", "expire", "--expire=now", "HEAD")
    known = references.collect(project.path / ".dvc" / "cache" / "files" / "md5")
    assert known.fingerprints == {"main", "stash-0", "stash-1", "worktree"}


def test_without_git_nothing_is_called_unused(project):
    project.seed("gone")
    shutil.rmtree(project.path / ".git")
    result = CliRunner().invoke(app, ["gc"])
    assert result.exit_code == 1 and result.stderr.count("\n") == 1
