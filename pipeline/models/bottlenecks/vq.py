"""Vector quantisation with a learnt codebook."""

from math import log

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.models.bottlenecks.quantised import Quantised
from pipeline.models.config import VQConfig

DECAY = 0.99  # of the moving averages that the codes are
# Uses in a batch, averaged, below which a code is moved onto one of the batch's encodings: two, or where there are few
# encodings to a code, a quarter of what each would get if all were used evenly.
DEAD, DEAD_SHARE = 2.0, 0.25
BATCHES = 10  # the first ones, over which k-means sets the codes


class VQ(Quantised):
    """The nearest of `codes` learnt directions in few dimensions (ViT-VQGAN, arXiv 2110.04627).

    Codes and encodings are of length 1. The first batches of a training set the codes by k-means over all encodings
    that were seen until then; after that each code is a moving average of what it stands for, one that falls out of use
    is moved onto an encoding (Jukebox, arXiv 2005.00341), and the gradient is rotated from code to encoding (arXiv
    2410.06424). Evaluation changes nothing.

    Penalties: commitment, the squared distance of an encoding to its code; usage, see `unevenness`; and, for their
    scale, encoding_variance.
    """

    gathered: Tensor

    def __init__(self, config: VQConfig, shape: tuple[int, ...]) -> None:
        super().__init__(config.dim, config.codes, config.prior_width, shape)
        # Imported here: it takes two seconds, which no other bottleneck needs.
        from vector_quantize_pytorch import VectorQuantize

        self.quantiser = VectorQuantize(
            config.dim,
            config.codes,
            decay=DECAY,
            threshold_ema_dead_code=DEAD,
            use_cosine_sim=True,
            rotation_trick=True,
            commitment_weight=0.0,  # weighed by the loss block
        )
        self.register_buffer("gathered", torch.zeros((), dtype=torch.long))
        self.encodings: list[Tensor] = []  # of the first batches

    def codes(self) -> Tensor:
        """See `Quantised.codes`."""
        codes: Tensor = self.quantiser.codebook
        return codes

    def quantise(self, vectors: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """See `Quantised.quantise`."""
        encodings = functional.normalize(vectors, dim=-1)
        if self.training and self.gathered < BATCHES:
            self._cluster(encodings.detach().flatten(0, 1))
        flat = encodings.flatten(0, 1)
        self.quantiser._codebook.threshold_ema_dead_code = min(DEAD, DEAD_SHARE * len(flat) / len(self.codes()))
        quantised, indices, _ = self.quantiser(encodings)
        penalties = {
            "commitment": (encodings - quantised.detach()).square().sum(-1).mean(),
            "usage": unevenness(flat, self.codes()),
            "encoding_variance": flat.detach().var(0, correction=0).sum(),
        }
        return quantised, indices, penalties

    @torch.no_grad()
    def _cluster(self, encodings: Tensor) -> None:
        """Set the codes to the k-means of these (vectors, dim) and all earlier ones."""
        from vector_quantize_pytorch.vector_quantize_pytorch import kmeans

        self.encodings.append(encodings)
        self.gathered += 1
        means, sizes = kmeans(torch.cat(self.encodings)[None], len(self.codes()), use_cosine_sim=True)
        book = self.quantiser._codebook
        book.embed.copy_(means)
        book.cluster_size.copy_(sizes / len(self.encodings))  # per batch
        book.embed_avg.copy_(means * book.cluster_size[..., None])
        if self.gathered == BATCHES:
            self.encodings = []


def unevenness(encodings: Tensor, codes: Tensor) -> Tensor:
    """How unevenly a batch uses the codes: 0 when each is used as much, 1 when one of them is used alone.

    1 - H/log K of the mean of soft assignments, those of a mixture of Gaussians about the codes whose variance is the
    encodings' mean squared distance to their codes.

    Args:
        encodings: (vectors, dim) of length 1.
        codes: (codes, dim) likewise.
    """
    squared = 2 - 2 * encodings @ codes.T
    variance = squared.detach().amin(1).mean().clamp_min(1e-6)
    share = (-0.5 * squared / variance).softmax(1).mean(0)
    entropy = torch.special.entr(share.clamp_min(1e-9)).sum()  # its slope at 0 is infinite
    return 1 - entropy / log(len(codes))
