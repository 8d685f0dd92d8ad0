"""The base class of quantisers: a code per position of the features, and a learned prior over the codes."""

from abc import abstractmethod
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.bottlenecks.base import Bottleneck, Code

LSTMState = tuple[Tensor, Tensor]  # (1, B, width) each
LOGIT_SCALE = 10.0  # factor on products of vectors of length 1: likely and unlikely codes differ early


class Quantised(Bottleneck):
    """Projects the features to a vector per position and replaces each vector by a code (VQ-VAE, arXiv 1711.00937).

    The posterior is a point, so the KL is exact: -log p(codes) under the prior. The prior is trained at the same time,
    and its gradient does not reach the encoder. Positions are ordered by time; the positions of one frame are adjacent.
    """

    def __init__(self, dim: int, codebook_size: int, prior_width: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        channels, *places, frames = shape
        self.channels, self.grid = channels, (frames, *places)
        self.frames = frames
        self.dim, self.positions, self.codebook_size = dim, prod(self.grid), codebook_size
        self.latent_dims = dim * self.positions
        self.to_code = nn.Conv1d(channels, dim, 1)
        self.from_code = nn.Conv1d(dim, channels, 1)
        self.code_prior = CodePrior(codebook_size, dim, prod(places), prior_width)

    @abstractmethod
    def codes(self) -> Tensor:
        """The codebook, (codes, dim)."""

    @abstractmethod
    def look_up(self, vectors: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Codes (B, positions, dim) of vectors, with a gradient; their indices (B, positions); penalties."""

    def encode(self, features: Tensor, noise: Tensor | None = None) -> Code:
        """See `Bottleneck.encode`."""
        vectors = self.to_code(features.movedim(-1, 2).flatten(2)).movedim(1, 2)
        with torch.autocast(vectors.device.type, enabled=False):
            quantised, indices, penalties = self.look_up(vectors.float())
            kl = self.code_prior(indices, self.codes())
        z = quantised.movedim(2, 1).flatten(1)
        return Code(z, z, kl=kl, indices=indices, penalties=penalties)

    def decode(self, z: Tensor) -> Tensor:
        """See `Bottleneck.decode`."""
        features: Tensor = self.from_code(z.reshape(len(z), self.dim, self.positions))
        return features.reshape(len(z), self.channels, *self.grid).movedim(2, -1)

    def by_frame(self, z: Tensor) -> Tensor:
        """See `Bottleneck.by_frame`."""
        return z.reshape(len(z), self.dim, *self.grid).movedim(2, -1).flatten(1, -2)

    def sample_prior(self, number: int, generator: torch.Generator) -> Tensor:
        """See `Bottleneck.sample_prior`."""
        indices = self.code_prior.sample(number, self.positions, self.codes(), generator)
        return self.latents(indices.to(self.codes().device)).to(generator.device)

    def latents(self, indices: Tensor) -> Tensor:
        """Latents (B, latent_dims) of the codes at `indices` (B, positions)."""
        return self.codes()[indices].movedim(2, 1).flatten(1)

    def quantise(self, z: Tensor) -> Tensor:
        """See `Bottleneck.quantise`."""
        vectors = z.reshape(len(z), self.dim, self.positions).movedim(1, 2)
        return self.latents(torch.cdist(vectors, self.codes().expand(len(z), -1, -1)).argmin(-1))

    def latent_std(self) -> Tensor:
        """See `Bottleneck.latent_std`: of the codebook, with equal weight for each code."""
        return self.codes().std(0, correction=0).repeat_interleave(self.positions)


class CodePrior(nn.Module):
    """An LSTM that predicts each code of a window from the earlier ones, in the order of time, for any length.

    Its input is the place within the frame, the previous code, and the code at the same place of the previous frame. It
    sees the code vectors as well as their indices, so that it need not relearn a code whose vector has moved. In its
    methods, `codes` is the codebook (codes, dim), which gets no gradient.
    """

    def __init__(self, codes: int, dim: int, places: int, width: int) -> None:
        super().__init__()
        self.codes, self.places = codes, places  # `places` are the positions of a frame: 1 for a waveform
        # The index after the last code stands for "before the first position".
        self.before = nn.Embedding(codes + 1, width)
        self.frame_before = nn.Embedding(codes + 1, width)
        self.place = nn.Embedding(places, width)
        self.vectors = nn.Linear(2 * dim, width, bias=False)
        self.recurrent = nn.LSTM(width, width, batch_first=True)
        self.logits = nn.Linear(width, codes)
        self.direction = nn.Linear(width, dim)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """For a copy: cuDNN wants the LSTM's weights in one piece of memory, or it gathers them at every call."""
        super().__setstate__(state)
        self.recurrent.flatten_parameters()

    def forward(self, indices: Tensor, codes: Tensor) -> Tensor:
        """(B, positions) nats: -log p of each code given the earlier ones, for indices (B, positions)."""
        number = indices.shape[1]
        before, frame_before = (
            functional.pad(indices, (lag, 0), value=self.codes)[:, :number] for lag in (1, self.places)
        )
        place = torch.arange(number, device=indices.device) % self.places
        logits = self.step(before, frame_before, place, None, codes)[0]
        return functional.cross_entropy(logits.transpose(1, 2), indices, reduction="none")

    @torch.no_grad()
    def sample(self, number: int, positions: int, codes: Tensor, generator: torch.Generator) -> Tensor:
        """(number, positions) indices, each drawn given the earlier ones, on the generator's device."""
        device = self.logits.weight.device
        nothing = torch.full((number, 1), self.codes, device=generator.device)
        drawn: list[Tensor] = []
        state: LSTMState | None = None
        for position in range(positions):
            before, frame_before = (
                (drawn[-lag] if position >= lag else nothing).to(device) for lag in (1, self.places)
            )
            place = torch.tensor([position % self.places], device=device)
            logits, state = self.step(before, frame_before, place, state, codes)
            probabilities = logits[:, 0].softmax(-1).to(generator.device)
            drawn.append(torch.multinomial(probabilities, 1, generator=generator))
        return torch.cat(drawn, dim=1)

    def step(
        self, before: Tensor, frame_before: Tensor, place: Tensor, state: LSTMState | None, codes: Tensor
    ) -> tuple[Tensor, LSTMState]:
        """Logits (B, positions, codes) of the next codes, and the state after the last position.

        `before` and `frame_before` are (B, positions) indices of the previous codes, and of the codes at the same place
        of the previous frame. `place` is (positions,). `state` is None at the start of a window.
        """
        codes = codes.detach()
        padded = functional.pad(codes, (0, 0, 0, 1))
        inputs = self.before(before) + self.frame_before(frame_before) + self.place(place)
        inputs = inputs + self.vectors(torch.cat([padded[before], padded[frame_before]], dim=-1))
        hidden, state = self.recurrent(inputs, state)
        return self.logits(hidden) + LOGIT_SCALE * self.direction(hidden) @ codes.T, state
