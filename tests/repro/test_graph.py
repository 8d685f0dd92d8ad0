"""What is out of date, by DVC: a small project of its own, with real DVC."""

import json
import os
import shutil
import subprocess

import pytest
import yaml

from pipeline.core.errors import MelismaError
from pipeline.repro.graph import outdated_stages


def stage(source, target):
    return {"cmd": f"mkdir -p data && cp {source} {target}", "deps": [source], "outs": [target]}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """first -> second -> last, and other -> last."""
    graph = {
        "first": stage("source", "data/first"),
        "second": stage("data/first", "data/second"),
        "other": {"foreach": ["x"], "do": stage("more", "data/${item}")},
        "last": {"cmd": "cat data/second data/x > data/last", "deps": ["data/second", "data/x"], "outs": ["data/last"]},
    }
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": graph}, sort_keys=False))
    (tmp_path / "params.yaml").write_text("{}\n")
    (tmp_path / "source").write_text("1")
    (tmp_path / "more").write_text("2")
    monkeypatch.chdir(tmp_path)
    subprocess.run(["dvc", "init", "--no-scm", "-q"], check=True)
    return tmp_path


def names(targets=()):
    return [found.name for found in outdated_stages(targets)]


def test_all_stages_of_a_new_project_in_order(project):
    listed = {found.name: found for found in outdated_stages()}
    assert list(listed) == ["first", "second", "other@x", "last"]
    assert listed["last"].needs == {"second", "other@x"}
    assert listed["last"].inputs == (project / "data/second", project / "data/x")
    assert len(set(listed.values())) == 4  # hashable
    assert listed["first"].inputs == ()  # it reads nothing in data/


def test_only_what_changed_and_what_depends_on_it(project):
    subprocess.run(["dvc", "repro", "-q"], check=True)
    assert names() == []
    (project / "more").write_text("3")
    assert names() == ["other@x", "last"]
    assert names(["second"]) == []
    (project / "data" / "first").unlink()
    assert names() == ["first", "second", "other@x", "last"]
    assert names(["second"]) == ["first", "second"]


def test_targets_are_those_of_dvc(project):
    assert names(["other"]) == ["other@x"]
    assert names(["dvc.yaml:second"]) == ["first", "second"]


def test_a_frozen_stage_needs_nothing(project):
    subprocess.run(["dvc", "repro", "-q"], check=True)
    subprocess.run(["dvc", "freeze", "-q", "second"], check=True)
    (project / "source").write_text("3")
    assert names() == ["first"]


def test_results_that_are_missing_beside_a_lock_are_built(project):
    subprocess.run(["dvc", "repro", "-q"], check=True)
    shutil.rmtree(project / "data")
    assert names() == ["first", "second", "other@x", "last"]


def test_a_link_is_no_error_before_its_stage_refuses_it(project):
    (project / "elsewhere").mkdir()
    (project / "data").symlink_to("elsewhere")
    assert [len(found.inputs) for found in outdated_stages()] == [0, 1, 0, 2]


def test_another_command_of_dvc_is_named(project):
    subprocess.run(["dvc", "repro", "-q"], check=True)
    lock = {"write": {str(project / "data" / "first"): {"pid": os.getppid(), "cmd": "dvc repro"}}, "read": {}}
    (project / ".dvc" / "tmp" / "rwlock").write_text(json.dumps(lock))
    with pytest.raises(MelismaError, match="another DVC command"):
        outdated_stages()


def test_an_unknown_target_is_refused_with_the_closest_name(project):
    with pytest.raises(MelismaError, match=r"did you mean 'other@x'"):
        outdated_stages(["other@y"])
    with pytest.raises(MelismaError, match=r"did you mean 'other'"):
        outdated_stages(["othr"])
    with pytest.raises(MelismaError, match=r"'nosuch' not found .* known are: first, last, other, second"):
        outdated_stages(["nosuch"])


def test_without_git_one_line_says_what_to_do(project):
    (project / ".dvc" / "config").write_text("")  # as in a ZIP download
    with pytest.raises(MelismaError, match=r"is not a git repository; .* ZIP download .* run `git init`"):
        outdated_stages()
    subprocess.run(["git", "init", "-q"], check=True)
    assert names() == ["first", "second", "other@x", "last"]


def test_without_the_hidden_folder_of_dvc_one_line_says_what_to_do(project):
    shutil.rmtree(project / ".dvc")
    with pytest.raises(MelismaError, match=r"hidden files, such as the folder \.dvc"):
        outdated_stages()
