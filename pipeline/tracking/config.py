"""Schema of the section `tracking`."""

import warnings

from pydantic import Field, field_validator

from pipeline.core.params import Section

with warnings.catch_warnings():
    # pydantic warns that the field `register` hides a method, which only abstract base classes use.
    warnings.filterwarnings("ignore", 'Field name "register"', UserWarning)

    class TrackingConfig(Section):
        """Records in MLflow. No result depends on them."""

        enabled: bool = Field(True, description="record at MLFLOW_TRACKING_URI, or in mlflow.db of the project")
        # MLflow has room for 256 characters, and the reports' experiment adds "-reports".
        experiment: str = Field(
            "melisma",
            max_length=200,
            description="MLflow experiment of the runs; created if missing",
        )
        register: bool = Field(
            False, description="at evaluation, make the variant's model a version of the registered model of its name"
        )

        @field_validator("experiment")
        @classmethod
        def _is_a_line(cls, name: str) -> str:
            if not name.strip() or any(ord(char) < ord(" ") for char in name):
                raise ValueError("Input should be a name, without line breaks")
            return name
