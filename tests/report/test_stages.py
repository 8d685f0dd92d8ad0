"""The two stages find their inputs in a project's folder and leave their outputs there."""

from pathlib import Path

import pytest
import yaml

import stages.figures
import stages.report
from pipeline.core.errors import DataError
from tests import artefacts

PARAMS = {
    "representations": {"wave3k": {"kind": "waveform", "sample_rate": 3000}},
    "models": {
        "wave_a": {
            "representation": "wave3k",
            "network": {"type": "resnet1d", "channels": [4]},
            "bottleneck": {"type": "gaussian", "latent": 2, "layout": "sequence"},
        }
    },
    "figures": {"dpi": 50},
    "tracking": {"enabled": False},
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(PARAMS))
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
    assert {"index.html", "comparison.csv", "comparison.json", "comparison.png", "curves.csv", "cards"} <= names
    assert "the git commit is not known" in (project / "data" / "report" / "index.html").read_text().lower()


def test_a_stage_that_fails_leaves_the_earlier_output(project: Path) -> None:
    earlier = project / "data" / "figures" / "wave_a"
    earlier.mkdir(parents=True)
    (earlier / "figures.json").write_text("[]\n")
    (project / "data" / "evaluation" / "wave_a" / "latents.parquet").unlink()
    with pytest.raises(DataError, match=r"latents\.parquet"):
        stages.figures.main("wave_a")
    assert [path.name for path in earlier.parent.iterdir()] == ["wave_a"]
    assert (earlier / "figures.json").read_text() == "[]\n"
