"""The layers of pipeline/, and dvc.yaml against the code: a stage's `deps` are what it imports, no less and no more."""

import ast
from pathlib import Path

import pytest
import yaml

from pipeline.core.imports import ROOT, imported_files, source_files

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
# In the order of the data; a folder imports only those above it.
FOLDERS = (
    *("core", "audio", "sources", "windows", "cache", "dataset"),
    *("models", "losses", "training", "metrics", "vocoder", "reference", "evaluation", "figures", "report", "board"),
    *("apply", "tracking", "schema", "repro", "studies", "cli"),
)


def used(stage: str) -> set[Path]:
    """What a stage imports, but for the check of all params: it may stop a stage, and never changes its result."""
    script = ROOT / "stages" / f"{stage}.py"
    modules = [".".join(f.relative_to(ROOT).with_suffix("").parts) for f in imported_files(script)]
    return {script, *source_files(*(name for name in modules if not name.startswith("stages")))}


def declared(stage: str) -> list[Path]:
    body = STAGES[stage].get("do", STAGES[stage])
    return [ROOT / dep for dep in body["deps"] if "$" not in dep and not dep.startswith("data/")]


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_deps_cover_what_the_stage_imports(stage):
    covered = declared(stage)
    missed = {f for f in used(stage) if not any(f == dep or dep in f.parents for dep in covered)}
    assert sorted(str(f.relative_to(ROOT)) for f in missed) == []


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_deps_hold_nothing_that_the_stage_does_not_use(stage):
    imported = used(stage)
    idle = [dep for dep in declared(stage) if not any(f == dep or dep in f.parents for f in imported)]
    assert [str(d.relative_to(ROOT)) for d in idle] == []


def test_nothing_lies_loose_in_the_library():
    names = {path.name for path in (ROOT / "pipeline").iterdir() if path.name != "__pycache__"}
    assert names == {"__init__.py", *FOLDERS}


def test_folders_import_only_those_above_them():
    wrong = []
    for file in sorted((ROOT / "pipeline").glob("*/**/*.py")):
        own = file.relative_to(ROOT / "pipeline").parts[0]
        for other in imported_files(file):
            top, folder, *_ = other.relative_to(ROOT).parts
            if top == "stages" or (folder != "__init__.py" and FOLDERS.index(folder) > FOLDERS.index(own)):
                wrong.append(f"{file.relative_to(ROOT)} imports {other.relative_to(ROOT)}")
    assert wrong == []


def test_the_command_line_and_what_only_it_uses_are_imported_by_nothing_else():
    for file in sorted([*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "stages").rglob("*.py")]):
        for other in imported_files(file):
            for folder, users in (("cli", {"cli"}), ("apply", {"cli", "apply"})):
                if ROOT / "pipeline" / folder in other.parents:
                    assert users & set(file.relative_to(ROOT).parts), f"{file} imports {other}"


def test_only_tracking_imports_mlflow_and_never_at_the_top():
    for file in sorted([*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "stages").rglob("*.py")]):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        inside = ast.walk(tree) if "tracking" not in file.parts else iter(tree.body)
        for node in inside:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert not [n for n in names if n.split(".")[0] == "mlflow"], file


def test_settings_that_change_no_result_are_in_no_stage_but_the_report():
    for stage, body in STAGES.items():
        if stage != "report":
            assert not [p for p in body.get("do", body)["params"] if p.split(".")[0] in ("runtime", "tracking")]
