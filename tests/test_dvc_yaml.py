"""dvc.yaml against the code: a stage's `deps` are what it imports, no less and no more."""

import ast
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
# In the order in which data flows; a folder imports those before it (and the files at the top of the library).
ORDER = [
    "audio",
    "sources",
    "windows",
    "cache",
    "models",
    "losses",
    "training",
    "evaluation",
    "figures",
    "report",
    "apply",
    "tracking",
    "unused",
    "studies",
    "cli",
]


def module_file(name: str) -> Path | None:
    """The file of a module of this project, or None."""
    path = ROOT.joinpath(*name.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file
    return None


def imported(file: Path) -> set[Path]:
    """Files of this project that `file` imports, wherever in it the import stands, packages on the way included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute here"
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    parents = {".".join(name.split(".")[: i + 1]) for name in names for i in range(name.count(".") + 1)}
    return {found for name in parents if (found := module_file(name))} - {file}


def closure(file: Path) -> set[Path]:
    """Everything that running `file` executes from this project, but for files that only hold a docstring."""
    seen, waiting = set(), [file]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting += imported(current)
    return {f for f in seen if len(ast.parse(f.read_text(encoding="utf-8")).body) > 1}


def declared(stage: str) -> list[Path]:
    body = STAGES[stage].get("do", STAGES[stage])
    return [ROOT / dep for dep in body["deps"] if "$" not in dep and not dep.startswith("data/")]


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_deps_cover_what_the_stage_imports(stage):
    covered = declared(stage)
    script = ROOT / "stages" / f"{stage}.py"
    missed = {f for f in closure(script) if not any(f == dep or dep in f.parents for dep in covered)}
    assert sorted(str(f.relative_to(ROOT)) for f in missed) == []


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_deps_hold_nothing_that_the_stage_does_not_use(stage):
    used = closure(ROOT / "stages" / f"{stage}.py")
    idle = [dep for dep in declared(stage) if not any(f == dep or dep in f.parents for f in used)]
    assert [str(d.relative_to(ROOT)) for d in idle] == []


def test_figures_and_report_are_no_dependency_of_training():
    for stage in ("download", "windows", "cache", "train", "evaluate"):
        assert not [d for d in declared(stage) if {"figures", "report"} & set(d.parts)]


def test_folders_import_only_those_before_them():
    wrong = []
    for file in sorted((ROOT / "pipeline").glob("*/**/*.py")):
        own = file.relative_to(ROOT / "pipeline").parts[0]
        for other in imported(file):
            parts = other.relative_to(ROOT).parts
            if parts[0] == "pipeline" and len(parts) > 2 and ORDER.index(parts[1]) > ORDER.index(own):
                wrong.append(f"{file.relative_to(ROOT)} imports {other.relative_to(ROOT)}")
            if parts[0] == "stages":
                wrong.append(f"{file.relative_to(ROOT)} imports {other.relative_to(ROOT)}")
    assert wrong == []


def test_the_command_line_and_what_only_it_uses_are_imported_by_nothing_else():
    for file in sorted([*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "stages").rglob("*.py")]):
        for other in imported(file):
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
