"""A folder with every defect goes through the real pipeline, and the report lists what was not used, and why."""

import re
from html.parser import HTMLParser

import pandas as pd
import pytest
import torch

from pipeline.dataset.loader import ResidentLoader
from pipeline.dataset.split import read_split
from pipeline.windows.inspection import REASONS
from tests.defects import COPIES, SECONDS, UNREADABLE_BY_DVC, make_defects
from tests.e2e.conftest import clone

pytestmark = pytest.mark.e2e
CHANGES = {
    "source": {"name": "folder"},
    "windows": {"seconds": SECONDS, "max_rejected": 0.9},
    "train": {"epochs": 1},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = clone(tmp_path_factory.mktemp("project"), CHANGES, ["mel_conv"])  # one variant shows as much
    made.fates = make_defects(made.path / "data" / "music")
    with (made.path / ".dvcignore").open("a") as file:
        file.writelines(f"/data/music/**/{pattern}\n" for pattern in UNREADABLE_BY_DVC)
    assert set(made.repro("report", "cache@wave3k")) > {"report", "cache@wave3k"}
    return made


@pytest.fixture(scope="module")
def windows(project):
    return pd.read_parquet(project.path / "data/windows/windows.parquet")


@pytest.fixture(scope="module")
def rejected(project):
    return pd.read_parquet(project.path / "data/windows/rejected.parquet")


def test_every_file_is_used_repaired_or_rejected_as_it_should(project, windows, rejected):
    tracks = pd.read_parquet(project.path / "data/raw/tracks.parquet")
    assert sorted(tracks["path"]) == sorted(project.fates)
    assert tracks["track_id"].is_unique and set(rejected["reason"]) < set(REASONS)
    paths = tracks.set_index("track_id")["path"]
    for name, fate in project.fates.items():
        mine = windows[windows["track_id"].map(paths) == name]
        assert len(mine) == fate.used, name
        assert set(mine["repair"].dropna()) == ({fate.repair} if fate.repair else set()), name
        bad = rejected[rejected["path"] == name]
        found = [(None if pd.isna(row.start_seconds) else row.start_seconds, row.reason) for row in bad.itertuples()]
        assert found == list(fate.rejected), name
        assert all(fate.detail in detail for detail in bad["detail"]), name


def test_every_second_is_in_a_window_or_in_a_row_or_too_short_for_one(project, windows, rejected):
    recordings = pd.read_parquet(project.path / "data/windows/recordings.parquet")
    assert set(recordings["path"]) == set(project.fates) and recordings["track_id"].is_unique
    for row in recordings.itertuples():
        mine, bad = windows[windows["track_id"] == row.track_id], rejected[rejected["path"] == row.path]
        assert len(mine) or len(bad), row.path
        if pd.isna(row.seconds):
            assert bad["reason"].isin(["undecodable", "empty", "unreadable"]).all() and len(bad) == 1
            continue
        in_rows = bad.loc[bad["reason"] != "truncated", "seconds"].sum()
        rest = row.seconds - mine["seconds"].sum() - in_rows  # negative: padding
        assert -0.05 * SECONDS <= rest < 0.95 * SECONDS, row.path
        assert (bad.loc[bad["reason"] == "truncated", "seconds"] > 0.5 * SECONDS).all(), row.path


def test_copies_are_on_one_side_of_the_split(project, windows):
    tracks = pd.read_parquet(project.path / "data/raw/tracks.parquet").set_index("path")["track_id"]
    groups = windows.groupby("track_id")["group"].first()
    for copy, original in COPIES.items():
        assert groups[tracks[copy]] == groups[tracks[original]]
    assert (windows.groupby("group")["split"].nunique() == 1).all()
    assert groups.nunique() == len(groups) - len(COPIES)


def test_what_a_model_sees_of_every_window_is_finite_and_in_range(project, windows):
    for representation, low in (("mel128", 0), ("wave3k", -1)):
        for name in ("train", "valid", "test"):
            split = read_split(project.path / "data/cache" / representation, name)
            mine = windows.loc[windows["split"] == name, "window_id"].tolist()
            assert len(split) == len(mine)
            assert set(split.window_ids) <= set(mine)  # a row of train may span several
            seen = torch.cat([x for x, _ in ResidentLoader(split, torch.device("cpu")).batches(16)])
            assert len(seen) == len(mine) and torch.isfinite(seen).all()
            assert low <= seen.min() < seen.max() <= 1
            assert (seen.flatten(1).std(1) > 0).all()


class Texts(HTMLParser):
    """The cells of each row of the page's tables."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def test_the_report_lists_every_rejected_file_with_its_reason(project, rejected):
    source = (project.path / "data/report/index.html").read_text(encoding="utf-8")
    rows = [row for row in Texts(source).rows if len(row) == 4]
    for (path, reason), part in rejected.groupby(["path", "reason"]):
        (row,) = [row for row in rows if row[0] == path and row[2] == reason]
        assert part["detail"].iloc[0] in row[3]
    assert "<b>%20" not in source
    assert not re.search(r"[\ud800-\udfff]", source)


def test_nothing_is_run_again_because_of_them(project):
    assert project.repro("report") == []
