"""Schema of the `tracking` section."""

from pipeline.params import Strict


class TrackingConfig(Strict):
    """What goes to MLflow. No result depends on it."""

    enabled: bool = True
    experiment: str = "melisma"
