"""A project whose pipeline is one short script, so that studies of it take seconds."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.studies import queue
from pipeline.studies.study import load_experiments

ROOT = Path(__file__).parents[2]
BOUNDED = ("mse", "mel_mse", "kl", "cosine_similarity", "probe_accuracy")  # metrics with a 95 % interval
METRICS = [*(f"{name}{end}" for name in BOUNDED for end in ("", "_low", "_high")), "perplexity"]
TRAIN = {
    "cmd": "python stand_in.py ${key}",
    "deps": ["stand_in.py", "pipeline"],
    "params": ["train", "models.${key}"],
    "outs": ["data/evaluation/${key}"],
}
# Writes the results that a study reads. With 13 epochs it fails; with 60 it waits for a file `go`.
STAND_IN = """
import json, os, sys, time, yaml
import pyarrow as pa, pyarrow.parquet as pq
from pathlib import Path
name, raw = sys.argv[1], yaml.safe_load(open("params.yaml"))
epochs = raw["models"][name].get("train", {}).get("epochs", raw["train"]["epochs"])
outside = Path(os.environ["DVC_ROOT"]) / ".melisma"
with (outside / "ran").open("a") as file:
    file.write(f"{name} {epochs}\\n")
print(f"  epoch 1 of {epochs}: loss 1", flush=True)
if epochs == 13:
    sys.exit("error: the loss is not finite")
while epochs == 60 and not (outside / "go").exists():
    time.sleep(0.1)
run = outside / "runs" / f"{name}{epochs}"
run.mkdir(parents=True, exist_ok=True)
(run / "meta.json").write_text('{"tags": {}, "evaluation": "e"}')
(run / "epochs.csv").write_text("epoch,seconds\\n1,1.5\\n2,2.5\\n")
folder = Path("data/evaluation") / name
folder.mkdir(parents=True)
metrics = dict.fromkeys(NAMES) | {"mse": 1 / epochs, "mse_low": 0.9 / epochs, "mse_high": 1.1 / epochs}
metrics |= {"baseline": name == "mean", "collapsed": False, "collapse_reason": None}
(folder / "metrics.json").write_text(json.dumps(metrics))
(folder / "seeds.json").write_text(json.dumps([{"seed": 0, "fingerprint": f"{name}{epochs}", "evaluation": "e"}]))
columns = {"seed": [0], "track_id": ["a"], "group": ["a"], "mse": [1 / epochs], "mel_mse": [1 / epochs]}
pq.write_table(pa.table(columns), folder / "windows.parquet")
""".replace("NAMES", repr(METRICS))


@dataclass
class Project:
    """A checkout in which `melisma study` runs."""

    path: Path

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command of `melisma study`."""
        code = "from pipeline.cli import app; app()"
        return subprocess.Popen(
            [sys.executable, "-c", code, "study", *arguments],
            cwd=self.path, env=environ(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def git(self, *arguments: str) -> str:
        """The output of Git."""
        result = subprocess.run(["git", *arguments], cwd=self.path, env=environ(), capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    def write(self, study: str, **content: Any) -> None:
        """Write a file of studies/."""
        (self.path / "studies" / f"{study}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    def trainings(self) -> list[str]:
        """Variant and epochs of each training that has started."""
        file = self.path / ".melisma" / "ran"
        return file.read_text().splitlines() if file.exists() else []


def complete(project: Project, study: str, base: str) -> list[str]:
    """Give each experiment of a study a commit as that of its result; return the commits."""
    head = project.git("rev-parse", "HEAD")
    commits = []
    for experiment in load_experiments(study):
        commits.append(queue.create_stash(experiment, base))
        project.git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/{experiment.full_name}", commits[-1])
    return commits


def environ() -> dict[str, str]:
    """The environment without variables of an outer DVC, Git or MLflow."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "MLFLOW_", "GIT_"))}
    return variables | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def build(path: Path) -> Project:
    """A repository with one commit: params of three variants and a stand-in for the pipeline."""
    project = Project(path)
    queue._queue.cache_clear()
    raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    raw["models"] = {name: raw["models"][name] for name in ("mean", "mel_conv", "mel_fc")}
    raw["tracking"]["enabled"] = False  # the table needs no MLflow
    (path / "params.yaml").write_text("# the settings\n" + yaml.safe_dump(raw, sort_keys=False))
    (path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train": {"foreach": "${models}", "do": TRAIN}}}))
    (path / "stand_in.py").write_text(STAND_IN)
    (path / "README.md").write_text("a project\n")
    shutil.copy(ROOT / ".gitignore", path)
    for folder in ("pipeline", "studies", ".melisma"):
        (path / folder).mkdir()
    (path / "pipeline" / "code.py").write_text("x = 1\n")
    project.git("init", "-q")
    project.git("config", "user.name", "test")
    project.git("config", "user.email", "test@example.org")
    (path / ".dvc").mkdir()
    for name in ("config", ".gitignore"):
        shutil.copy(ROOT / ".dvc" / name, path / ".dvc")
    project.git("add", "-A")
    project.git("commit", "-qm", "first")
    return project


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    """The current project."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("DVC_", "MLFLOW_", "GIT_"))]:
        monkeypatch.delenv(name)
    return build(tmp_path)
