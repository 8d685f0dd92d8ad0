"""A project with unused trainings."""

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.tracking import store
from pipeline.tracking.run_folder import RunFolder, runs_folder

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Project:
    """A project in Git. Its results are not computed: the tests write the records of DVC and MLflow by hand."""

    path: Path
    runs: dict[str, str] = field(default_factory=dict)  # name -> id

    def git(self, *arguments):
        name = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        done = subprocess.run(["git", *name, *arguments], cwd=self.path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def add_to_cache(self, content, suffix=""):
        """Write a file to DVC's cache; return its digest."""
        digest = hashlib.md5(content.encode()).hexdigest() + suffix
        file = self.path / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        return digest

    def write_lock(self, training, path="data/models/mel_conv"):
        """Write a dvc.lock with the model of a training; return the model's digest."""
        content = json.dumps({"variant": "mel_conv", "seed": 0, "fingerprint": training})
        folder = [{"md5": self.add_to_cache(content), "relpath": "seed-0/config.json"}]
        digest = self.add_to_cache(json.dumps(folder), ".dir")
        out = {"path": path, "hash": "md5", "md5": digest, "size": 1, "nfiles": 1}
        lock = {"schema": "2.0", "stages": {"train@mel_conv": {"cmd": "python", "outs": [out]}}}
        (self.path / "dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False))
        return digest

    def commit(self, training):
        digest = self.write_lock(training)
        self.git("add", ".")
        self.git("commit", "-qm", training)
        return digest

    def store_training(self, training, kind="seeds", seed=0, variant="mel_conv"):
        """Write an old training to .melisma."""
        folder = self.path / ".melisma" / kind / training
        folder.mkdir(parents=True)
        if kind == "seeds":
            (folder / "config.json").write_text(json.dumps({"variant": variant, "seed": seed}))
        (folder / "weights").write_bytes(b"w" * 1000)
        for path in (*folder.iterdir(), folder):
            os.utime(path, (0, 0))
        return folder

    def record_run(self, name, status="FINISHED", ended=0, run_id=None, tags=None):
        """Write the folder of a run that MLflow has."""
        tags = tags or {"variant": "mel_conv", "seed": "0", "fingerprint": name}
        folder = RunFolder(runs_folder() / name)
        (folder.path / "artifacts").mkdir(parents=True)
        (folder.path / "artifacts" / "a.txt").write_text("a" * 100)
        meta = {"name": name, "fingerprint": tags["fingerprint"], "tags": tags, "status": status, "ended": ended}
        folder.update(**meta, store=store.store_name())
        folder.note_sent(folder.state, None, run_id)
        return folder


@pytest.fixture
def project(tmp_path, monkeypatch):
    return create_project(tmp_path, monkeypatch)


def create_project(folder, patch):
    """A project with two variants that both have a result; it becomes the current one."""
    shutil.copy(ROOT / "dvc.yaml", folder)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["models"] = {name: params["models"][name] for name in ("pca", "mel_conv")}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").touch()
    (folder / ".gitignore").write_text("/.melisma\n/.dvc/cache\n/.dvc/tmp\n/data\n/mlflow.db\n/mlartifacts\n")
    for name in params["models"]:
        (folder / "data" / "models" / name / "seed-0").mkdir(parents=True)
    (folder / "data" / "vocoders" / "mel128" / "training").mkdir(parents=True)
    enter(folder, patch)
    project = Project(folder)
    project.git("init", "-q", "-b", "main")
    return project


def enter(folder, patch):
    patch.chdir(folder)
    patch.setenv("DVC_ROOT", str(folder))
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)


def gc(*arguments):
    result = CliRunner().invoke(app, ["gc", "--json", *arguments])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def names(unused):
    return {(item["kind"], item["name"]) for item in unused["unused"]}
