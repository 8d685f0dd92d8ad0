"""Frechet audio distance by an exported network from a file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.core.errors import DataError, ParamsError
from pipeline.core.workspace import fingerprint
from pipeline.metrics import embedding
from pipeline.metrics.config import EmbeddingConfig, EvaluateConfig
from pipeline.metrics.measures import frechet_distance

RATE = 16000
AUDIO = np.random.default_rng(0).standard_normal((12, RATE)).astype(np.float32) / 10


class Frames(nn.Module):
    """Level and crossings of each tenth of a second: (windows, frames, 2)."""

    def forward(self, x: Tensor) -> Tensor:
        parts = x.unflatten(1, (-1, 800))
        crossings = (parts[..., 1:] * parts[..., :-1] < 0).float().mean(-1)
        return torch.stack([parts.square().mean(-1).sqrt(), crossings], -1)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    any_number = {"x": {0: torch.export.Dim("windows", min=2, max=1000)}}
    program = torch.export.export(Frames(), (torch.zeros(4, RATE // 2),), dynamic_shapes=any_number)
    torch.export.save(program, tmp_path / "frames.pt2")
    return tmp_path / "frames.pt2"


def test_it_is_the_distance_of_the_embeddings_of_all_frames_at_the_networks_rate(saved):
    embed = embedding.load(EmbeddingConfig(path=saved, sample_rate=RATE // 2), RATE)
    assert embed(AUDIO).shape == (12 * 10, 2)
    blurred = (AUDIO + np.roll(AUDIO, 1, axis=1)) / 2
    found = embedding.score(embed, blurred, AUDIO)["frechet_audio"]
    assert found == pytest.approx(frechet_distance(embed(blurred), embed(AUDIO))) and found > 1e-4
    assert embedding.score(embed, AUDIO, AUDIO)["frechet_audio"] == pytest.approx(0, abs=1e-9)


def test_settings_with_a_network_have_a_fingerprint(saved):
    one, other = (EvaluateConfig(embedding=EmbeddingConfig(path=path)) for path in (saved, saved.with_name("b.pt2")))
    assert fingerprint(one.model_dump()) == fingerprint(one.model_dump()) != fingerprint(other.model_dump())


def test_without_a_network_there_is_no_number():
    assert embedding.score(embedding.load(None, RATE), AUDIO, AUDIO) == {"frechet_audio": None}


def test_what_is_wrong_with_its_file_is_said(saved, tmp_path):
    with pytest.raises(ParamsError, match=r"evaluate\.embedding\.path: no file .*absent\.pt2"):
        embedding.load(EmbeddingConfig(path=tmp_path / "absent.pt2"), RATE)
    (tmp_path / "text.pt2").write_text("weights")
    with pytest.raises(DataError, match=r"text\.pt2: not what torch.export.save writes"):
        embedding.load(EmbeddingConfig(path=tmp_path / "text.pt2"), RATE)
    with pytest.raises(DataError, match=r"frames\.pt2: it does not take"):
        embedding.load(EmbeddingConfig(path=saved, sample_rate=8001), RATE)(AUDIO)
