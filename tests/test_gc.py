"""`melisma gc` deletes only what is old, what params.yaml lacks, and what no stage uses."""

import json
import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.tracking.run_folder import RunFolder

ROOT = Path(__file__).resolve().parent.parent
GTZAN = "24347e02-genres.tar.gz"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project without results; it is the current folder."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path


def write(name, days=20, content="w" * 1000):
    """Write the file `name`; it and its folder get this age."""
    file = Path(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    changed = file.stat().st_mtime - days * 86400
    for path in (file, file.parent):
        os.utime(path, (changed, changed))


def gc(*arguments, code=0):
    """The paths that are listed or deleted."""
    result = CliRunner().invoke(app, ["gc", *arguments])
    assert result.exit_code == code, result.output
    return {line.split()[1] for line in result.stdout.splitlines() if line.startswith(" ")} - {"in"}


def test_old_entries_are_deleted_only_with_yes(project):
    old = {".melisma/seeds/old", ".melisma/checkpoints/old", ".melisma/cache/mel128-old", ".melisma/runs/.partial"}
    for name in old:
        write(f"{name}/file")
    download = f".melisma/downloads/{GTZAN}.part"
    for name, days in (("seeds/new/file", 1), ("other/file", 99), ("seeds.db", 99), ("downloads/.a.lock", 99)):
        write(f".melisma/{name}", days)
    write(download)
    before = sorted(project.rglob("*"))
    assert gc() == gc("--days", "19") == {*old, download} and sorted(project.rglob("*")) == before
    assert gc("--days", "21") == set()
    assert gc("--yes") == {*old, download}
    assert not any(map(os.path.exists, [*old, download])) and gc() == set()
    assert gc("--days", "0", "--yes") == {".melisma/seeds/new"}
    assert Path(".melisma/other/file").exists() and Path(".melisma/seeds.db").exists()


def test_an_entry_is_as_old_as_its_newest_file(project):
    write(".melisma/seeds/a/deep/new", 1)
    write(".melisma/seeds/a/old")
    assert gc() == set()


def test_what_belongs_to_a_model_in_data_or_to_the_source_stays(project):
    for name in ("a", "b", "c"):
        write(f".melisma/seeds/{name}/file")
    for folder, name in (("models/pca/seed-0", "a"), ("vocoders/mel128/training", "b")):
        write(f"data/{folder}/config.json", content=json.dumps({"fingerprint": name}))
    write(f".melisma/downloads/{GTZAN}")
    assert gc() == {".melisma/seeds/c", f".melisma/downloads/{GTZAN}"}
    params = project / "params.yaml"
    text = params.read_text()
    params.write_text(text.replace("\n  name: synth ", "\n  name: gtzan "))
    assert params.read_text() != text and gc() == {".melisma/seeds/c"}


def test_what_a_stage_has_locked_stays(project):
    locks = {
        "seeds/a": "locks/a",
        "checkpoints/b": "locks/b",
        "cache/mel128-c": "cache/.mel128-c.lock",
        f"downloads/{GTZAN}.part": f"downloads/.{GTZAN}.lock",
    }
    Path(".melisma/locks").mkdir(parents=True)
    for name, file in locks.items():
        write(f".melisma/{name}" if "." in name else f".melisma/{name}/file")
        with FileLock(f".melisma/{file}"):
            assert gc("--yes") == set()
        assert gc("--yes") == {f".melisma/{name}"}


def test_results_of_variants_that_params_lack_go_at_once(project):
    unnamed = {"data/models/.gone.partial", "data/evaluation/gone", "data/figures/gone", "data/cache/mel64"}
    for name in (*unnamed, "data/models/.pca.partial", "data/evaluation/pca", "data/cache/mel128", "data/windows"):
        write(f"{name}/file", 0)
    assert gc() == gc("--yes") == unnamed
    assert Path("data/models/.pca.partial").exists() and not Path("data/cache/mel64").exists()


def test_the_files_of_a_run_stay_until_mlflow_has_them(project):
    folder = RunFolder(Path(".melisma/runs/a"))
    folder.path.mkdir(parents=True)

    def is_deletable(status="FINISHED", is_sent=True, **tags):
        folder.update(store="here", status=status, tags={"study.a": None} | tags)
        if is_sent:
            folder.note_sent(folder.state, None)
        return gc("--days", "0") == {".melisma/runs/a"}

    assert is_deletable()
    with folder.hold():
        assert not is_deletable()
    assert not is_deletable("RUNNING") and not is_deletable("FAILED", is_sent=False) and is_deletable("FAILED")
    assert not is_deletable(**{"study.a": "large"})


def test_links_are_not_followed(project):
    write("elsewhere/file", 0)
    write(".melisma/seeds/a/file")
    (project / ".melisma" / "seeds" / "a" / "link").symlink_to(project / "elsewhere")
    (project / ".melisma" / "seeds" / "link").symlink_to(project / "elsewhere")
    write(".melisma/seeds/b/file")
    os.link("elsewhere/file", ".melisma/seeds/b/hard")  # whose deletion frees nothing
    assert "  1.00kB  .melisma/seeds/b  unchanged for 0 days" in CliRunner().invoke(app, ["gc", "--days", "0"]).stdout
    assert gc("--yes", "--days", "0") == {".melisma/seeds/a", ".melisma/seeds/b", ".melisma/seeds/link"}
    assert not list(Path(".melisma/seeds").iterdir()) and Path("elsewhere/file").read_text() == "w" * 1000


def test_an_unreadable_entry_is_one_line(project, monkeypatch):
    write(".melisma/seeds/a/file")
    write(".melisma/seeds/b/file")
    read = Path.iterdir

    def refuse(path):
        if path.name == "a":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "iterdir", refuse)  # root may read all files
    result = CliRunner().invoke(app, ["gc", "--yes"])
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.endswith("seeds/a: Permission denied\n")
    assert [path.name for path in read(project / ".melisma" / "seeds")] == ["a"]


def test_a_damaged_config_deletes_nothing(project):
    write(".melisma/seeds/a/file")
    write("data/models/pca/seed-0/config.json", content="{}")
    result = CliRunner().invoke(app, ["gc", "--yes"])
    assert result.exit_code == 1 and "config.json: damaged" in result.stderr and result.stderr.count("\n") == 1
    assert Path(".melisma/seeds/a").exists()
