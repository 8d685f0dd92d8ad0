"""Schema of the `figures` section."""

from pydantic import Field

from pipeline.core.params import Section


class FiguresConfig(Section):
    """Pictures, animations and audio."""

    dpi: int = Field(110, ge=50, le=400, description="dots per inch of the pictures; animations have 80 at most")
