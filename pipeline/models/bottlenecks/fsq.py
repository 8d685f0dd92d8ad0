"""Finite scalar quantisation: codes on a fixed grid, so there is no learned codebook that could collapse."""

from math import prod

from torch import Tensor

from pipeline.models.bottlenecks.quantised import Quantised
from pipeline.models.config import FSQConfig


class FSQ(Quantised):
    """Each number of a vector is bounded and rounded to one of a few levels (Mentzer et al. 2023, arXiv 2309.15505).

    Codes lie in [-1, 1]. The codebook size is the product of the levels.
    """

    def __init__(self, config: FSQConfig, shape: tuple[int, ...]) -> None:
        super().__init__(len(config.levels), prod(config.levels), config.prior_width, shape)
        # This import takes two seconds, and only quantisers need it.
        from vector_quantize_pytorch import finite_scalar_quantization

        self.quantiser = finite_scalar_quantization.FSQ(config.levels)

    def codes(self) -> Tensor:
        """See `Quantised.codes`."""
        return self.quantiser.implicit_codebook

    def look_up(self, vectors: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """See `Quantised.look_up`."""
        quantised, indices = self.quantiser(vectors)
        return quantised, indices.long(), {}
