"""The worked example of docs/extending.md: a new network passes the contract of all variants."""

import re
import shutil
import subprocess
import sys

from pipeline.core.imports import ROOT

FILES = ("pipeline", "tests", "params.yaml", "dvc.yaml", "pyproject.toml")


def edit(path, lines):
    """Apply a block of lines that begin with a space (context), + (new) or - (old)."""
    old, new = ("".join(f"{line[1:]}\n" for line in lines if line[0] in f" {sign}") for sign in "-+")
    text = path.read_text()
    assert text.count(old) == 1, f"{path}: not once in the file:\n{old}"
    path.write_text(text.replace(old, new))


def test_the_example_adds_a_network(tmp_path):
    for name in FILES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    page = (ROOT / "docs/extending.md").read_text()
    for kind, name, body in re.findall(r"^```(diff|python)\n(?:---|#) (\S+)\n(.*?)^```$", page, re.M | re.S):
        if kind == "python":
            (tmp_path / name).write_text(body)
        else:
            edit(tmp_path / name, body.splitlines())
    command = [sys.executable, "-m", "pytest", "-q", "tests/models/test_contract.py", "-k", "mel_gru and not 30"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and re.search(r"\d+ passed", done.stdout), done.stdout + done.stderr
