"""Encodings of the output and of file names."""

import os
import subprocess
import sys
from pathlib import Path

LABEL = "古典"
OLD_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
STAGE = f"""
from pipeline.core import workspace
from stages import run

def main():
    workspace.say("{LABEL}")

if __name__ == "__main__":
    run(main)
"""
PARENT = f"""
from pipeline.core.process import clean_exit, worker_pool

if __name__ == "__main__":
    with clean_exit(), worker_pool(1) as pool:
        pool.submit(print, "{LABEL}", flush=True).result()
        print("– done")
"""


def run(folder: Path, code: str, *arguments: str, **environment: str) -> str:
    """The standard output of a program; it must succeed without a word on standard error."""
    file = folder / "program.py"
    file.write_text(code, encoding="utf-8")
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHONIO", "LC_", "LANG"))}
    command = [sys.executable, str(file), *arguments]
    variables |= {"PYTHONPATH": str(Path(__file__).parents[2]), **environment}
    result = subprocess.run(command, cwd=Path(__file__).parents[2], env=variables, capture_output=True)
    assert (result.returncode, result.stderr) == (0, b"")
    return result.stdout.decode("utf-8")


def test_a_stage_escapes_letters_that_its_output_lacks(tmp_path: Path) -> None:
    assert run(tmp_path, STAGE, PYTHONIOENCODING="ascii") == "\\u53e4\\u5178\n"
    assert run(tmp_path, STAGE, PYTHONIOENCODING="utf-8") == f"{LABEL}\n"


def test_worker_processes_escape_them_too(tmp_path: Path) -> None:
    assert run(tmp_path, PARENT, PYTHONIOENCODING="ascii") == "\\u53e4\\u5178\n\\u2013 done\n"


def test_file_names_are_utf8_in_an_old_locale(tmp_path: Path) -> None:
    (tmp_path / LABEL).write_bytes(b"x")
    code = (
        "import os, sys; from pipeline.core.process import use_utf8\n"
        "use_utf8()\n"
        f"print(os.listdir(sys.argv[1]).count('{LABEL}'), sys.argv[2] == '{LABEL}', sys.argv[2])\n"
    )
    assert run(tmp_path, code, str(tmp_path), LABEL, **OLD_LOCALE) == f"1 True {LABEL}\n"
