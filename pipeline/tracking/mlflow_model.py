"""A trained variant as an MLflow model: weights, code, signature, example and requirements."""

import json
import logging
import os
import shutil
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pipeline.core import arrays, workspace
from pipeline.core.imports import ROOT, source_files
from pipeline.tracking import search, store

LOADER = "pipeline.tracking.pyfunc"
ERROR_TAG = "test/mel_mse"
COMPARABLE_TAGS = ("evaluation", "test_data")  # two versions are compared if these are equal
VERSION_METRICS = ("mse", "mel_mse", "cosine_similarity", "kl", "probe_accuracy", "parameters")
COPIED_TAGS = ("variant", "seed", "fingerprint", "data", "dvc.exp_name", "git.commit")
PACKAGES = (
    *("filelock", "numpy", "pandas", "pyarrow", "pydantic", "pyyaml"),
    *("safetensors", "torch", "vector-quantize-pytorch"),
)


def log_model(run_id: str, variant: str, folder: Path) -> None:
    """Log a model as an output of the run, unless the run has a model.

    `folder` has the model in `seed` and, from `copy_code`, its code in `code`. A run that only evaluates the model
    of another run gets that model as an input.
    """
    from mlflow.entities import LoggedModelInput, LoggedModelOutput

    if model_id_of(run_id):
        return
    client = store.client()
    run = client.get_run(run_id)
    earlier = model_id_of(run.data.tags["model_run"]) if "model_run" in run.data.tags else None
    if earlier:
        client.log_inputs(run_id, models=[LoggedModelInput(earlier)])
        return
    experiment, tags = run.info.experiment_id, run.data.tags
    begun = client.search_logged_models([experiment], f"source_run_id = '{run_id}'")  # by a try that failed
    model = next(iter(begun), None) or client.create_logged_model(
        experiment, variant, run_id, {key: tags[key] for key in COPIED_TAGS if tags.get(key)}, run.data.params, "VAE"
    )
    with TemporaryDirectory() as temporary:
        out = Path(temporary) / "model"
        save_model(folder, out, model.model_id, run_id, model.artifact_location)
        client.log_model_artifacts(model.model_id, str(out))
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])


def save_model(folder: Path, out: Path, model_id: str, run_id: str, location: str) -> None:
    """Write the model in `folder`, as for `log_model`, to the new folder `out` in the format of `mlflow.pyfunc`."""
    os.environ["MLFLOW_UV_AUTO_DETECT"] = "false"  # else MLflow takes the requirements of the whole project from uv
    for name in ("mlflow.pyfunc", "mlflow.utils.environment"):  # hide their progress messages
        logging.getLogger(name).setLevel(logging.ERROR)
    import mlflow
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    config = workspace.read_json(folder / "seed" / "config.json")
    windows = Schema([TensorSpec(np.dtype(np.float32), (-1, *config["shape"]))])
    snapshots = arrays.unpack(arrays.read(folder / "seed" / "snapshots.parquet"), "array")
    with TemporaryDirectory() as temporary:
        files = Path(temporary) / "seed"
        files.mkdir()
        for file in [*folder.glob("seed/*.safetensors"), folder / "seed" / "config.json"]:
            workspace.link(file, files / file.name)
        mlflow.pyfunc.save_model(
            out,
            loader_module=LOADER,
            data_path=str(files),
            code_paths=[str(folder / "code" / "pipeline")],
            pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in PACKAGES],  # no local version
            signature=ModelSignature(inputs=windows, outputs=windows),
            input_example=np.asarray(snapshots[:1], np.float32),
            mlflow_model=Model(artifact_path=location, run_id=run_id, model_uuid=model_id, model_id=model_id),
        )


def version_tags(meta: dict[str, Any]) -> dict[str, str]:
    """Tags of a version of a registered model, from a run's meta.json."""
    values = {key: meta["metrics"].get(key) for key in (f"test/{name}" for name in VERSION_METRICS)}
    tags = {key: f"{value:.6g}" for key, value in values.items() if value is not None}
    test_data = next((item["dataset"]["digest"] for item in meta.get("datasets", ()) if item["context"] == "test"), "")
    return tags | {"evaluation": meta["evaluation"], "test_data": test_data}


def register_model(run_id: str, variant: str, tags: dict[str, str]) -> None:
    """Make the run's model a version of the registered model `variant`, and set the aliases `newest` and `best`.

    `best` is the version with the lowest test/mel_mse among those with equal tags evaluation and test_data. A model
    that is registered already keeps its version and gets the tags.
    """
    from mlflow.exceptions import MlflowException

    client = store.client()
    model_id = model_id_of(run_id)
    assert model_id, "the run has a model"
    with suppress(MlflowException):  # it exists
        client.create_registered_model(variant, description=f"Variant `{variant}`: a version for each training.")
    model = client.get_logged_model(model_id)
    source_run = model.source_run_id  # another run than `run_id` if that only evaluates
    versions = {version.run_id: version for version in client.search_model_versions(f"name = '{variant}'")}
    current = versions.get(source_run)
    if current is None:
        current = client.create_model_version(variant, model.artifact_location, source_run, model_id=model_id)
        link = json.dumps([{"name": variant, "version": current.version}])
        client.set_logged_model_tags(model_id, {"mlflow.modelVersions": link})  # shown on the model's page
    for key, value in tags.items():
        client.set_model_version_tag(variant, current.version, key, value)
    newest = max([current, *versions.values()], key=lambda version: int(version.version))
    client.set_registered_model_alias(variant, "newest", newest.version)
    errors = {
        version.version: float(version.tags.get(ERROR_TAG, "inf"))
        for version in versions.values()
        if all(version.tags.get(key) == tags.get(key) for key in COMPARABLE_TAGS)
    }
    errors[current.version] = float(tags.get(ERROR_TAG, "inf"))
    client.set_registered_model_alias(variant, "best", min(errors, key=errors.__getitem__))


def model_id_of(run_id: str) -> str | None:
    """The id of the model that the run logged or evaluated, or None."""
    return search.model_id(store.client().get_run(run_id))


def copy_code(package: Path) -> None:
    """Copy all source files that `LOADER` imports to the new folder `package`."""
    for source in source_files(LOADER):
        target = package / source.relative_to(ROOT / "pipeline")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    for folder in {package, *(file.parent for file in package.rglob("*.py"))}:
        (folder / "__init__.py").touch()
