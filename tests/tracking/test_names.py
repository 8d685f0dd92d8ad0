"""What MLflow calls the numbers and settings of a variant."""

from pipeline.tracking import names

DESCRIBED = {
    "variant": "mel_conv",
    "seed": 3,
    "network": {"type": "conv2d", "channels": [8, 16]},
    "condition": None,
    "loss": {"kl": {"schedule": "linear", "cycles": 4, "free_bits": 0.0, "free_bits_per": "dimension"}},
    "train": {"epochs": 20, "schedule": "cosine", "plateau": {"patience": 5}, "devices": 1},
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
    row |= {"collapsed": 0, "skipped_steps": 3}
    named = {
        "train/loss": 1.0,
        "valid/mse": 0.5,
        "epoch/beta": 1.0,
        "epoch/training_rate": 3.0,
        "epoch/skipped_steps": 3.0,
    }
    assert names.of_epoch(row) == named


def test_results_are_numbers_alone():
    assert names.of_test({"mse": 0.5, "parameters": 12, "kl": None, "collapse_reason": "x", "seeds": [0]}) == {
        "test/mse": 0.5,
        "test/parameters": 12.0,
    }


def test_settings_have_the_keys_of_params_yaml_and_nothing_that_is_a_tag_or_has_no_effect():
    assert names.settings(DESCRIBED) == {
        "network": {"type": "conv2d", "channels": [8, 16]},
        "condition": None,
        "loss": {"kl": {"schedule": "linear", "free_bits": 0.0}},
        "train": {"epochs": 20, "schedule": "cosine"},
        "representation": {"name": "mel128", "kind": "mel", "bands": 128},
        "windows": {"seconds": 5.0},
        "shape": [128, 216],
    }


def test_settings_that_a_schedule_or_a_penalty_reads_stay():
    kl = {"schedule": "cyclical", "cycles": 2, "free_bits": 0.5, "free_bits_per": "window"}
    train = {"schedule": "plateau", "plateau": {"patience": 3}}
    found = names.settings(DESCRIBED | {"loss": {"kl": kl}, "train": train})
    assert found["loss"]["kl"] == kl and found["train"] == train


def test_a_baseline_has_neither_loss_nor_training():
    found = names.settings(DESCRIBED | {"loss": None, "train": None})
    assert found["loss"] == {"kl": {}} and found["train"] == {}  # which are no params
