"""The files that a module imports, and those that decide a result."""

from pipeline.core.imports import ROOT, deciding_files, source_files


def names(files):
    return {file.relative_to(ROOT / "pipeline").as_posix() for file in files}


def test_imports_are_followed_also_inside_functions():
    files = names(source_files("pipeline.metrics.common_mel"))
    assert {"metrics/common_mel.py", "audio/inversion.py", "core/process.py"} <= files
    assert "core/__init__.py" not in files and not any(file.startswith("evaluation/") for file in files)


def test_all_code_that_trains_and_saves_a_seed_decides_it_and_no_message_does():
    files = names(deciding_files("pipeline.training.variant"))
    assert {"models/store.py", "training/history.py", "losses/kl.py", "core/arrays.py", "audio/scale.py"} <= files
    assert not files & {"core/errors.py", "core/process.py", "core/params.py", "core/workspace.py"}
