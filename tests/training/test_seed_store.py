"""Finished seeds are restored complete."""

from pipeline.training.seed_store import SeedStore


def test_a_saved_seed_is_restored_and_others_are_not(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    (tmp_path / "trained").mkdir()
    (tmp_path / "trained" / "weights").write_text("w")
    seed = SeedStore("abc")
    assert not seed.restore(tmp_path / "first")
    seed.save(tmp_path / "trained")
    seed.save(tmp_path / "trained")  # as another process may have done in the meantime
    assert [p.name for p in (tmp_path / ".melisma" / "seeds").iterdir()] == ["abc"]
    assert seed.restore(tmp_path / "second")
    assert (tmp_path / "second" / "weights").read_text() == "w"
    assert not SeedStore("abd").restore(tmp_path / "third")
    assert not (tmp_path / "third").exists()
