"""Training on crops that are shorter than a window."""

import numpy as np
import pytest
import torch

from pipeline.core.errors import ParamsError
from pipeline.dataset.loader import ResidentLoader
from pipeline.training.crop import crop
from tests.training.small import CPU, SHAPE, TRAIN, Recording, new_model, new_objective, train

SEQUENCE = {"type": "gaussian", "latent": 4, "layout": "sequence"}
FRAMES = 10
SECONDS = (FRAMES - 1) * 128 / 8000


def test_the_model_of_crops_shares_all_weights_and_has_a_shorter_latent():
    model = new_model(bottleneck=SEQUENCE).eval()
    short, _ = crop(model, TRAIN, SECONDS)
    assert short.latent_dims == model.latent_dims * 3 // 5  # 3 of 5 columns of 4 frames
    with torch.no_grad():
        for parameter in short.parameters():
            parameter.add_(0.1)
    values = zip(model.state_dict().values(), short.state_dict().values(), strict=True)
    assert all(a.data_ptr() == b.data_ptr() for a, b in values)
    x = torch.rand(2, 1, SHAPE[0], FRAMES)
    assert short.eval().reconstruct(x).shape == x.shape


def test_crops_are_parts_of_the_train_windows():
    _, windows = crop(new_model(bottleneck=SEQUENCE), TRAIN, SECONDS)
    data, whole = ResidentLoader(windows, CPU), TRAIN.stored
    assert len(data) == len(TRAIN)
    starts = set()
    sample = zip(data.epoch(16, 0, 1), data.epoch(16, 0, 2), strict=True)
    for x in (batch.x for pair in sample for batch in pair):
        for values in x.squeeze(1).numpy():
            parts = np.lib.stride_tricks.sliding_window_view(whole, FRAMES, axis=2).transpose(0, 2, 1, 3)
            parts = parts - parts.max((2, 3), keepdims=True)
            difference = np.abs(np.maximum(parts.astype(np.float32), -80) / 80 + 1 - values).max((2, 3))
            row, start = np.unravel_index(difference.argmin(), difference.shape)
            assert difference[row, start] < 2e-3
            starts.add(int(start))
    assert len(starts) > 5


def test_a_training_on_crops_learns_whole_windows():
    recording = Recording()
    model = new_model(bottleneck=SEQUENCE)
    history, snapshots = train(model, new_objective(), callback=recording, epochs=12, crop_seconds=SECONDS)
    assert history[-1]["valid_mse"] < 0.5 * history[0]["valid_mse"]
    assert snapshots.originals.shape[1:] == (1, *SHAPE)
    # Nats per window: the KL of a crop is that of fewer positions.
    assert history[-1]["train_kl"] == pytest.approx(0.6 * history[-1]["valid_kl"], rel=0.2)


@pytest.mark.parametrize(
    "parts", [{"bottleneck": SEQUENCE | {"layout": "vector"}}, {"network": {"type": "conv2d", "components": 8}}]
)
def test_a_model_whose_weights_depend_on_the_length_is_an_error(parts):
    model = new_model(**({"bottleneck": SEQUENCE} | parts), variant="a")
    with pytest.raises(ParamsError, match=r"models\.a\.train\.crop_seconds: some weights depend on the length"):
        crop(model, TRAIN, SECONDS)
