"""Schema of the section `tracking`."""

import warnings

from pydantic import Field

from pipeline.core.params import Section

with warnings.catch_warnings():
    # pydantic warns that the field `register` hides a method, which only abstract base classes use.
    warnings.filterwarnings("ignore", 'Field name "register"', UserWarning)

    class TrackingConfig(Section):
        """Records in MLflow. No result depends on them."""

        enabled: bool = Field(True, description="record at MLFLOW_TRACKING_URI, or in mlflow.db of the project")
        experiment: str = Field("melisma", description="MLflow experiment of the runs; created if missing")
        register: bool = Field(
            False, description="at evaluation, make the variant's model a version of the registered model of its name"
        )
