"""Vector quantisation with a learned codebook."""

from math import log

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.core import distributed
from pipeline.models.bottlenecks.quantised import Quantised
from pipeline.models.config import VQConfig

DECAY = 0.99  # decay of the moving averages that are the codes
KMEANS_BATCHES = 10  # the first batches of a training, on which k-means sets the codes
# A code is unused if its average count per batch is below MIN_COUNT; with few encodings per code, if it is below
# MIN_COUNT_SHARE of an even share of the encodings.
MIN_COUNT, MIN_COUNT_SHARE = 2.0, 0.25


class VQ(Quantised):
    """Replaces each vector by the code in the nearest direction, in few dimensions (ViT-VQGAN, arXiv 2110.04627).

    Codes and encodings have length 1. In the first batches of a training, k-means over all encodings so far sets the
    codes. Then each code is a moving average of its encodings, and an unused code is moved onto an encoding (Jukebox,
    arXiv 2005.00341). The gradient is rotated from code to encoding (arXiv 2410.06424). Evaluation changes nothing.

    Ranks update the codebook with the global batch: if torch's generators have the same state on all ranks, the codes
    equal the codes of a single rank. Encodings that the next k-means needs are part of the `state_dict`.

    Penalties: commitment, the squared distance of an encoding to its code; usage, see `usage_penalty`; and
    encoding_variance, the scale of both.
    """

    gathered: Tensor

    def __init__(self, config: VQConfig, shape: tuple[int, ...]) -> None:
        super().__init__(config.dim, config.codes, config.prior_width, shape)
        # This import takes two seconds, and only quantisers need it.
        from vector_quantize_pytorch import VectorQuantize
        from vector_quantize_pytorch.vector_quantize_pytorch import noop

        self.quantiser = VectorQuantize(
            config.dim,
            config.codes,
            decay=DECAY,
            use_cosine_sim=True,
            rotation_trick=True,
            commitment_weight=0.0,  # the loss block weights it
            sync_codebook=False,  # it gets the global batch
        )
        # The library's own k-means is not used, but would wait for the device at every step.
        self.quantiser._codebook.init_embed_ = noop
        self.register_buffer("gathered", torch.zeros((), dtype=torch.long))
        self.batches = 0  # the value of `gathered`, readable without waiting for the device
        self.encodings: list[Tensor] = []  # encodings of the first batches

    def get_extra_state(self) -> Tensor:
        """(vectors, dim) encodings of the first batches, while k-means needs them."""
        return torch.cat([self.codes()[:0], *self.encodings])

    def set_extra_state(self, state: Tensor) -> None:
        """See `get_extra_state`. Torch calls this after it has loaded the buffers."""
        self.encodings = [state.to(self.codes())] if len(state) else []
        self.batches = int(self.gathered)

    def codes(self) -> Tensor:
        """See `Quantised.codes`."""
        return self.quantiser.codebook

    # Not compiled: counting batches and moving codes would recompile it at each of the first steps. The public
    # torch.compiler.disable does the same, but imports the compiler in every program that imports a model.
    @torch._disable_dynamo  # type: ignore[attr-defined]
    def look_up(self, vectors: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """See `Quantised.look_up`."""
        encodings = functional.normalize(vectors, dim=-1)
        detached = encodings.detach()
        if self.training:  # in evaluation each rank has its own batches
            detached = distributed.global_batch(detached)
            if self.batches < KMEANS_BATCHES:
                self._run_kmeans(detached.flatten(0, 1))
        quantised, indices, _ = self.quantiser(encodings, freeze_codebook=True)
        if self.training:
            self._update_codes(detached, distributed.global_batch(indices))
        penalties = {
            "commitment": (encodings - quantised.detach()).square().sum(-1).mean(),
            "usage": usage_penalty(encodings.flatten(0, 1), self.codes(), over_ranks=self.training),
            "encoding_variance": detached.flatten(0, 1).var(0, correction=0).sum(),
        }
        return quantised, indices, penalties

    @torch.no_grad()
    def _run_kmeans(self, encodings: Tensor) -> None:
        """Set the codes by k-means over these encodings (vectors, dim) and all earlier ones."""
        from vector_quantize_pytorch.vector_quantize_pytorch import kmeans

        self.encodings.append(torch.nan_to_num(encodings, 0.0, 0.0, 0.0))  # a step with NaN must not spoil the others
        self.gathered += 1
        self.batches += 1
        means, sizes = kmeans(torch.cat(self.encodings)[None], len(self.codes()), use_cosine_sim=True)
        book = self.quantiser._codebook
        book.embed.copy_(means)
        book.cluster_size.copy_(sizes / self.batches)  # per batch
        book.embed_avg.copy_(means * book.cluster_size[..., None])
        self._broadcast_codes()
        if self.batches == KMEANS_BATCHES:
            self.encodings = []

    @torch.no_grad()
    def _update_codes(self, encodings: Tensor, indices: Tensor) -> None:
        """Move each code towards its encodings, and each unused code onto a random encoding.

        Encodings (B, positions, dim) and the indices (B, positions) of their codes cover the global batch.
        """
        self.quantiser.update_indices(encodings, indices)
        # The library also replaces unused codes, but waits for the device to do so.
        book, encodings = self.quantiser._codebook, encodings.flatten(0, 1)
        number = len(encodings)
        unused = book.cluster_size < min(MIN_COUNT, MIN_COUNT_SHARE * number / len(self.codes()))  # (1, codes)
        rank = unused.cumsum(1) - 1  # numbers the unused codes: each gets another encoding
        moved = unused & (rank < number)
        drawn = encodings[torch.randperm(number, device=encodings.device)[rank.clamp(0, number - 1)]]
        book.embed.copy_(torch.where(moved[..., None], drawn, book.embed))
        book.embed_avg.copy_(torch.where(moved[..., None], MIN_COUNT * drawn, book.embed_avg))
        book.cluster_size.masked_fill_(moved, MIN_COUNT)
        self._broadcast_codes()

    def _broadcast_codes(self) -> None:
        """Make the codes equal on all ranks: sums in a different order differ in the last bit and drift apart."""
        book = self.quantiser._codebook
        distributed.broadcast_(book.embed, book.embed_avg, book.cluster_size)


def usage_penalty(encodings: Tensor, codes: Tensor, over_ranks: bool = False) -> Tensor:
    """How unevenly a batch uses the codes: 0 if all are used equally, 1 if a single code is used.

    It is 1 - H / log K, where H is the entropy of the mean soft assignment. The soft assignment comes from a mixture of
    Gaussians around the codes, with the variance of the encodings around their nearest codes. Encodings (vectors, dim)
    and codes (codes, dim) have length 1. With `over_ranks`, means are over the batches of all ranks.
    """
    squared = 2 - 2 * encodings @ codes.T
    variance = squared.detach().amin(1).mean()
    variance = (distributed.all_reduce_mean(variance) if over_ranks else variance).clamp_min(1e-6)
    assignment = (-0.5 * squared / variance).softmax(1).mean(0)
    assignment = distributed.all_reduce_mean(assignment) if over_ranks else assignment
    entropy = torch.special.entr(assignment.clamp_min(1e-9)).sum()  # the slope at 0 is infinite
    return 1 - entropy / log(len(codes))
