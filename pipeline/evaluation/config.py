"""Schema of the `evaluate` section."""

from pydantic import Field

from pipeline.params import Strict


class EvaluateConfig(Strict):
    """How every variant is scored."""

    examples: int = Field(
        4, ge=1, description="test windows kept as arrays for figures and audio, of as many labels as there are"
    )
    samples: int = Field(4, ge=1, description="windows decoded from latents drawn from the prior")
    bootstrap: int = Field(1000, ge=10, description="resamples of the test tracks for a 95 % interval")
    batch_size: int = Field(64, ge=1)
