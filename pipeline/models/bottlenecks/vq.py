"""Vector quantisation with a learnt codebook."""

from collections.abc import Callable
from math import log

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.core import distributed
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

    The batch is the global one: with torch's own generators in the same state on all ranks, the codes are those of one
    rank, and the same on all. Encodings that wait for the next k-means are part of the `state_dict`.

    Penalties: commitment, the squared distance of an encoding to its code; usage, see `unevenness`; and, for their
    scale, encoding_variance.
    """

    gathered: Tensor

    def __init__(self, config: VQConfig, shape: tuple[int, ...]) -> None:
        super().__init__(config.dim, config.codes, config.prior_width, shape)
        # Imported here: it takes two seconds, which no other bottleneck needs.
        from vector_quantize_pytorch import VectorQuantize
        from vector_quantize_pytorch.vector_quantize_pytorch import noop

        self.quantiser = VectorQuantize(
            config.dim,
            config.codes,
            decay=DECAY,
            use_cosine_sim=True,
            rotation_trick=True,
            commitment_weight=0.0,  # weighed by the loss block
            sync_codebook=False,  # it is given the global batch
        )
        # The library's own k-means is not used, but asks the device at every step whether it is due.
        self.quantiser._codebook.init_embed_ = noop
        self.register_buffer("gathered", torch.zeros((), dtype=torch.long))
        self.batches = 0  # what `gathered` holds, without asking the device
        self.encodings: list[Tensor] = []  # of the first batches

    def get_extra_state(self) -> Tensor:
        """(vectors, dim) encodings of the first batches, as long as k-means needs them."""
        return torch.cat([self.codes()[:0], *self.encodings])

    def set_extra_state(self, state: Tensor) -> None:
        """See `get_extra_state`; called when the buffers are loaded."""
        self.encodings = [state.to(self.codes())] if len(state) else []
        self.batches = int(self.gathered)

    def codes(self) -> Tensor:
        """See `Quantised.codes`."""
        codes: Tensor = self.quantiser.codebook
        return codes

    # What counts batches and moves codes would be compiled anew at each of the first steps. torch.compiler.disable does
    # the same, but imports the compiler at once, for every program that imports a model.
    @torch._disable_dynamo  # type: ignore[attr-defined]
    def look_up(self, vectors: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """See `Quantised.look_up`."""
        encodings = functional.normalize(vectors, dim=-1)
        seen = encodings.detach()
        if self.training:  # in evaluation a rank has batches of its own
            seen = distributed.global_batch(seen)
            if self.batches < BATCHES:
                self._cluster(seen.flatten(0, 1))
        quantised, indices, _ = self.quantiser(encodings, freeze_codebook=True)
        if self.training:
            self._follow(seen, distributed.global_batch(indices))
        penalties = {
            "commitment": (encodings - quantised.detach()).square().sum(-1).mean(),
            "usage": unevenness(
                encodings.flatten(0, 1), self.codes(), distributed.all_reduce_mean if self.training else _own
            ),
            "encoding_variance": seen.flatten(0, 1).var(0, correction=0).sum(),
        }
        return quantised, indices, penalties

    @torch.no_grad()
    def _cluster(self, encodings: Tensor) -> None:
        """Set the codes to the k-means of these (vectors, dim) and all earlier ones."""
        from vector_quantize_pytorch.vector_quantize_pytorch import kmeans

        self.encodings.append(torch.nan_to_num(encodings, 0.0, 0.0, 0.0))  # a broken step must not spoil the others
        self.gathered += 1
        self.batches += 1
        means, sizes = kmeans(torch.cat(self.encodings)[None], len(self.codes()), use_cosine_sim=True)
        book = self.quantiser._codebook
        book.embed.copy_(means)
        book.cluster_size.copy_(sizes / self.batches)  # per batch
        book.embed_avg.copy_(means * book.cluster_size[..., None])
        self._agree()
        if self.batches == BATCHES:
            self.encodings = []

    @torch.no_grad()
    def _follow(self, encodings: Tensor, indices: Tensor) -> None:
        """Move each code towards what it stood for, and one out of use onto an encoding.

        Args:
            encodings: (B, positions, dim) of the global batch.
            indices: (B, positions) of their codes.
        """
        self.quantiser.update_indices(encodings, indices)
        # The library's own way to move codes asks the device which, and lets it wait.
        book, encodings = self.quantiser._codebook, encodings.flatten(0, 1)
        number, least = len(encodings), min(DEAD, DEAD_SHARE * len(encodings) / len(self.codes()))
        unused = book.cluster_size < least  # (1, codes)
        place = unused.cumsum(1) - 1  # of an unused code among them: each gets another encoding
        moved = unused & (place < number)
        drawn = encodings[torch.randperm(number, device=encodings.device)[place.clamp(0, number - 1)]]
        book.embed.copy_(torch.where(moved[..., None], drawn, book.embed))
        book.embed_avg.copy_(torch.where(moved[..., None], DEAD * drawn, book.embed_avg))
        book.cluster_size.masked_fill_(moved, DEAD)
        self._agree()

    def _agree(self) -> None:
        """The same codes on all ranks: sums in another order of the same numbers would let them drift apart."""
        book = self.quantiser._codebook
        distributed.broadcast_(book.embed, book.embed_avg, book.cluster_size)


def _own(x: Tensor) -> Tensor:
    return x


def unevenness(encodings: Tensor, codes: Tensor, mean: Callable[[Tensor], Tensor] = _own) -> Tensor:
    """How unevenly a batch uses the codes: 0 when each is used as much, 1 when one of them is used alone.

    1 - H/log K of the mean of soft assignments, those of a mixture of Gaussians about the codes whose variance is the
    encodings' mean squared distance to their codes.

    Args:
        encodings: (vectors, dim) of length 1.
        codes: (codes, dim) likewise.
        mean: over ranks, of a local mean.
    """
    squared = 2 - 2 * encodings @ codes.T
    variance = mean(squared.detach().amin(1).mean()).clamp_min(1e-6)
    share = mean((-0.5 * squared / variance).softmax(1).mean(0))
    entropy = torch.special.entr(share.clamp_min(1e-9)).sum()  # its slope at 0 is infinite
    return 1 - entropy / log(len(codes))
