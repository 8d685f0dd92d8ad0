"""Schema of the `tracking` section."""

import warnings

from pydantic import Field

from pipeline.core.params import Section

with warnings.catch_warnings():
    # Every pydantic class inherits a method `register` for abstract base classes, which a field may hide.
    warnings.filterwarnings("ignore", 'Field name "register"', UserWarning)

    class TrackingConfig(Section):
        """What goes to MLflow. No result depends on it."""

        enabled: bool = Field(True, description="record at MLFLOW_TRACKING_URI, or in mlflow.db of the project")
        experiment: str = Field("melisma", description="of MLflow, that runs belong to; made where it is missing")
        register: bool = Field(
            False,
            description="whether a variant becomes a version of the registered model of its name when it is evaluated",
        )
