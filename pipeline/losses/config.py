"""Schema of a variant's `loss` block."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.params import Strict


class ReconstructionConfig(Strict):
    """How the distance of a reconstruction from its original becomes nats per window."""

    type: Literal["gaussian", "mse", "l1", "bce"] = "gaussian"
    sigma: Annotated[float, Field(gt=0)] | Literal["optimal"] = Field(
        "optimal", description="gaussian only: its scale, or fitted to each batch"
    )


class KLConfig(Strict):
    """The KL term and how its weight grows."""

    beta: float = Field(1.0, ge=0, description="final weight, against the likelihood summed over the window's values")
    estimator: Literal["analytic", "monte_carlo"] = "analytic"
    schedule: Literal["constant", "linear"] = "linear"
    warmup: float = Field(0.3, ge=0, le=1, description="share of the epochs over which a linear schedule rises from 0")


class LossConfig(Strict):
    """What a variant minimises."""

    reconstruction: ReconstructionConfig = ReconstructionConfig()
    kl: KLConfig = KLConfig()
