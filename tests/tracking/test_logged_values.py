"""Names of metrics and params in MLflow."""

from pipeline.tracking import logged_values

CONFIG = {
    "variant": "mel_conv",
    "seed": 3,
    "network": {"type": "conv2d", "channels": [8, 16]},
    "condition": None,
    "loss": {"kl": {"schedule": "linear", "cycles": 4, "free_nats": 0.0, "free_nats_per": "dimension"}},
    "train": {"epochs": 20, "schedule": "cosine", "plateau": {"patience": 5}, "devices": 1},
    "input": "mel128",
    "representation": {"kind": "mel", "bands": 128},
    "seconds": 5.0,
    "kind": "mel",
    "shape": [128, 216],
    "labels": [],
    "stats": {"mean": [0.1], "std": [1.0]},
}


def test_epoch_metrics_are_grouped_by_split_without_nan_and_zero_counts():
    row = {"epoch": 2, "train_loss": 1.0, "valid_mse": 0.5, "beta": 1.0, "training_rate": 3.0, "valid_kl": float("nan")}
    row |= {"collapsed": 0, "skipped_steps": 3}
    assert logged_values.epoch_metrics(row) == {
        "train/loss": 1.0,
        "valid/mse": 0.5,
        "epoch/beta": 1.0,
        "epoch/training_rate": 3.0,
        "epoch/skipped_steps": 3.0,
    }


def test_evaluation_metrics_are_the_numbers_of_the_results():
    results = {"mse": 0.5, "parameters": 12, "kl": None, "collapse_reason": "x", "seeds": [0]}
    assert logged_values.evaluation_metrics(results) == {"test/mse": 0.5, "test/parameters": 12.0}


def test_params_have_the_keys_of_params_yaml_without_tags_and_settings_of_the_machine():
    assert logged_values.variant_params(CONFIG) == {
        "network": {"type": "conv2d", "channels": [8, 16]},
        "condition": None,
        "loss": CONFIG["loss"],
        "train": {"epochs": 20, "schedule": "cosine", "plateau": {"patience": 5}},
        "representation": {"name": "mel128", "kind": "mel", "bands": 128},
        "windows": {"seconds": 5.0},
        "shape": [128, 216],
    }
    baseline = logged_values.variant_params(CONFIG | {"loss": None, "train": None})
    assert baseline["loss"] is None and baseline["train"] == {}
