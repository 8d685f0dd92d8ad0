"""The stages figures and report, in the folder of a project."""

from pathlib import Path

import pytest
import yaml

import stages.figures
import stages.report
from pipeline.core.errors import DataError
from tests import artefacts
from tests.report.inputs import make_params


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    params = make_params("wave_a") | {"figures": {"dpi": 50}, "tracking": {"enabled": False}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    artefacts.make_data(tmp_path / "data", [])
    artefacts.make_variant(tmp_path / "data", "wave_a", "waveform")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_figures_then_report(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stages.figures.main("wave_a")
    stages.report.main()
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("wave_a: ") and printed[1].startswith("report: ")
    assert (project / "data" / "figures" / "wave_a" / "figures.json").is_file()
    names = {path.name for path in (project / "data" / "report").iterdir()}
    assert {
        "index.html",
        "comparison.csv",
        "comparison.json",
        "results.json",
        "comparison.png",
        "curves.csv",
        "cards",
    } <= names
    assert "the git commit is not known" in (project / "data" / "report" / "index.html").read_text().lower()


def test_a_failed_stage_keeps_the_earlier_output(project: Path) -> None:
    folder = project / "data" / "figures" / "wave_a"
    folder.mkdir(parents=True)
    (folder / "figures.json").write_text("[]\n")
    (project / "data" / "evaluation" / "wave_a" / "latents.parquet").unlink()
    with pytest.raises(DataError, match=r"latents\.parquet"):
        stages.figures.main("wave_a")
    assert [path.name for path in folder.parent.iterdir()] == ["wave_a"]
    assert (folder / "figures.json").read_text() == "[]\n"
