"""Training on crops that are shorter than a window."""

import numpy as np
import pytest
import torch

from pipeline.core.errors import ParamsError
from pipeline.dataset.loader import ResidentLoader
from pipeline.training.crop import crop
from tests.training.small import (
    CPU,
    CROP,
    ISTFT,
    RATE,
    SAMPLES,
    SECONDS,
    SEQUENCE,
    WAVE_TRAIN,
    new_objective,
    new_wave_model,
    train,
    waveforms,
)

CROPS = {"crop_seconds": SECONDS, "batch_size": 8, "snapshots": 2}


def test_the_model_of_crops_shares_all_weights_and_has_a_shorter_latent():
    model = new_wave_model().eval()
    short, _ = crop(model, WAVE_TRAIN, SECONDS)
    assert short.latent_dims == model.latent_dims * CROP // SAMPLES
    with torch.no_grad():
        for parameter in short.parameters():
            parameter.add_(0.1)
    values = zip(model.state_dict().values(), short.state_dict().values(), strict=True)
    assert all(a.data_ptr() == b.data_ptr() for a, b in values)
    x = torch.rand(2, 1, CROP)
    assert short.eval().reconstruct(x).shape == x.shape


@pytest.mark.parametrize("windows", [None, 2])
def test_crops_are_parts_of_the_rows(windows):
    data = ResidentLoader(waveforms(8, SAMPLES * (windows or 1), windows).cropped(CROP), CPU)
    rows = data.values / 32_768
    assert len(data) == 8 * (windows or 1)
    starts = set()
    for x in (batch.x for epoch in (1, 2, 3) for batch in data.epoch(8, 0, epoch)):
        for values in x.squeeze(1).numpy():
            parts = np.lib.stride_tricks.sliding_window_view(rows, CROP, axis=1)
            distance = np.abs(parts[..., ::40] - values[::40]).max(-1)
            row, start = np.unravel_index(distance.argmin(), distance.shape)
            np.testing.assert_allclose(parts[row, start], values, atol=1e-4)
            starts.add(int(start))
    assert max(starts) > 0.7 * (rows.shape[1] - CROP) and len(starts) > 12


def test_a_training_on_crops_learns_whole_windows():
    history, snapshots = train(new_wave_model(), new_objective(), **CROPS, epochs=20, learning_rate=3e-3)
    assert history[-1]["valid_mse"] < 0.3 * history[0]["valid_mse"]
    assert snapshots.originals.shape[1:] == (1, SAMPLES)
    assert history[-1]["train_kl"] == pytest.approx(history[-1]["valid_kl"], rel=0.2)  # both per whole window
    assert history[-1]["train_loss"] == pytest.approx(history[-1]["valid_loss"], rel=0.2)


def test_crops_have_labels_and_discriminators_like_windows():
    model = new_wave_model(condition={"type": "film", "dropout": 0.0}, labels=["a", "b"])
    loss = {"spectral": {"weight": 0.01, "type": "multi_mel"}, "adversarial": {"weight": 0.01, "start": 0.4}}
    history, _ = train(model, new_objective(**loss), **CROPS, epochs=3)
    assert [row["adversarial_phase"] for row in history] == [0, 1, 1] and history[-1]["train_discriminator"] > 0
    assert all(np.isfinite(list(row.values())).all() for row in history)
    assert model.condition.encoder.weight[:2].any(1).all()


def test_windows_that_are_not_longer_than_a_crop_stay_whole():
    model = new_wave_model(network=ISTFT)
    assert crop(model, WAVE_TRAIN, SAMPLES / RATE) == (model, WAVE_TRAIN)


def test_a_model_whose_weights_depend_on_the_length_is_an_error():
    model = new_wave_model(bottleneck=SEQUENCE | {"layout": "vector"})
    with pytest.raises(ParamsError, match=r"models\.a\.train\.crop_seconds: some weights depend on the length"):
        crop(model, WAVE_TRAIN, SECONDS)
