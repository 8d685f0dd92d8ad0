"""What MLflow calls the numbers and settings of a variant."""

from pipeline.tracking import names

DESCRIBED = {
    "variant": "mel_conv",
    "seed": 3,
    "network": {"type": "conv2d", "channels": [8, 16]},
    "condition": None,
    "train": {"epochs": 20, "patience": None},
    "input": "mel128",
    "representation": {"kind": "mel", "bands": 128},
    "seconds": 5.0,
    "kind": "mel",
    "shape": [128, 216],
    "labels": [],
    "stats": {"mean": [0.1], "std": [1.0]},
}


def test_numbers_of_an_epoch_are_grouped_by_what_they_were_measured_on():
    row = {"epoch": 2, "train_loss": 1.0, "valid_mse": 0.5, "beta": 1.0, "training_rate": 3.0, "valid_kl": float("nan")}
    named = {"train/loss": 1.0, "valid/mse": 0.5, "epoch/beta": 1.0, "epoch/training_rate": 3.0}
    assert names.of_epoch(row) == named


def test_results_are_numbers_alone():
    assert names.of_test({"mse": 0.5, "parameters": 12, "kl": None, "collapse_reason": "x", "seeds": [0]}) == {
        "test/mse": 0.5,
        "test/parameters": 12.0,
    }


def test_settings_have_the_keys_of_params_yaml_and_nothing_that_is_a_tag():
    assert names.settings(DESCRIBED) == {
        "network": {"type": "conv2d", "channels": [8, 16]},
        "condition": None,
        "train": {"epochs": 20, "patience": None},
        "representation": {"name": "mel128", "kind": "mel", "bands": 128},
        "windows": {"seconds": 5.0},
        "shape": [128, 216],
    }
