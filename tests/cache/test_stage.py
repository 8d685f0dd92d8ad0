"""Stage cache, killed and started again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from pipeline.audio.representation import MelConfig
from pipeline.cache import plan
from pipeline.core import workspace
from tests.cache.make import make_cache, make_tables, read_files
from tests.recordings import make_folder

ROOT = Path(__file__).parents[2]
MEL = {"kind": "mel", "sample_rate": 22050, "n_fft": 2048, "hop_length": 32, "bands": 64}  # slow enough to be killed
MEAN = {"type": "linear", "latent": 0}
# Small shards, so that few recordings make many; only the parent process plans.
CODE = """
from pipeline.cache import plan
from stages import run
from stages.cache import main
plan.MIN_SHARD_BYTES = 1
run(main, "mel")
"""


@pytest.fixture
def project(tmp_path):
    """A project with the outputs of its first two stages, and the code."""
    for name in ("pipeline", "stages"):
        (tmp_path / name).symlink_to(ROOT / name)
    music = make_folder(tmp_path / "music", labels=1, tracks=10, seconds=8.0)
    params = {
        "source": {"name": "folder", "path": str(music)},
        "representations": {"mel": MEL},
        "models": {"mean": {"representation": "mel", "network": {"type": "identity"}, "bottleneck": MEAN}},
        "evaluate": {"mel": "mel"},
        "runtime": {"workers": 2},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    windows, tracks = make_tables(music)
    for folder, name, table in ((workspace.WINDOWS, "windows", windows), (workspace.RAW, "tracks", tracks)):
        (tmp_path / folder).mkdir(parents=True)
        table.to_parquet(tmp_path / folder / f"{name}.parquet", index=False)
    return tmp_path


def start(project: Path) -> subprocess.Popen:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DVC_")}
    return subprocess.Popen([sys.executable, "-c", CODE], cwd=project, env=environment, stdout=-1, stderr=-1, text=True)


def test_a_killed_stage_continues_with_its_finished_shards(project, tmp_path_factory, monkeypatch):
    first = start(project)

    def finished() -> dict[str, int]:
        return {path.name: path.stat().st_ino for path in (project / ".melisma" / "cache").glob("mel-*/*.parquet")}

    while len(finished()) < 3:
        assert first.poll() is None, first.communicate()
        time.sleep(0.01)
    workers = psutil.Process(first.pid).children(recursive=True)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    assert psutil.wait_procs(workers, timeout=30)[1] == []  # workers end without their parent
    before = finished()
    assert 3 <= len(before) < 10 and not (project / workspace.CACHE / "mel").exists()

    second = start(project)
    printed, errors = second.communicate(timeout=120)
    assert second.returncode == 0, errors
    assert f"{len(before)} of 10 shards were finished before" in printed
    out = project / workspace.CACHE / "mel"
    assert before.items() <= {path.name: path.stat().st_ino for path in out.iterdir()}.items()
    assert not list(out.parent.glob(".*")) and finished() == {}

    monkeypatch.setattr(plan, "MIN_SHARD_BYTES", 1)
    expected = tmp_path_factory.mktemp("expected")
    make_cache(project / "music", *make_tables(project / "music"), MelConfig(**MEL), expected / "mel")
    assert read_files(out) == read_files(expected / "mel")
