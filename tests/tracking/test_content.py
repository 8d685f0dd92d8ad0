"""What a run holds: datasets, pictures over epochs, results, the model, and the load of the machine."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from pipeline.core import workspace
from pipeline.dataset.split import Split
from pipeline.models import store as models
from pipeline.tracking import datasets, store, view
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.run import record
from pipeline.training.history import Snapshots, save_snapshots
from tests.apply import variants

CONFIG = TrackingConfig(experiment="tests")
IDENTITY = {"variant": "mel_conv", "seed": 3, "fingerprint": "abc", "data": "def"}
RESULTS = {
    "params": {"evaluate": {"bootstrap": 20}},
    "metrics": {"test/mse": 0.5, "test/mel_mse": 0.25},
    "dataset": {"dataset_name": "mel128", "dataset_digest": "0" * 16},
    "tags": {"evaluation": "e1", "collapsed": "no"},
}
NETWORK = {"type": "conv2d", "channels": [4, 8]}
BOTTLENECK = {"type": "gaussian", "latent": 2, "layout": "vector"}


@pytest.fixture(scope="module")
def database(tmp_path_factory, empty_store):
    """A project of the module's own, in the place of the one for all."""
    return Path(shutil.copy(empty_store, tmp_path_factory.mktemp("project"))).parent


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a model as stage train leaves it."""
    root = tmp_path_factory.mktemp("models")
    described = variants.described("mel", BOTTLENECK, NETWORK, variant="mel_conv", seed=3, loss=None, train=None)
    variants.save(root, "mel_conv", described, seed=3)
    folder = root / "mel_conv" / "seed-3"
    model, _ = models.load(folder)
    x = model.sample(2, torch.Generator().manual_seed(0)).detach()
    save_snapshots(folder / "snapshots.parquet", Snapshots(x, [1, 2], [x, x], [x, x]))
    rows = [{"epoch": n, "train_loss": 1 / n, "valid_mse": None if n == 1 else 0.5, "seconds": 1.0} for n in (1, 2)]
    pd.DataFrame(rows).to_csv(folder / "history.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def whole(database, trained, tmp_path_factory):
    """A run of a database that never had it, with all that evaluate and figures add; told twice, as stages do."""
    pictures = tmp_path_factory.mktemp("pictures")
    for epoch in (1, 12):
        Image.new("RGB", (40, 20), (epoch, 0, 0)).save(pictures / f"{epoch}.png")
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
    place = Path("data/cache/tiny")
    found = datasets.describe(place, {"shards": shards, "seconds": 0.5}, {"train": split, "test": split})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(database))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for _ in range(2):
            with record(CONFIG, "evaluate", IDENTITY, evaluation="e1") as run:
                run.trained(trained)
                run.datasets(found)
                run.model("mel_conv", trained)
                run.evaluated(RESULTS, is_new=False)
                run.images(pictures, "reconstructions")
                run.register("mel_conv", {"test/mel_mse": "0.25", "evaluation": "e1"})
        return store.client().get_run(run.identity["run_id"])


def test_a_run_is_filled_from_files(whole):
    assert {"network.type": "conv2d", "bottleneck.latent": "2", "representation.name": "tiny"}.items() <= (
        whole.data.params.items()
    )
    history = store.client().get_metric_history(whole.info.run_id, "train/loss")
    assert [(m.step, m.value) for m in history] == [(1, 1.0), (2, 0.5)]
    assert [m.step for m in store.client().get_metric_history(whole.info.run_id, "valid/mse")] == [2]
    assert whole.data.metrics["epoch/seconds"] == 1.0


def test_results_are_taken_once_where_the_run_has_them(whole):
    assert whole.data.metrics["test/mse"] == 0.5 and whole.data.tags["collapsed"] == "no"
    with record(CONFIG, "figures", IDENTITY | {"run_id": whole.info.run_id}) as run:
        run.evaluated({**RESULTS, "metrics": {"test/mse": 0.7}}, is_new=False)
    assert store.client().get_run(whole.info.run_id).data.metrics["test/mse"] == 0.5


def test_datasets_say_what_they_hold_and_where_without_a_workspace(whole):
    found = {one.tags[0].value: one.dataset for one in whole.inputs.dataset_inputs}
    assert sorted(found) == ["test", "training"]
    assert found["training"].digest == workspace.fingerprint({"train-00000.parquet": "train"})
    assert found["training"].digest != found["test"].digest
    profile = json.loads(found["training"].profile)
    assert profile["num_rows"] == 5 and profile["labels"] == {"blues": 3, "rock": 2} and profile["recordings"] == 2
    assert mlflow.data.get_source(whole.inputs.dataset_inputs[0]).to_dict() == {"uri": "data/cache/tiny"}


def test_pictures_have_a_step_each(whole):
    kept = [file.path for file in store.client().list_artifacts(whole.info.run_id, "images")]
    full = sorted(path.split("+")[:3] for path in kept if path.endswith(".png"))
    assert full == [["images/reconstructions", "step", "1"], ["images/reconstructions", "step", "12"]]


def test_the_model_gives_reconstructions_and_knows_its_windows(whole, trained, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])  # to which a model's own code is added
    (output,) = whole.outputs.model_outputs
    mlflow.set_tracking_uri(store.tracking_uri())
    loaded = mlflow.pyfunc.load_model(f"models:/{output.model_id}")
    example = loaded.input_example
    model, described = models.load(trained)
    assert example.shape == (1, *described["shape"]) and example.dtype == np.float32
    assert loaded.metadata.signature.inputs.inputs[0].shape == (-1, *described["shape"])
    wanted = model.reconstruct(torch.from_numpy(example)[:, None]).detach().squeeze(1).numpy()
    np.testing.assert_allclose(loaded.predict(example), wanted, atol=1e-6)
    requirements = [line.split("==")[0] for line in (_files(whole) / "requirements.txt").read_text().splitlines()]
    assert {"torch", "safetensors"} <= set(requirements)


def test_the_model_brings_all_the_code_that_it_needs(whole):
    """In a process that cannot import the project."""
    code = """
import sys
from pathlib import Path
place = Path(sys.argv[1])
sys.path = [str(place / "code")] + [p for p in sys.path if not (Path(p or ".") / "pipeline").exists()]
from pipeline.tracking.pyfunc import _load_pyfunc
import numpy as np, pipeline
assert Path(pipeline.__path__[0]).parent == place / "code"
model = _load_pyfunc(str(place / "data" / "seed"))
print(model.predict(np.zeros((2, 24, 32), np.float32)).shape)
"""
    place = _files(whole)
    done = subprocess.run([sys.executable, "-c", code, str(place)], cwd=place, capture_output=True, text=True)
    assert done.stdout.strip() == "(2, 24, 32)", done.stderr


def test_it_is_registered_once_with_its_results(whole):
    (version,) = store.client().search_model_versions("name = 'mel_conv'")
    assert version.run_id == whole.info.run_id and version.tags["test/mel_mse"] == "0.25"
    made = store.client().get_logged_model(whole.outputs.model_outputs[0].model_id)
    assert json.loads(made.tags["mlflow.modelVersions"]) == [{"name": "mel_conv", "version": version.version}]
    for alias in ("newest", "best"):
        assert store.client().get_model_version_by_alias("mel_conv", alias).version == version.version


def test_another_evaluation_links_the_model_and_one_that_is_worse_is_not_the_best(whole, trained):
    with record(CONFIG, "evaluate", IDENTITY | {"run_id": whole.info.run_id}, evaluation="e2") as again:
        again.model("mel_conv", trained)
    (linked,) = store.client().get_run(again.identity["run_id"]).inputs.model_inputs
    assert linked.model_id == whole.outputs.model_outputs[0].model_id
    with record(CONFIG, "train", IDENTITY | {"fingerprint": "other"}) as run:
        run.trained(trained)
        run.model("mel_conv", trained)
        run.register("mel_conv", {"test/mel_mse": "0.5", "evaluation": "e1"})
    newest = store.client().get_model_version_by_alias("mel_conv", "newest")
    assert newest.run_id == run.identity["run_id"]
    assert store.client().get_model_version_by_alias("mel_conv", "best").run_id == whole.info.run_id


def test_the_load_of_machine_and_stage_is_followed_to_the_end():
    with record(CONFIG, "train", IDENTITY | {"fingerprint": "watched"}) as run:
        assert run.identity["run_id"]
        time.sleep(1.2)
    with record(CONFIG, "evaluate", run.identity):
        time.sleep(1.2)
    found = store.client().get_run(run.identity["run_id"]).data.metrics
    assert found["system/stage_memory_megabytes"] > 50
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= set(found)
    steps = [m.step for m in store.client().get_metric_history(run.identity["run_id"], "system/stage_cpu_percentage")]
    assert steps == [*range(len(steps))] and len(steps) >= 2


def test_nothing_of_a_run_names_the_workspace_or_the_model_folder(whole, trained, project):
    """DVC deletes the folder of an experiment in a temporary workspace."""
    said = json.dumps(whole.to_dictionary()).encode()
    for file in filter(Path.is_file, _files(whole).rglob("*")):
        said += file.read_bytes()
    assert str(trained.parents[1]).encode() not in said and str(workspace.root()).encode() not in said
    assert str(project).encode() in said  # where artifacts are kept


def _files(run) -> Path:
    model = store.client().get_logged_model(run.outputs.model_outputs[0].model_id)
    return Path(model.artifact_location.removeprefix("file://"))


def test_the_ui_opens_on_the_runs_with_what_people_compare(monkeypatch):
    monkeypatch.setattr(view, "section", lambda *_: CONFIG)
    address = view.fragment(store.client())
    assert address.startswith(f"/#/experiments/{_experiment()}/runs?")
    kept = json.loads(store.client().get_experiment(_experiment()).tags[view.TAG])
    assert "metrics.`test/mel_mse`" in kept["selectedColumns"]


def test_a_report_is_named_as_such_and_found_again(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_EXP_NAME", "brave-cat")
    (tmp_path / "index.html").write_text("<p>")
    for _ in range(2):
        with record(CONFIG, "report", {"fingerprint": "of all"}) as run:
            run.folder(tmp_path, "report")
    (found,) = store.client().search_runs([_experiment()], "tags.fingerprint = 'of all'")
    assert found.info.run_id == run.identity["run_id"] and found.info.run_name == "report-brave-cat"
    assert "variant" not in found.data.tags
    assert [file.path for file in store.client().list_artifacts(found.info.run_id, "report")] == ["report/index.html"]


def _experiment() -> str:
    return store.client().get_experiment_by_name("tests").experiment_id
