"""The Makefile, the download of uv, the lock file, and the settings of Git and DVC."""

import hashlib
import http.server
import importlib.util
import json
import os
import re
import shlex
import shutil
import string
import subprocess
import sys
import threading
import tomllib
import zipfile
from functools import partial
from itertools import chain
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
UV = "#!/bin/sh\necho uv 99.0\n"

spec = importlib.util.spec_from_file_location("get_uv", ROOT / "tools" / "get_uv.py")
get_uv = importlib.util.module_from_spec(spec)
spec.loader.exec_module(get_uv)


def write_script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def checkout(tmp_path):
    """A folder with the Makefile, and a PATH with only the tools that the Makefile needs."""
    folder = tmp_path / "a checkout"  # with a space in its path
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("make", "sh", "awk", "echo", "mkdir", "cat", "chmod"):
        (tools / name).symlink_to(shutil.which(name))
    return folder, tools


def make(checkout, *arguments):
    folder, tools = checkout
    environment = {"PATH": str(tools), "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "VIRTUAL_ENV": "/elsewhere"}
    return subprocess.run(["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def fake_uv(answer="echo a folder", name="uv"):
    """A script that answers `uv cache dir`, and prints its arguments for other commands."""
    return (
        f'#!/bin/sh\nif [ "$1" = cache ]; then {answer}; exit; fi\n'
        f'echo "{name} $* [$PYTHONDONTWRITEBYTECODE$VIRTUAL_ENV]"\n'
    )


def test_help_is_the_default_target_and_lists_all(checkout):
    result = make(checkout)
    assert result.returncode == 0
    targets = [line.split()[1] for line in result.stdout.splitlines()]
    assert targets == ["help", "setup", "repro", "compare", "test", "lint", "bench", "ui"]


def test_repro_prints_where_the_results_are(checkout):
    write_script(checkout[1] / "uv", fake_uv())
    result = make(checkout, "repro")
    assert result.returncode == 0, result.stderr
    assert "uv run --frozen melisma repro []" in result.stdout  # with bytecode, and without the other environment
    assert f"{checkout[0]}/data/report/index.html" in result.stdout
    assert "make ui" in result.stdout.splitlines()[-1]


def test_setup_takes_extras(checkout):
    write_script(checkout[1] / "uv", fake_uv())
    assert "uv sync --frozen []" in make(checkout, "setup").stdout
    printed = make(checkout, "setup", "EXTRAS=cluster kaggle").stdout
    assert "uv sync --frozen --extra=cluster --extra=kaggle []" in printed


def test_a_failed_stage_fails_make(checkout):
    write_script(checkout[1] / "uv", '#!/bin/sh\n[ "$1" = cache ] && echo a folder\n')
    result = make(checkout, "repro")
    assert result.returncode != 0
    assert "Report" not in result.stdout


@pytest.mark.parametrize("on_path", [False, True])
def test_without_a_usable_uv_the_project_downloads_one(checkout, on_path):
    _, tools = checkout
    if on_path:  # an old uv, which refuses required-version of pyproject.toml
        write_script(tools / "uv", fake_uv(answer="exit 2", name="old"))
    write_script(tools / "python3", "#!/bin/sh\nexit 1\n")  # older than 3.11
    bring = 'mkdir -p .uv/bin; cat > .uv/bin/uv <<"E"\n' + fake_uv(name="own") + "E\nchmod +x .uv/bin/uv\n"
    write_script(tools / "python3.12", f'#!/bin/sh\n[ "$1" = -c ] && exit\necho "$@"\n{bring}')
    result = make(checkout, "ui")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["tools/get_uv.py .uv", "own run --frozen melisma ui []"]
    assert "get_uv" not in make(checkout, "ui").stdout  # only once


def test_without_python_make_fails_with_a_message(checkout):
    result = make(checkout, "test")
    assert result.returncode != 0
    assert "no Python 3.11 or newer" in result.stderr


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A folder with a wheel of a fake uv, the only one where pip searches."""
    folder = tmp_path / "packages"
    folder.mkdir()
    files = {
        "uv-99.0.data/scripts/uv": UV,
        "uv-99.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: uv\nVersion: 99.0\n",
        "uv-99.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, "uv-99.0.dist-info/RECORD"])
    with zipfile.ZipFile(folder / "uv-99.0-py3-none-any.whl", "w") as wheel:
        for name, text in {**files, "uv-99.0.dist-info/RECORD": record}.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100755 << 16  # an executable file
            wheel.writestr(entry, text)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_USER", "1")  # forbids --target
    monkeypatch.setenv("PIP_REQUIRE_VIRTUALENV", "1")  # forbids a Python without an environment
    return folder


def fail(folder):
    raise RuntimeError("missing here")


def bundled_pip():
    """The wheel of pip that Python includes for virtual environments."""
    bundled = pytest.importorskip("ensurepip")
    wheels = sorted((Path(bundled.__file__).parent / "_bundled").glob("pip-*.whl"))
    if not wheels:
        pytest.skip("this Python includes no pip")
    return wheels[-1]


def test_without_pip_uv_comes_through_a_virtual_environment(tmp_path, packages, monkeypatch):
    bundled_pip()
    monkeypatch.setattr(get_uv, "by_pip", fail)
    monkeypatch.setattr(get_uv, "by_wheel", fail)
    get_uv.main(tmp_path / ".uv")
    assert subprocess.run([tmp_path / ".uv" / "bin" / "uv"], capture_output=True, text=True).stdout == "uv 99.0\n"
    assert not (tmp_path / ".uv.partial").exists()


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A local PyPI with pip's wheel; returns the path of the wheel."""
    wheel = bundled_pip()
    served = tmp_path / "index"
    served.mkdir()
    shutil.copy(wheel, served)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    entry = {"packagetype": "bdist_wheel", "filename": wheel.name, "url": wheel.name, "digests": {"sha256": digest}}
    (served / "json").write_text(json.dumps({"urls": [{"packagetype": "sdist"}, entry]}))
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=served)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(get_uv, "PIP_INDEX", f"http://127.0.0.1:{server.server_port}/json")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(get_uv, "by_venv", fail)
        yield served / wheel.name
        server.shutdown()


def test_without_pip_and_venv_uv_comes_through_the_wheel_of_pip(tmp_path, packages, index, monkeypatch):
    by_pip = get_uv.by_pip

    def only_with_a_wheel(folder, pip=None):
        if pip is None:
            raise RuntimeError("No module named pip")
        by_pip(folder, pip)

    monkeypatch.setattr(get_uv, "by_pip", only_with_a_wheel)
    get_uv.main(tmp_path / ".uv")
    assert subprocess.run([tmp_path / ".uv" / "bin" / "uv"], capture_output=True, text=True).stdout == "uv 99.0\n"


def test_a_wheel_with_a_wrong_checksum_does_not_run(tmp_path, packages, index, monkeypatch):
    index.write_bytes(b"something else")
    monkeypatch.setattr(get_uv, "by_pip", fail)
    with pytest.raises(SystemExit, match="checksum"):
        get_uv.main(tmp_path / ".uv")
    assert not (tmp_path / ".uv").exists() and not (tmp_path / ".uv.partial").exists()


def test_a_uv_that_does_not_run_is_removed(tmp_path, monkeypatch):
    def broken(folder):
        write_script(folder / "bin" / "uv", "#!/bin/sh\necho wrong machine >&2; exit 1\n")

    for name in ("by_pip", "by_venv", "by_wheel"):
        monkeypatch.setattr(get_uv, name, broken)
    with pytest.raises(SystemExit, match="wrong machine"):
        get_uv.main(tmp_path / ".uv")
    assert not (tmp_path / ".uv").exists()


def test_the_lock_file_fits_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    (melisma,) = [package for package in lock["package"] if package["name"] == "melisma"]
    locked = {entry["name"]: entry.get("specifier", "") for entry in melisma["metadata"]["requires-dist"]}
    required = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    specifiers = {requirement.name: requirement.specifier for requirement in map(Requirement, required)}
    assert {name: Requirement(f"x{text}").specifier for name, text in locked.items()} == specifiers
    assert lock["requires-python"].replace(" ", "") == project["requires-python"]


def test_another_package_called_pipeline_is_no_obstacle(tmp_path):
    for name in ("pipeline", "stages"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    module, _, attribute = project["project"]["scripts"]["melisma"].partition(":")
    assert module in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    command = [sys.executable, "-c", f"from {module} import {attribute}; {attribute}()", "--help"]  # as the script does
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "A reproducible bench" in done.stdout, done.stderr
    command = [sys.executable, "-m", "stages.train"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert "main() missing" in done.stderr and "ModuleNotFoundError" not in done.stderr


def test_the_overrides_in_the_docs_work_when_they_are_pasted(tmp_path):
    from dvc.utils.cli_parse import to_path_overrides
    from dvc.utils.hydra import apply_overrides, get_hydra_sweeps

    files = [ROOT / "README.md", ROOT / "params.yaml", ROOT / "data" / "music" / "README.md", *ROOT.glob("docs/*.md")]
    pattern = re.compile(r"""-S ("[^"\n]*"|'[^'\n]*'|[^\s`'"]+=[^\s`'"]+)""")
    found = {word for file in files for text in pattern.findall(file.read_text("utf-8")) for word in shlex.split(text)}
    assert len(found) > 20
    (sweep, *_) = get_hydra_sweeps(to_path_overrides(sorted(found)))  # the first value of each
    shutil.copy(ROOT / "params.yaml", tmp_path)
    apply_overrides(tmp_path / "params.yaml", sweep["params.yaml"])  # raises for a key that params.yaml lacks


def test_single_quotes_around_double_quotes_take_any_text(tmp_path):
    """As docs/experiments.md says; DVC gives a meaning to a backslash and a dollar sign."""
    from dvc.utils.hydra import apply_overrides

    letters = [*(set(string.punctuation) - set("'\"\\$")), " ", "é", "音", "😀"]
    names = [name for letter in letters for name in (f"a{letter}", f"{letter}b", f"a{letter} b")] + ["1990", "null"]
    shutil.copy(ROOT / "params.yaml", tmp_path)
    apply_overrides(tmp_path / "params.yaml", [f"source.labels={json.dumps(names, ensure_ascii=False)}"])
    assert yaml.safe_load((tmp_path / "params.yaml").read_text(encoding="utf-8"))["source"]["labels"] == names


def test_dvc_sends_no_telemetry_and_links_files():
    get = [sys.executable, "-m", "dvc", "config"]
    for key, value in (("core.analytics", "false"), ("cache.type", "reflink,hardlink,symlink,copy")):
        printed = subprocess.run([*get, "--project", key], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert printed.strip().lower() == value


def test_dvc_ignores_files_of_other_tools(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=tmp_path, check=True)
    shutil.copy(ROOT / ".dvcignore", tmp_path)
    tracked = ["pipeline/audio/mel.py", "data/music/take.wav", "data/raw/tracks.parquet"]
    ignored = [
        "pipeline/audio/__pycache__/mel.cpython-311.pyc",
        "stages/.ipynb_checkpoints/train.py",
        "data/music/.DS_Store",
        "data/music/._take.wav",
        "pipeline/.mypy_cache/x.json",
        "pipeline/cli.py~",
        "data/.raw.partial/tracks.parquet",
    ]
    command = [sys.executable, "-m", "dvc", "check-ignore", *tracked, *ignored]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    assert printed.split() == ignored


def test_git_ignores_artefacts_and_recordings(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    shutil.copy(ROOT / ".gitignore", tmp_path)
    tracked = ["data/README.md", "data/music/README.md", "dvc.lock", "pipeline/cache/build.py", "uv.lock"]
    ignored = ["data/raw/tracks.parquet", "data/music/a/b.wav", "mlflow.db", "mlflow.db-wal", "mlartifacts/1/x"]
    command = ["git", "check-ignore", *tracked, *ignored, ".uv/bin/uv"]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    assert printed.split() == [*ignored, ".uv/bin/uv"]


@pytest.mark.slow
def test_uv_comes_from_pypi(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "VIRTUAL_ENV"))}
    command = [sys.executable, ROOT / "tools" / "get_uv.py", tmp_path / ".uv"]
    subprocess.run(command, env=environment, check=True)
    done = subprocess.run([tmp_path / ".uv" / "bin" / "uv", "--version"], capture_output=True, text=True)
    assert done.stdout.startswith("uv ")
