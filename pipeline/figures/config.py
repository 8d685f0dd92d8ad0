"""Schema of the `figures` section."""

from pydantic import Field

from pipeline.params import Strict


class FiguresConfig(Strict):
    """What people look at and listen to."""

    dpi: int = Field(110, ge=50, le=400)
    griffin_lim_iterations: int = Field(32, ge=1)
