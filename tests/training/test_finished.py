"""Finished seeds come back whole."""

import pytest

from pipeline.training import finished


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


def test_kept_seed_is_restored_and_others_are_not(tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "weights").write_text("w")
    assert not finished.restore("abc", tmp_path / "first")
    finished.keep("abc", tmp_path / "made")
    finished.keep("abc", tmp_path / "made")  # as another process may have done in the meantime
    assert [p.name for p in (tmp_path / ".melisma" / "seeds").iterdir()] == ["abc"]
    assert finished.restore("abc", tmp_path / "second")
    assert (tmp_path / "second" / "weights").read_text() == "w"
    assert not finished.restore("abd", tmp_path / "third")
    assert not (tmp_path / "third").exists()
