"""The files of this project that a module imports: they decide its results, and a DVC stage depends on them."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Files of pipeline/core that decide a result. The others serve errors, params, processes and paths.
DECIDING_CORE = {"arrays.py", "device.py", "distributed.py"}


def source_files(*modules: str) -> list[Path]:
    """The files of `modules` and of all their direct and indirect imports, also those inside functions; sorted.

    `modules` are dotted names. A package's `__init__.py` is included; files with only a docstring are not.
    """
    files: set[Path] = set()
    pending = [path for name in modules if (path := module_file(name))]
    while pending:
        path = pending.pop()
        if path not in files:
            files.add(path)
            pending += imported_files(path)
    return sorted(path for path in files if not _is_docstring_only(path))


def deciding_files(*modules: str) -> list[Path]:
    """`source_files` for a fingerprint of results: without the files of core that change none."""
    core = ROOT / "pipeline" / "core"
    return [path for path in source_files(*modules) if path.parent != core or path.name in DECIDING_CORE]


@cache
def imported_files(path: Path) -> frozenset[Path]:
    """The files of this project that the file `path` imports directly."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):  # imports of this project are absolute
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    packages = {".".join(name.split(".")[: i + 1]) for name in names for i in range(name.count(".") + 1)}
    return frozenset(file for name in packages if (file := module_file(name)) and file != path)


def module_file(name: str) -> Path | None:
    """The file of a module or package of this project; None for others."""
    path = ROOT.joinpath(*name.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


def _is_docstring_only(path: Path) -> bool:
    return all(isinstance(node, ast.Expr) for node in ast.parse(path.read_text(encoding="utf-8")).body)
