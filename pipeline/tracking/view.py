"""How the UI shows the runs of an experiment: a view of its own, stored beside them, with what people compare."""

import json
from typing import TYPE_CHECKING

from pipeline.core.params import read_section
from pipeline.tracking import store
from pipeline.tracking.config import TrackingConfig

if TYPE_CHECKING:
    from mlflow import MlflowClient

NAME = "melisma"
TAG = f"mlflow.sharedViewState.{NAME}"  # where MLflow's button "Share" puts what is seen, as JSON
COLUMNS = (
    "tags.`variant`",
    "tags.`dvc.exp_name`",
    "metrics.`test/mel_mse`",
    "metrics.`test/mse`",
    "metrics.`test/cosine_similarity`",
    "metrics.`test/kl`",
    "metrics.`test/probe_accuracy`",
    "tags.`collapsed`",
    "metrics.`test/parameters`",
)
STATE = {
    "searchFilter": "",
    "orderByKey": "attributes.start_time",
    "orderByAsc": False,
    "selectedColumns": ["attributes.`Created`", *COLUMNS],  # a run lasts from training to the last picture
}


def fragment(client: "MlflowClient") -> str:
    """What to append to the server's address for the runs of params.yaml's experiment, which this creates if need be.

    The UI's part for agents, which it opens on, has no list of models; other views stay a click away.
    """
    number = store.experiment(client, read_section(TrackingConfig, "tracking").experiment)
    state = json.dumps(STATE)
    if client.get_experiment(number).tags.get(TAG) != state:
        client.set_experiment_tag(number, TAG, state)
    return f"/#/experiments/{number}/runs?workflowType=machine_learning&viewStateShareKey={NAME}"
