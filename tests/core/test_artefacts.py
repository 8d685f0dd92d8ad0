"""The error of a missing or damaged artefact names the file and the stage that writes it."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from pipeline.core.artefacts import STAGES, read_csv, read_json, read_table, stage_of
from pipeline.core.errors import DataError


@pytest.mark.parametrize(
    ("path", "stage"),
    [
        ("data/models/mel_conv/seed-0/config.json", "train@mel_conv"),
        ("/x/data/evaluation/pca/metrics.json", "evaluate@pca"),
        ("data/windows/windows.parquet", "windows"),
        ("data/cache/mel128/stats.json", "cache@mel128"),
        ("data/cache", "cache"),
        ("data/vocoders/mel128/vocoder.json", "vocoder@mel128"),
        ("elsewhere/file.json", ""),
    ],
)
def test_the_path_gives_the_stage(path, stage):
    assert stage_of(Path(path)) == stage


def test_each_folder_of_results_has_its_stage_and_may_not_be_a_link():
    stages = yaml.safe_load(Path("dvc.yaml").read_text())["stages"]
    folders = {"/".join(out.split("/")[:2]) for stage in stages.values() for out in stage.get("do", stage)["outs"]}
    assert folders == {f"data/{name}" for name in STAGES}
    assert folders <= set(Path("stages/python").read_text().replace(";", " ").split())


@pytest.mark.parametrize("read", [read_json, read_csv, read_table])
@pytest.mark.parametrize("content", [None, b"", b"\xff{"])
def test_the_error_names_the_file_and_the_command(tmp_path, read, content):
    path = tmp_path / "data" / "reference" / "file"
    path.parent.mkdir(parents=True)
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"reference/file: (missing|damaged \(.*\)); run `dvc repro reference`"):
        read(path)


def test_columns_are_required_or_optional(tmp_path):
    path = tmp_path / "data/raw/tracks.parquet"
    path.parent.mkdir(parents=True)
    pd.DataFrame({"a": [1], "b": [2], "c": [3]}).to_parquet(path)
    assert list(read_table(path, ["a"], ["c", "d"])) == ["a", "c"]
    assert list(read_table(path)) == ["a", "b", "c"]
    with pytest.raises(DataError, match=r"tracks.parquet: damaged .*run `dvc repro download`"):
        read_table(path, ["z"])
