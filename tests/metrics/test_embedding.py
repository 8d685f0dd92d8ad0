"""Kernel audio distance by an exported network from a file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.core.errors import DataError, ParamsError
from pipeline.core.workspace import fingerprint
from pipeline.metrics import embedding
from pipeline.metrics.config import EmbeddingConfig, EvaluateConfig
from pipeline.metrics.measures import kernel_distance

RATE = 16000
AUDIO = np.random.default_rng(0).standard_normal((12, RATE)).astype(np.float32) / 10


class Frames(nn.Module):
    """RMS and zero crossings of each 800 samples: (windows, frames, 2)."""

    def forward(self, x: Tensor) -> Tensor:
        parts = x.unflatten(1, (-1, 800))
        crossings = (parts[..., 1:] * parts[..., :-1] < 0).float().mean(-1)
        return torch.stack([parts.square().mean(-1).sqrt(), crossings], -1)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    dynamic = {"x": {0: torch.export.Dim("windows", min=2, max=1000)}}
    program = torch.export.export(Frames(), (torch.zeros(4, RATE // 2),), dynamic_shapes=dynamic)
    torch.export.save(program, tmp_path / "frames.pt2")
    return tmp_path / "frames.pt2"


def test_frames_are_embedded_at_the_networks_rate(saved):
    config = EmbeddingConfig(path=saved, sample_rate=RATE // 2)
    embed = embedding.load(config, RATE)
    assert embed(AUDIO).shape == (12 * 10, 2)
    blurred = (AUDIO + np.roll(AUDIO, 1, axis=1)) / 2
    distance = embedding.score(config, RATE, blurred, AUDIO)["kernel_audio_distance"]
    assert distance == pytest.approx(kernel_distance(embed(blurred), embed(AUDIO))) and distance > 1
    assert embedding.score(config, RATE, AUDIO, AUDIO)["kernel_audio_distance"] == pytest.approx(0, abs=1e-9)


def test_settings_with_a_network_have_a_fingerprint(saved):
    first, second = (EvaluateConfig(embedding=EmbeddingConfig(path=path)) for path in (saved, saved.with_name("b.pt2")))
    assert fingerprint(first.model_dump()) == fingerprint(first.model_dump()) != fingerprint(second.model_dump())


def test_without_a_network_there_is_no_number():
    assert embedding.score(None, RATE, AUDIO, AUDIO) == {"kernel_audio_distance": None}


def test_an_unusable_file_is_an_error(saved, tmp_path):
    with pytest.raises(ParamsError, match=r"evaluate\.embedding\.path: no file .*absent\.pt2"):
        embedding.load(EmbeddingConfig(path=tmp_path / "absent.pt2"), RATE)
    (tmp_path / "text.pt2").write_text("weights")
    with pytest.raises(DataError, match=r"text\.pt2: not a file of torch.export.save"):
        embedding.load(EmbeddingConfig(path=tmp_path / "text.pt2"), RATE)
    with pytest.raises(DataError, match=r"frames\.pt2: it does not take"):
        embedding.load(EmbeddingConfig(path=saved, sample_rate=8001), RATE)(AUDIO)
