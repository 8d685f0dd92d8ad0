"""Schema of the `figures` section."""

from pydantic import Field

from pipeline.core.params import Section


class FiguresConfig(Section):
    """What people look at and listen to."""

    dpi: int = Field(110, ge=50, le=400, description="dots per inch of the pictures; animations have 80 at most")
