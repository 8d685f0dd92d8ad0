"""Finished seeds are restored complete, and only for the same training."""

import json

import torch

from pipeline.training import variant
from pipeline.training.config import TrainConfig
from pipeline.training.seed import SeedSetup
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


def test_a_precision_that_another_gpu_chooses_is_another_training(tmp_path, monkeypatch):
    (tmp_path / "stats.json").write_text(json.dumps({"shards": {}}))
    setup = SeedSetup({"variant": "v", "seed": 0}, None, TrainConfig(), tmp_path, {}, torch.device("cuda"))
    fingerprints = set()
    for has_bf16 in (False, True, True):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda has=has_bf16, **_: has)
        fingerprints.add(variant.fingerprints(setup))
    assert len(fingerprints) == 2
