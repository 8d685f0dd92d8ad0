"""The content of a run in MLflow: datasets, images, results, the model, reports."""

import json
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from mlflow import MlflowClient
from PIL import Image

from pipeline.core import workspace
from pipeline.dataset.split import Split
from pipeline.models import store as models
from pipeline.tracking import publisher, store
from pipeline.tracking.datasets import describe_datasets
from pipeline.tracking.publish import Mirror
from pipeline.tracking.run import record
from pipeline.tracking.run_folder import folder_for
from pipeline.training.history import Snapshots, save_snapshots
from tests.apply import variants
from tests.tracking.conftest import CONFIG, IDENTITY, artifacts, experiment_id, get, history, result, runs

NETWORK = {"type": "conv2d", "channels": [4, 8]}
BOTTLENECK = {"type": "gaussian", "latent": 2, "layout": "vector"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a model, as stage train writes it."""
    root = tmp_path_factory.mktemp("models")
    config = variants.describe("mel", BOTTLENECK, NETWORK, variant="mel_conv", seed=3, loss=None, train=None)
    variants.save(root, "mel_conv", config, seed=3)
    folder = root / "mel_conv" / "seed-3"
    model, _ = models.load(folder)
    x = model.sample(2, torch.Generator().manual_seed(0)).detach()
    save_snapshots(folder / "snapshots.parquet", Snapshots(x, [1, 2], [x, x], [x, x]))
    rows = [{"epoch": n, "train_loss": 1 / n, "valid_mse": None if n == 1 else 0.5} for n in (1, 2)]
    pd.DataFrame(rows).to_csv(folder / "history.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def run(database, trained, tmp_path_factory):
    """A run with everything that stages evaluate and figures log. They do it twice, since stages may run again."""
    images = tmp_path_factory.mktemp("images")
    for epoch in (1, 12):
        Image.new("RGB", (40, 20), (epoch, 0, 0)).save(images / f"{epoch}.png")
    shards = {f"{split}-00000.parquet": split for split in ("train", "test")}
    split = Split(
        kind="mel",
        shape=(24, 32),
        stored=np.zeros((2, 24, 64), np.float16),
        window_ids=np.arange(2),
        track_ids=np.array(["a", "b"]),
        labels=np.array(["blues", "rock"]),
        windows=np.array([3, 2]),
    )
    stats = {"shards": shards, "seconds": 0.5}
    datasets = describe_datasets(Path("data/cache/tiny"), stats, {"train": split, "test": split})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(database))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(publisher, "start", lambda: None)
        patch.setattr(publisher, "wait_at_end", lambda folder, _: Mirror(folder).publish())
        for _ in range(2):
            with record(CONFIG, "evaluate", IDENTITY | {"fingerprint": "content"}, "e1") as opened:
                opened.log_training(trained)
                opened.log_datasets(datasets)
                opened.log_model("mel_conv", trained, is_registered=True)
                opened.log_evaluation(result())
                opened.log_files(images, "images/reconstructions")
        return get("content", "e1")


def test_a_run_without_its_training_gets_it_from_the_files(run):
    params = {"network.type": "conv2d", "bottleneck.latent": "2", "representation.name": "tiny"}
    assert params.items() <= run.data.params.items()
    assert history(run, "train/loss") == [(1, 1.0), (2, 0.5)] and history(run, "valid/mse") == [(2, 0.5)]
    assert not {"fingerprint", "data"} & run.data.params.keys()  # tags


def test_datasets_have_digest_profile_and_a_source_inside_the_project(run):
    datasets = {entry.tags[0].value: entry.dataset for entry in run.inputs.dataset_inputs}
    assert sorted(datasets) == ["test", "training"]
    assert datasets["training"].digest == workspace.fingerprint({"train-00000.parquet": "train"})
    assert datasets["training"].digest != datasets["test"].digest
    profile = json.loads(datasets["training"].profile)
    assert profile["num_rows"] == 5 and profile["labels"] == {"blues": 3, "rock": 2} and profile["recordings"] == 2
    assert mlflow.data.get_source(run.inputs.dataset_inputs[0]).to_dict() == {"uri": "data/cache/tiny"}


def test_images_are_logged_once_per_step(run):
    names = sorted(path.split("+")[:3] for path in artifacts(run, "images") if path.endswith(".png"))
    assert names == [["images/reconstructions", "step", "1"], ["images/reconstructions", "step", "12"]]


def test_the_loaded_model_reconstructs_and_has_signature_and_requirements(project, run, trained, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])  # MLflow adds the model's code
    (output,) = run.outputs.model_outputs
    mlflow.set_tracking_uri(store.tracking_uri())
    loaded = mlflow.pyfunc.load_model(f"models:/{output.model_id}")
    example = loaded.input_example
    model, config = models.load(trained)
    assert example.shape == (1, *config["shape"]) and example.dtype == np.float32
    assert loaded.metadata.signature.inputs.inputs[0].shape == (-1, *config["shape"])
    expected = model.reconstruct(torch.from_numpy(example)[:, None]).detach().squeeze(1).numpy()
    np.testing.assert_allclose(loaded.predict(example), expected, atol=1e-6)
    lines = (model_folder(run) / "requirements.txt").read_text().splitlines()
    assert {"torch", "safetensors"} <= {line.split("==")[0] for line in lines}


def test_the_model_contains_all_code_that_it_needs(project, run):
    """A process that cannot import the project loads it."""
    code = """
import sys
from pathlib import Path
folder = Path(sys.argv[1])
sys.path = [str(folder / "code")] + [p for p in sys.path if not (Path(p or ".") / "pipeline").exists()]
from pipeline.tracking.pyfunc import _load_pyfunc
import numpy as np, pipeline
assert Path(pipeline.__path__[0]).parent == folder / "code"
model = _load_pyfunc(str(folder / "data" / "seed"))
print(model.predict(np.zeros((2, 24, 32), np.float32)).shape)
"""
    folder = model_folder(run)
    result = subprocess.run([sys.executable, "-c", code, str(folder)], cwd=folder, capture_output=True, text=True)
    assert result.stdout.strip() == "(2, 24, 32)", result.stderr


def test_no_logged_file_names_the_workspace_or_the_model_folder(run, trained, project):
    """DVC deletes the temporary workspace of an experiment."""
    content = json.dumps(run.to_dictionary()).encode()
    content += b"".join(file.read_bytes() for file in model_folder(run).rglob("*") if file.is_file())
    assert str(trained.parents[1]).encode() not in content and str(workspace.root()).encode() not in content
    assert str(project).encode() in content  # the folder of the artifacts


def test_the_model_is_registered_once_and_a_worse_one_is_not_the_best(project, run, trained):
    client = store.client()
    (version,) = client.search_model_versions("name = 'mel_conv'")
    assert version.run_id == run.info.run_id and version.tags["test/mel_mse"] == "0.25"
    model = client.get_logged_model(run.outputs.model_outputs[0].model_id)
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": "mel_conv", "version": version.version}]
    for alias in ("newest", "best"):
        assert client.get_model_version_by_alias("mel_conv", alias).version == version.version
    with record(CONFIG, "evaluate", IDENTITY | {"fingerprint": "worse"}, "e1") as worse:
        worse.log_datasets(folder_for("content", "e1").meta["datasets"])
        worse.log_model("mel_conv", trained, is_registered=True)
        worse.log_evaluation(result(mel_mse=0.5))
    assert client.get_model_version_by_alias("mel_conv", "newest").run_id == get("worse", "e1").info.run_id
    assert client.get_model_version_by_alias("mel_conv", "best").run_id == run.info.run_id


def test_an_older_run_that_is_sent_again_changes_no_version(project, run):
    client = store.client()
    newest = client.get_model_version_by_alias("mel_conv", "newest").version
    folder_for("content", "e1").update(tags={"study.sizes": "large"})
    assert Mirror(folder_for("content", "e1")).publish() is None
    assert client.get_model_version_by_alias("mel_conv", "newest").version == newest
    assert store.store_name() == "mlflow.db"  # also after MLflow's address was set


def test_a_registration_that_fails_is_tried_again(project, trained, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_model_version", Mock(side_effect=OSError("no")))
        with record(CONFIG, "evaluate", IDENTITY | {"fingerprint": "again"}, "e1") as opened:
            opened.log_model("mel_fc", trained, is_registered=True)
            opened.log_evaluation(result())
    assert folder_for("again").sent["error"] and store.store_name() == "mlflow.db"
    assert Mirror(folder_for("again")).publish() is None
    assert len(store.client().search_model_versions("name = 'mel_fc'")) == 1


def test_a_model_whose_upload_failed_is_completed(project, trained, monkeypatch):
    def fail(*_):
        raise OSError("the server refuses the files")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_model_artifacts", fail)
        with record(CONFIG, "evaluate", IDENTITY | {"fingerprint": "refused"}, "e1") as opened:
            opened.log_model("mel_conv", trained, is_registered=False)
    assert "refuses the files" in folder_for("refused").sent["error"]
    assert Mirror(folder_for("refused")).publish() is None
    source = f"source_run_id = '{get('refused').info.run_id}'"
    (model,) = store.client().search_logged_models([experiment_id()], source)
    assert model.status == "READY" and get("refused").outputs.model_outputs[0].model_id == model.model_id


def test_another_evaluation_has_the_model_as_an_input(project, run, trained):
    with record(CONFIG, "evaluate", IDENTITY | {"fingerprint": "content"}, "e2") as again:
        again.log_model("mel_conv", trained, is_registered=False)
    (model,) = get("content", "e2").inputs.model_inputs
    assert model.model_id == run.outputs.model_outputs[0].model_id


def test_the_ui_opens_on_the_runs_with_selected_columns(project, run, monkeypatch):
    monkeypatch.setattr(store, "read_section", lambda *_: CONFIG)
    assert store.runs_page(store.client()).startswith(f"/#/experiments/{experiment_id()}/runs?")
    view = json.loads(store.client().get_experiment(experiment_id()).tags[store.VIEW_TAG])
    assert "metrics.`test/mel_mse`" in view["selectedColumns"]


def test_a_repeated_report_has_one_run(project, tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_EXP_NAME", "brave-cat")
    (tmp_path / "index.html").write_text("<p>")
    for _ in range(2):
        with record(CONFIG, "report", {"fingerprint": "of all"}) as report:
            report.log_files(tmp_path, "artifacts/report")
    (found,) = runs("of all")
    assert found.info.run_name == "report-brave-cat" and artifacts(found, "report") == ["report/index.html"]
    assert "variant" not in found.data.tags


def model_folder(run) -> Path:
    model = store.client().get_logged_model(run.outputs.model_outputs[0].model_id)
    return Path(model.artifact_location.removeprefix("file://"))
