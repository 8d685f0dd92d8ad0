"""What is refused, and what the message says."""

import json
from pathlib import Path

import pytest

from pipeline.board import files
from pipeline.board.files import find_difference, read, read_all
from pipeline.core.errors import DataError, MelismaError, ParamsError
from pipeline.report.results import Results
from tests.board.contents import content, row, write


def test_a_file_goes_by_its_stem_or_by_its_path_if_another_has_this_stem(tmp_path: Path) -> None:
    paths = [write(tmp_path / name) for name in ("alice.json", "a/results.json", "b/results.json")]
    assert list(read_all(paths)) == ["alice", str(paths[1]), str(paths[2])]
    with pytest.raises(ParamsError, match=r"alice\.json: named twice"):
        read_all([paths[0], paths[0]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol": {"evaluate.audio_windows": 24}}, "evaluate.audio_windows: 12 and 24; leave it out, or set"),
        (
            {"protocol": {"evaluate.audio_windows": 24, "windows.seconds": 1.0}},
            "evaluate.audio_windows: 12 and 24, windows.seconds: ",
        ),
        ({"protocol": {"common log-mel.bands": 64}}, "common log-mel.bands: 128 and 64;"),
        ({"protocol": {"evaluate.new": None, "evaluate.more": 1}}, "evaluate.more: none and 1;"),
        (
            {"protocol": {"version": 2, "evaluate.audio_windows": 24}},
            "version of the protocol: 1 and 2; leave it out, or run",
        ),
        (
            {"test": {"fingerprint": "other", "windows": 90, "recordings": 15}, "source": "synth"},
            "test windows: t (108 of 18 recordings of gtzan) and other (90 of 15 recordings of synth); leave it",
        ),
    ],
)
def test_a_file_that_does_not_compare_is_refused(tmp_path: Path, changes: dict, message: str) -> None:
    paths = [write(tmp_path / "a.json"), write(tmp_path / "b.json"), write(tmp_path / "c.json", **changes)]
    with pytest.raises(MelismaError) as caught:
        read_all(paths)
    assert str(caught.value).startswith(f"{paths[2]}: does not compare with {paths[0]}: {message}")


def test_many_differences_are_one_short_line() -> None:
    changes = {f"evaluate.{i}\n{'x' * 150}": "x\n" * 900 for i in range(150)}
    first, other = (Results.model_validate(content(protocol=values)) for values in ({}, changes))
    problem = find_difference(first, other)
    assert problem and ", and 147 more; leave it out" in problem
    assert len(problem) < 600 and problem.isprintable()


def test_a_key_that_an_older_file_lacks_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "DEFAULTS", {"evaluate.new": False})
    old, default, changed = (
        Results.model_validate(content(protocol=values))
        for values in ({}, {"evaluate.new": False}, {"evaluate.new": True})
    )
    assert find_difference(old, default) is None
    assert "evaluate.new: False and True" in (find_difference(old, changed) or "")


def test_other_training_data_seeds_and_commits_compare(tmp_path: Path) -> None:
    other = {"training": {"fingerprint": "w"}, "seeds": [0, 1], "commit": None, "melisma": "0.2.0"}
    assert len(read_all([write(tmp_path / "a.json"), write(tmp_path / "b.json", **other)])) == 2


BROKEN = {
    "empty": b"",
    "binary": b"\xff\xfe\x00",
    "deep": b"[" * 100_000,
    "a list": b"[]",
    "another file": b'{"mel_conv": {"mel_mse": 0.02}}',
    "no rows": json.dumps({"format": 1}).encode(),
    "NaN": json.dumps(content(row("a", 0.1, mse=float("nan")))).encode(),
    "infinity": json.dumps(content(row("a", 0.1))).replace("0.1,", "1e999,").encode(),
    "text as a number": json.dumps(content(row("a", 0.1) | {"numbers": {"mse": "0.1"}})).encode(),
    "a long name": json.dumps(content(row("a" * 201, 0.1))).encode(),
    "a role that is no word": json.dumps(content(row("a", 0.1, role='x" onload="y'))).encode(),
    "a line break in a name of a number": json.dumps(content(row("a", 0.1) | {"numbers": {"m\nse": None}})).encode(),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_results_file_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(BROKEN[kind])
    with pytest.raises(DataError, match=r"a\.json: no results.json of Melisma \(.+\); name a file that") as caught:
        read(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_newer_format_asks_for_a_newer_program(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"format": 2, "rows": "of another kind"}')
    with pytest.raises(DataError, match=r"its format 2 is newer than this Melisma can read \(1\); update Melisma"):
        read(path)


def test_an_unknown_key_of_the_same_format_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content(row("a", 0.1) | {"later": 1}) | {"later": [1]}))
    assert [result.variant for result in read(path).rows] == ["a"]


def test_missing_folder_and_large_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ParamsError, match="no such file"):
        read(tmp_path / "a.json")
    with pytest.raises(ParamsError, match="a folder; name the file"):
        read(tmp_path)
    monkeypatch.setattr(files, "MAX_BYTES", 2**20)
    (tmp_path / "a.json").write_bytes(b" " * (2**20 + 1))
    with pytest.raises(DataError, match="more than 1 MiB"):
        read(tmp_path / "a.json")
