"""A model that obeys the label is told from one that does not."""

import numpy as np
import pytest
import torch

from pipeline.dataset.batches import ResidentLoader
from pipeline.dataset.split import Split
from pipeline.evaluation.transfer import features, other, score
from pipeline.models.vae import build

CPU = torch.device("cpu")
NAMES = ("a", "b", "c")
SHAPE = (6, 12)


def split(seed: int, number: int = 30, names: tuple[str, ...] = NAMES) -> Split:
    """Mels whose label is the pair of bands that is loud."""
    rng = np.random.default_rng(seed)
    labels = np.sort(np.resize(names, number))
    values = rng.normal(-60, 4, (number, *SHAPE))
    for row, label in zip(values, labels, strict=True):
        row[2 * (ord(label) % 3) : 2 * (ord(label) % 3) + 2] += 40
    ids = np.arange(number)
    return Split("mel", SHAPE, values.astype(np.float16), ids, ids.astype(str), labels)


TRAIN, TEST = split(0), split(1)


def model(condition: bool = True):
    torch.manual_seed(0)
    description = {
        "network": {"type": "conv2d", "channels": [4]},
        "bottleneck": {"type": "gaussian", "latent": 3},
        "condition": {"type": "film"} if condition else None,
        "labels": NAMES if condition else (),
        "kind": "mel",
        "shape": SHAPE,
        "stats": {"mean": [0.4] * SHAPE[0], "std": [0.25] * SHAPE[0]},
        "representation": {},
    }
    return build(description).eval()


def shares(made, *splits, batch: int = 7) -> dict[str, float]:
    """Means over the windows, with the numbers."""
    found = score(made, *splits, batch, CPU)
    assert {len(hits) for hits in found.windows.values()} == {len(splits[1])}
    return {name: float(hits.mean()) for name, hits in found.windows.items()} | found.numbers


def test_a_model_that_takes_the_label_from_the_condition_obeys():
    made = model()
    made.fit_condition(
        ResidentLoader(TRAIN, CPU, NAMES).batches(8)
    )  # an untrained network: all is the statistics' doing
    found = shares(made, TRAIN, TEST)
    assert found["transfer_accuracy"] == found["transfer_real"] == found["transfer_reconstruction"] == 1
    assert found["transfer_statistics"] == 1  # all is the statistics' doing, and the metrics say so
    assert found["transfer_source"] == 0 and found["transfer_chance"] == pytest.approx(1 / 3)
    assert found["transfer_change"] > 0.5


def test_a_model_that_does_not_look_at_the_label_stays_at_the_source():
    made = model()
    made.transfer = lambda x, source, target: x  # type: ignore[method-assign]
    made.reconstruct = lambda x, label=None: x  # type: ignore[method-assign]
    found = shares(made, TRAIN, TEST)
    assert (found["transfer_accuracy"], found["transfer_source"], found["transfer_change"]) == (0, 1, 0)


def test_no_condition_no_scores():
    assert score(model(condition=False), TRAIN, TEST, 7, CPU) == ({}, {})


def test_a_label_that_training_has_not_seen_is_transferred_too():
    made = model()
    made.fit_condition(ResidentLoader(TRAIN, CPU, NAMES).batches(8))
    found = shares(made, TRAIN, split(2, 12, ("a", "z")), batch=5)
    assert 0 < found["transfer_real"] <= 0.5  # "z" is none that the probe can name
    assert found["transfer_accuracy"] > 1 / 3


def test_targets_are_all_other_labels_in_turn_whatever_the_batches():
    label = torch.tensor([0, 0, 0, 0, 2, 2, 4, 4])  # 4: not known
    target = other(label, 4)
    assert (target < 4).all() and (target != label).all()
    assert target.tolist() == [1, 2, 3, 1, 0, 1, 1, 2]
    assert torch.equal(target, torch.cat([other(label[:3], 4), other(label[3:], 4, start=3)]))


def test_features_of_a_waveform_are_of_its_bands():
    time = torch.arange(3000) / 3000
    low, high = (0.1 * torch.sin(2 * torch.pi * f * time)[None, None] for f in (100, 1000))
    found = features(torch.cat([low, high, torch.zeros_like(low)]))
    assert found.shape == (3, 2 * 129) and np.isfinite(found).all()
    assert found[0, :129].argmax() == round(100 / 3000 * 256) and found[1, :129].argmax() == round(1000 / 3000 * 256)
