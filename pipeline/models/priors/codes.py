"""A prior over the codes of a quantiser: each code given the earlier ones."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class CodePrior(nn.Module):
    """A gated recurrent network over the codes of a window, in their order in time.

    Of any length: what it knows of a position is the place within its frame, the code before it and the one at the same
    place of the frame before.

    Args:
        codes: number of codes.
        places: positions that share a frame; 1 for a waveform.
        width: of the embeddings and the recurrent state.
    """

    def __init__(self, codes: int, places: int, width: int) -> None:
        super().__init__()
        self.codes, self.places = codes, places
        # One row more than there are codes: it stands for what lies before the first one.
        self.before = nn.Embedding(codes + 1, width)
        self.frame_before = nn.Embedding(codes + 1, width)
        self.place = nn.Embedding(places, width)
        self.recurrent = nn.GRU(width, width, batch_first=True)
        self.logits = nn.Linear(width, codes)

    def forward(self, indices: Tensor) -> Tensor:
        """(B, positions) nats, -log p of each code given the earlier ones, of (B, positions) indices."""
        number = indices.shape[1]
        before, frame_before = (
            functional.pad(indices, (lag, 0), value=self.codes)[:, :number] for lag in (1, self.places)
        )
        place = torch.arange(number, device=indices.device) % self.places
        logits = self._step(before, frame_before, place, None)[0]
        return functional.cross_entropy(logits.transpose(1, 2), indices, reduction="none")

    @torch.no_grad()
    def sample(self, number: int, positions: int, generator: torch.Generator) -> Tensor:
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
            logits, state = self._step(before, frame_before, place, state)
            chances = logits[:, 0].softmax(-1).to(generator.device)
            drawn.append(torch.multinomial(chances, 1, generator=generator))
        return torch.cat(drawn, dim=1)

    def _step(self, before: Tensor, frame_before: Tensor, place: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, positions, codes) logits and the state after the last position."""
        known = self.before(before) + self.frame_before(frame_before) + self.place(place)
        hidden, state = self.recurrent(known, state)
        return self.logits(hidden), state
