"""An autoregressive prior over the codes of a quantiser."""

import torch
from torch import Tensor, nn
from torch.nn import functional

LOGIT_SCALE = 10.0  # of products of vectors of length 1, so that likely codes differ from unlikely ones early


class CodePrior(nn.Module):
    """A GRU that predicts each code of a window from the earlier ones, in the order of time, for any length.

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
        self.recurrent = nn.GRU(width, width, batch_first=True)
        self.logits = nn.Linear(width, codes)
        self.direction = nn.Linear(width, dim)

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
        state: Tensor | None = None
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
        self, before: Tensor, frame_before: Tensor, place: Tensor, state: Tensor | None, codes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits (B, positions, codes) of the next codes, and the GRU state after the last position.

        Args:
            before: (B, positions) indices of the previous codes.
            frame_before: (B, positions) indices of the codes at the same place of the previous frame.
            place: (positions,) within the frame.
            state: (1, B, width) of the GRU; None at the start of a window.
            codes: the codebook.
        """
        codes = codes.detach()
        padded = functional.pad(codes, (0, 0, 0, 1))
        inputs = self.before(before) + self.frame_before(frame_before) + self.place(place)
        inputs = inputs + self.vectors(torch.cat([padded[before], padded[frame_before]], dim=-1))
        hidden, state = self.recurrent(inputs, state)
        return self.logits(hidden) + LOGIT_SCALE * self.direction(hidden) @ codes.T, state
