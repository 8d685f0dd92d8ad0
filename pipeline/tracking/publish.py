"""Mirror a run's files to MLflow: compare what the store has with what the files have, and send the difference.

Every part may be repeated, so it does not matter when an earlier try stopped.
"""

import sys
from collections import Counter
from math import isfinite
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from pipeline.core import workspace
from pipeline.tracking import mlflow_model, search, store
from pipeline.tracking.logged_values import epoch_metrics
from pipeline.tracking.run_folder import ARTIFACTS, IMAGES, MODEL, SERIES, RunFolder, run_folders

if TYPE_CHECKING:
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

METRICS_PER_CALL, PARAMS_PER_CALL = 1000, 100  # MLflow's limits
ARTIFACTS_TAG, VERSION_TAG = "artifacts", "version"  # digests of what the store has


class Mirror:
    """Mirrors one run. It remembers how far it has read each series, since `publish` is called again and again."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._run_id = ""
        self._read: dict[str, int] = {}  # series -> bytes that the store has
        self._monitor: SystemMetricsMonitor | None = None
        self.is_closed = False  # whether, at the last `publish`, the store or its experiment took nothing

    def publish(self) -> str | None:
        """Send the difference. Return the error, in one line, if a part could not be sent."""
        errors: list[str] = []
        self.is_closed = False
        parts = [
            *(self._open, self._send_tags, self._send_params, self._send_inputs, self._send_series, self._send_model),
            *(self._send_results, self._send_artifacts, self._send_images, self._send_version, self._send_status),
        ]
        with FileLock(self.folder.path / ".publishing"):
            state, meta = self.folder.state, self.folder.meta
            for part in parts:
                try:
                    part(meta)
                except Exception as error:  # a database or a server fails in many ways
                    errors.append(store.failure_message(error))
                    if part == self._open:
                        self.is_closed = not isinstance(error, KeyError)  # a damaged meta.json
                        break
            self.folder.note_sent(state, next(iter(errors), None), self._run_id)
        return next(iter(errors), None)

    def watch_system(self, is_live: bool) -> None:
        """Let MLflow log the load of the machine as long as a stage records the run."""
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        thread = self._monitor and self._monitor._process
        if is_live and self._run_id and not (thread and thread.is_alive()):  # it ends at its first error
            self._monitor = SystemMetricsMonitor(self._run_id, resume_logging=True, tracking_uri=store.tracking_uri())
            self._monitor.start()
        elif self._monitor and not is_live:
            self._monitor.finish()
            self._monitor = None

    def _open(self, meta: dict[str, Any]) -> None:
        """Find the run of the fingerprint, else create it."""
        client = store.client()
        experiment = store.ensure_experiment(client, meta["experiment"])
        query = f"tags.fingerprint = '{meta['fingerprint']}'"
        order = ["attributes.start_time ASC"]
        runs = list(search.pages(client.search_runs, [experiment], query, order_by=order))
        runs.sort(key=lambda run: run.info.run_id != self.folder.sent.get("run_id"))  # another clone may have its own
        run, link = choose_run(runs, meta["evaluation"])
        if run is None:
            tags = _tags(meta) | ({"model_run": link.info.run_id} if link else {})
            run = client.create_run(experiment, start_time=meta["started"], tags=tags, run_name=meta["name"])
        if run.info.run_id != self._run_id:
            self._run_id, self._read = run.info.run_id, {}
        self._run = run

    def _send_tags(self, meta: dict[str, Any]) -> None:
        from mlflow.entities import RunTag

        client, current, wanted = store.client(), self._run.data.tags, _tags(meta)
        client.log_batch(self._run_id, tags=[RunTag(k, v) for k, v in wanted.items() if current.get(k) != v])
        for key in ("error", *meta["tags"]):
            if key in current and key not in wanted:
                client.delete_tag(self._run_id, key)
        if self._run.info.run_name != meta["name"]:
            client.update_run(self._run_id, name=meta["name"])

    def _send_params(self, meta: dict[str, Any]) -> None:
        from mlflow.entities import Param

        new = [Param(key, value) for key, value in meta["params"].items() if key not in self._run.data.params]
        for start in range(0, len(new), PARAMS_PER_CALL):
            store.client().log_batch(self._run_id, params=new[start : start + PARAMS_PER_CALL])

    def _send_inputs(self, meta: dict[str, Any]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        if datasets := meta.get("datasets"):  # MLflow ignores those that the run has
            inputs = [
                DatasetInput(Dataset(**item["dataset"]), [InputTag("mlflow.data.context", item["context"])])
                for item in datasets
            ]
            store.client().log_inputs(self._run_id, inputs)

    def _send_series(self, meta: dict[str, Any]) -> None:
        """Send the rows after the last step that the store has."""
        from mlflow.entities import Metric

        last_steps = {metric.key: metric.step for metric in self._run.to_proto().data.metrics}
        for series in SERIES:
            start = self._read.get(series, 0)
            rows, end = self.folder.read_series(series, start)
            batch: list[Metric] = []
            for row in rows:
                step, time = int(float(row.pop(series))), int(row.pop("time"))
                values = {key: float(value) for key, value in row.items() if value and isfinite(float(value))}
                metrics = epoch_metrics(values) if series == "epoch" else {f"step/{k}": v for k, v in values.items()}
                if all(step <= last_steps.get(key, -1) for key in metrics):
                    continue
                if len(batch) + len(metrics) > METRICS_PER_CALL:  # keep the metrics of a step together
                    store.client().log_batch(self._run_id, metrics=batch)
                    batch = []
                batch += [Metric(key, value, time, step) for key, value in metrics.items()]
            store.client().log_batch(self._run_id, metrics=batch)
            self._read[series] = end

    def _send_model(self, meta: dict[str, Any]) -> None:
        if variant := meta.get("model"):
            mlflow_model.log_model(self._run_id, variant, self.folder.path / MODEL)

    def _send_results(self, meta: dict[str, Any]) -> None:
        """Send the metrics of the evaluation that the store does not have."""
        from mlflow.entities import Metric

        logged = self._run.data.metrics
        new = {key: value for key, value in meta.get("metrics", {}).items() if logged.get(key) != value}
        if new:
            tests = [item["dataset"] for item in meta.get("datasets", ()) if item["context"] == "test"]
            source = {f"dataset_{key}": tests[0][key] for key in ("name", "digest")} if tests else {}
            source["model_id"] = mlflow_model.model_id_of(self._run_id)
            metrics = [Metric(key, value, meta["evaluated"], 0, **source) for key, value in new.items()]
            store.client().log_batch(self._run_id, metrics=metrics)

    def _send_artifacts(self, meta: dict[str, Any]) -> None:
        """Send all artifacts if one has changed."""
        folder = self.folder.path / ARTIFACTS
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        digest = workspace.fingerprint(
            [(path.relative_to(folder).as_posix(), workspace.sha256(path)) for path in files]
        )
        if files and self._run.data.tags.get(ARTIFACTS_TAG) != digest:
            store.client().log_artifacts(self._run_id, str(folder))
            store.client().set_tag(self._run_id, ARTIFACTS_TAG, digest)

    def _send_images(self, meta: dict[str, Any]) -> None:
        """Send the images of the steps that the run does not have."""
        from PIL import Image

        files = sorted((self.folder.path / IMAGES).glob("*/*.png"), key=lambda file: int(file.stem))
        known = [item.path for item in store.client().list_artifacts(self._run_id, IMAGES)] if files else []
        for file in files:
            key, step = file.parent.name, int(file.stem)
            is_known = any(name.startswith(f"{IMAGES}/{key}+step+{step}+") and ".webp" in name for name in known)
            if not is_known:  # MLflow writes the thumbnail, a WebP file, last
                image = Image.open(file).convert("RGB")  # MLflow's thumbnail of a palette image has ragged edges
                store.client().log_image(self._run_id, image, key=key, step=step)

    def _send_version(self, meta: dict[str, Any]) -> None:
        if meta.get("is_registered") and "metrics" in meta:
            tags = mlflow_model.version_tags(meta)
            digest = workspace.fingerprint(tags)
            if self._run.data.tags.get(VERSION_TAG) != digest:  # a later evaluation may have changed the version
                mlflow_model.register_model(self._run_id, meta["model"], tags)
                store.client().set_tag(self._run_id, VERSION_TAG, digest)

    def _send_status(self, meta: dict[str, Any]) -> None:
        info = self._run.info
        if meta["status"] == "RUNNING" != info.status:
            store.client().update_run(self._run_id, status="RUNNING")
        elif meta["status"] != "RUNNING" and (info.status, info.end_time) != (meta["status"], meta["ended"]):
            store.client().set_terminated(self._run_id, meta["status"], meta["ended"])


def choose_run(runs: list[Any], evaluation: str | None) -> tuple[Any, Any]:
    """The MLflow run to write to, if one of `runs` (of the same training, oldest first) fits; and the training's run.

    An evaluation needs a run without another evaluation, since params cannot change in MLflow.
    """
    trained = next((run for run in runs if "model_run" not in run.data.tags), None)
    if evaluation is None:
        return trained, trained
    same = next((run for run in runs if run.data.tags.get("evaluation") == evaluation), None)
    return same or (trained if trained and "evaluation" not in trained.data.tags else None), trained


def _tags(meta: dict[str, Any]) -> dict[str, str]:
    """The tags that MLflow must have."""
    tags = meta["tags"] | {key: meta[key] for key in ("evaluation", "error")}
    return {key: value for key, value in tags.items() if value is not None}


def count_pending() -> tuple[int, list[str]]:
    """The number of runs of ended stages that the current store lacks; and a line about each other store's."""
    stores = Counter(f.meta.get("store") for f in run_folders() if not f.is_live() and not f.is_complete)
    current = stores.pop(store.store_name(), 0)
    return current, [f"{n} run{'s' * (n > 1)} pending for MLflow at {name}" for name, n in sorted(stores.items())]


def send_pending() -> tuple[int, list[str]]:
    """Send all runs of ended stages that the current store does not have.

    Returns:
        The number of sent runs, and the error of each experiment that takes none.
    """
    number = 0
    closed: dict[str, str] = {}
    for folder in run_folders():
        meta = folder.meta
        if meta.get("store") != store.store_name() or meta.get("experiment") in closed or folder.is_live():
            continue
        if not _is_sent(folder):
            mirror = Mirror(folder)
            error = mirror.publish()
            if mirror.is_closed:
                closed[meta["experiment"]] = str(error)
            elif error:
                print(f"warning: {error}; the files stay in {folder.path}", file=sys.stderr)
            number += not error
    return number, list(dict.fromkeys(closed.values()))


def _is_sent(folder: RunFolder) -> bool:
    """Whether the store has the run. A run that was deleted in MLflow is not sent again."""
    from mlflow.exceptions import MlflowException

    if not folder.is_complete:
        return False
    with search.connected() as client:
        try:
            client.get_run(folder.sent["run_id"])
        except MlflowException as error:
            if store.error_code(error) != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False  # the database is a new one
    return True
