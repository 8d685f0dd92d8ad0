"""A prior over the codes of a quantiser: each code given the earlier ones."""

import torch
from torch import Tensor, nn
from torch.nn import functional

SHARPNESS = 10.0  # of logits: what lets directions of length 1 tell likely codes from others soon


class CodePrior(nn.Module):
    """A gated recurrent network over the codes of a window, in their order in time.

    Of any length: what it knows of a position is the place within its frame, the code before it and the one at the same
    place of the frame before. It looks at the codes themselves as well as at their numbers, so that it need not learn
    anew what a code means that was moved.

    Args:
        codes: number of codes.
        dim: numbers in a code.
        places: positions that share a frame; 1 for a waveform.
        width: of the embeddings and the recurrent state.
    """

    def __init__(self, codes: int, dim: int, places: int, width: int) -> None:
        super().__init__()
        self.codes, self.places = codes, places
        # One row more than there are codes: it stands for what lies before the first one.
        self.before = nn.Embedding(codes + 1, width)
        self.frame_before = nn.Embedding(codes + 1, width)
        self.place = nn.Embedding(places, width)
        self.vectors = nn.Linear(2 * dim, width, bias=False)
        self.recurrent = nn.GRU(width, width, batch_first=True)
        self.logits = nn.Linear(width, codes)
        self.direction = nn.Linear(width, dim)

    def forward(self, indices: Tensor, codes: Tensor) -> Tensor:
        """(B, positions) nats, -log p of each code given the earlier ones.

        Args:
            indices: (B, positions).
            codes: (codes, dim) the codebook, which gets no gradient.
        """
        number = indices.shape[1]
        before, frame_before = (
            functional.pad(indices, (lag, 0), value=self.codes)[:, :number] for lag in (1, self.places)
        )
        place = torch.arange(number, device=indices.device) % self.places
        logits = self.step(before, frame_before, place, None, codes)[0]
        return functional.cross_entropy(logits.transpose(1, 2), indices, reduction="none")

    @torch.no_grad()
    def sample(self, number: int, positions: int, codes: Tensor, generator: torch.Generator) -> Tensor:
        """(number, positions) indices, each drawn given the earlier ones; on the generator's device."""
        device = self.logits.weight.device
        nothing = torch.full((number, 1), self.codes, device=generator.device)
        drawn: list[Tensor] = []
        state: Tensor | None = None
        for position in range(positions):
            before, frame_before = (
                (drawn[-lag] if position >= lag else nothing).to(device) for lag in (1, self.places)
            )
            place = torch.tensor([position % self.places], device=device)
            logits, state = self.step(before, frame_before, place, state, codes)
            chances = logits[:, 0].softmax(-1).to(generator.device)
            drawn.append(torch.multinomial(chances, 1, generator=generator))
        return torch.cat(drawn, dim=1)

    def step(
        self, before: Tensor, frame_before: Tensor, place: Tensor, state: Tensor | None, codes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, positions, codes) logits of the next codes, and the state after the last.

        Args:
            before: (B, positions) indices of the codes before; one past the last code stands for nothing.
            frame_before: (B, positions) likewise, of the codes at the same place of the frame before.
            place: (positions,) within the frame.
            state: (1, B, width) after the positions before these; None at the start of a window.
            codes: (codes, dim).
        """
        codes = codes.detach()
        padded = functional.pad(codes, (0, 0, 0, 1))
        known = self.before(before) + self.frame_before(frame_before) + self.place(place)
        known = known + self.vectors(torch.cat([padded[before], padded[frame_before]], dim=-1))
        hidden, state = self.recurrent(known, state)
        return self.logits(hidden) + SHARPNESS * self.direction(hidden) @ codes.T, state
