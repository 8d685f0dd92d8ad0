"""Schema of the `tracking` section."""

from pipeline.params import Strict


class TrackingConfig(Strict):
    """What goes to MLflow. Never part of a result, so no stage is run again for it."""

    enabled: bool = True
    experiment: str = "melisma"
