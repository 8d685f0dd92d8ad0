"""A trained variant as a model of MLflow: its files, the code that reads them, signature, example and requirements."""

import json
import logging
import os
import shutil
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from pipeline.core import arrays, workspace
from pipeline.core.imports import ROOT, source_files

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOADER = "pipeline.tracking.pyfunc"
ERROR = "test/mel_mse"
COMPARABLE = ("evaluation", "test_data")  # tags of versions whose errors may be compared
PACKAGES = ("numpy", "pydantic", "pyyaml", "filelock", "safetensors", "torch", "vector-quantize-pytorch")


def log(client: "MlflowClient", run_id: str, variant: str, folder: Path) -> None:
    """Log the model in `folder`, <variant>/seed-<n>, as an output of the run, unless it has one.

    A run that evaluates the model of another one once more has that one's as an input.
    """
    from mlflow.entities import LoggedModelInput, LoggedModelOutput

    if of_run(client, run_id):
        return
    run = client.get_run(run_id)
    known = of_run(client, run.data.tags["model_run"]) if "model_run" in run.data.tags else None
    if known:
        client.log_inputs(run_id, models=[LoggedModelInput(known)])
        return
    kept = ("variant", "seed", "fingerprint", "data", "dvc.exp_name", "git.commit")
    tags = {key: run.data.tags[key] for key in kept if run.data.tags.get(key)}
    model = client.create_logged_model(
        run.info.experiment_id, name=variant, source_run_id=run_id, tags=tags, params=run.data.params, model_type="VAE"
    )
    try:
        with TemporaryDirectory() as made:
            save(folder, Path(made) / "model", model.model_id, run_id, model.artifact_location)
            client.log_model_artifacts(model.model_id, str(Path(made) / "model"))
    except BaseException:
        client.finalize_logged_model(model.model_id, "FAILED")
        raise
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])


def save(folder: Path, out: Path, model_id: str, run_id: str, location: str) -> None:
    """Write the model in `folder` as `mlflow.pyfunc` reads it into the new folder `out`."""
    os.environ["MLFLOW_UV_AUTO_DETECT"] = "false"  # else it asks uv for the whole project's requirements
    for name in ("mlflow.pyfunc", "mlflow.utils.environment"):  # progress that nobody asked for
        logging.getLogger(name).setLevel(logging.ERROR)
    import mlflow
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    described = workspace.read_json(folder / "config.json")
    windows = Schema([TensorSpec(np.dtype(np.float32), (-1, *described["shape"]))])
    with TemporaryDirectory() as made:
        package, files = Path(made) / "pipeline", Path(made) / "seed"
        _copy_code(package)
        files.mkdir()
        for file in [*folder.glob("*.safetensors"), folder / "config.json"]:
            workspace.link(file, files / file.name)
        mlflow.pyfunc.save_model(
            out,
            loader_module=LOADER,
            data_path=str(files),
            code_paths=[str(package)],
            pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in PACKAGES],  # no local build
            signature=ModelSignature(inputs=windows, outputs=windows),
            input_example=_example(folder),
            mlflow_model=Model(artifact_path=location, run_id=run_id, model_uuid=model_id, model_id=model_id),
        )


def register(client: "MlflowClient", run_id: str, variant: str, tags: dict[str, str]) -> None:
    """Make the run's model a version of the registered model `variant`, with the alias newest, and best if it is.

    The best one has the lowest test/mel_mse of those whose tags evaluation and test_data are the same. A model that is
    registered already keeps its version, and gets the tags and alias.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    mlflow.set_tracking_uri(client.tracking_uri)  # where it looks for what models:/ names
    model_id = of_run(client, run_id)
    assert model_id, "it is logged before"
    with suppress(MlflowException):  # it is there
        client.create_registered_model(variant, description=f"Variant `{variant}`: a version for each training.")
    maker = client.get_logged_model(model_id).source_run_id  # which may not be the run that evaluates it
    versions = {one.run_id: one for one in client.search_model_versions(f"name = '{variant}'")}
    mine = versions.get(maker)
    if mine is None:
        mine = client.create_model_version(variant, f"models:/{model_id}", maker, model_id=model_id)
        known = json.dumps([{"name": variant, "version": mine.version}])
        client.set_logged_model_tags(model_id, {"mlflow.modelVersions": known})  # which its page shows
    for key, value in tags.items():
        client.set_model_version_tag(variant, mine.version, key, value)
    client.set_registered_model_alias(variant, "newest", mine.version)
    errors = {
        one.version: float(one.tags.get(ERROR, "inf"))
        for one in versions.values()
        if all(one.tags.get(key) == tags.get(key) for key in COMPARABLE)
    }
    errors[mine.version] = float(tags.get(ERROR, "inf"))
    client.set_registered_model_alias(variant, "best", min(errors, key=errors.__getitem__))


def of_run(client: "MlflowClient", run_id: str) -> str | None:
    """The id of the model that the run made, or evaluated; None where it has none."""
    run = client.get_run(run_id)
    made = [one.model_id for one in run.outputs.model_outputs] if run.outputs else []
    used = [one.model_id for one in run.inputs.model_inputs] if run.inputs else []
    return next(map(str, made + used), None)


def _copy_code(package: Path) -> None:
    """Copy all that `LOADER` imports to the folder `package`."""
    for source in source_files(LOADER):
        target = package / source.relative_to(ROOT / "pipeline")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    for folder in {package, *(file.parent for file in package.rglob("*.py"))}:
        (folder / "__init__.py").touch()


def _example(folder: Path) -> np.ndarray:
    """(1, *shape) float32: the first window of which snapshots were kept."""
    found = arrays.unpack(arrays.read(folder / "snapshots.parquet"), "array")
    return np.asarray(found[:1], np.float32)
