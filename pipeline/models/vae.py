"""Encoder, bottleneck and decoder put together, and what one can do with them."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from pipeline.models.bottlenecks import BOTTLENECKS, Bottleneck, Code
from pipeline.models.condition import Condition
from pipeline.models.config import BottleneckConfig, ConditionConfig, NetworkConfig
from pipeline.models.gain import WindowGain
from pipeline.models.latents import between
from pipeline.models.networks import NETWORKS
from pipeline.models.signal import Signal


class VAE(nn.Module):
    """x -> encoder -> bottleneck -> decoder -> x, on the data's scale.

    Inputs and reconstructions are (B, 1, *shape): a mel spectrogram in [0, 1] or a waveform in [-1, 1]. Labels are (B,)
    indices into `labels`; a model without a condition takes them and does not look. Skip connections, where the network
    has them, go past the latent: whatever starts from a window takes them along (and blends them on the way between
    two), so that it agrees with the reconstruction; what starts from a latent alone has none.
    """

    def __init__(
        self,
        encoder: nn.Module,
        bottleneck: Bottleneck,
        decoder: nn.Module,
        level: WindowGain,
        condition: Condition | None = None,
        labels: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.bottleneck = bottleneck
        self.decoder = decoder
        self.level = level
        self.condition = condition
        self.labels = labels

    @property
    def latent_dims(self) -> int:
        """Numbers in the latent code of a window."""
        return self.bottleneck.latent_dims

    def encode(self, x: Tensor, noise: Tensor | None = None, label: Tensor | None = None) -> Code:
        """The posterior of each window; z is drawn with `noise` (B, latent_dims), or is the mean without it."""
        return self._encode(x, noise, label)[0]

    def decode(self, z: Tensor, label: Tensor | None = None, level: Tensor | None = None) -> Tensor:
        """Latents (B, latent_dims) to windows; `level` is their code's, or a typical one."""
        return self._decode(z, [], label, level)

    def forward(self, x: Tensor, noise: Tensor | None = None, label: Tensor | None = None) -> tuple[Tensor, Code]:
        """Reconstruction and code."""
        code, skips = self._encode(x, noise, label)
        return self._decode(code.z, skips, label, code.level), code

    def reconstruct(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Windows from the posterior's mean."""
        y: Tensor = self(x, None, label)[0]
        return y

    def sample(self, number: int, generator: torch.Generator, label: Tensor | None = None) -> Tensor:
        """`number` windows from the prior; the draw is the generator's, wherever the model is."""
        z = self.bottleneck.prior(number, generator)
        return self.decode(z.to(next(self.buffers()).device), label)

    def interpolate(
        self, a: Tensor, b: Tensor, steps: int, mode: str = "linear", label: Tensor | None = None
    ) -> Tensor:
        """The way from window `a` to window `b`, both (1, *shape), as (steps, 1, *shape); the ends are reconstructions.

        Args:
            a: the first window.
            b: the last one.
            steps: windows on the way, both ends among them.
            mode: linear, or slerp along the arc between the latents; both where the prior is standard normal.
            label: (2,) of a and b, for a model with a condition: it changes half-way.

        Raises:
            ValueError: no such mode, or fewer than two steps.
        """
        code, skips = self._encode(torch.stack((a, b)), None, label)
        ends = self.bottleneck.whiten(code.mean)
        z = self.bottleneck.quantise(self.bottleneck.colour(between(ends[0], ends[1], steps, mode)))
        share = torch.linspace(0, 1, steps, device=z.device)

        def along(ends: Tensor) -> Tensor:
            return ends[0].lerp(ends[1], share.reshape(-1, *[1] * (ends.dim() - 1)))

        level = None if code.level is None else along(code.level)
        labels = None if label is None else label[(share > 0.5).long()]
        return self._decode(z, [along(skip) for skip in skips], labels, level)

    def perturb(self, x: Tensor, scale: float, generator: torch.Generator, label: Tensor | None = None) -> Tensor:
        """Windows whose latents were moved at random by `scale` times the spread of the latents over the data."""
        code, skips = self._encode(x, None, label)
        noise = torch.randn(code.mean.shape, generator=generator, device=generator.device).to(x.device)
        moved = code.mean + scale * self.bottleneck.latent_std() * noise
        return self._decode(self.bottleneck.quantise(moved), skips, label, code.level)

    def transfer(self, x: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """Windows encoded as of label `source` and decoded as of label `target`, both (B,).

        Raises:
            ValueError: the model has no condition.
        """
        if self.condition is None:
            raise ValueError("this variant knows no labels: transfer needs a block `condition`")
        code, skips = self._encode(x, None, source)
        return self._decode(code.mean, skips, target, code.level)

    def fit_condition(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Show the condition, where there is one, the train split's windows (B, 1, *shape) and their labels (B,)."""
        if self.condition is not None:
            levels = ((x, label, self.level(x)) for x, label in batches)
            self.condition.fit((x if level is None else x / level, label) for x, label, level in levels)

    def _encode(self, x: Tensor, noise: Tensor | None, label: Tensor | None) -> tuple[Code, list[Tensor]]:
        level = self.level(x)
        x = x if level is None else x / level
        x = x if self.condition is None else self.condition.before_encoder(x, label)
        features, *skips = self.encoder(x)
        features = features if self.condition is None else self.condition.after_encoder(features, label)
        return replace(self.bottleneck.encode(features, noise), level=level), skips

    def _decode(self, z: Tensor, skips: list[Tensor], label: Tensor | None, level: Tensor | None) -> Tensor:
        features = self.bottleneck.decode(z)
        features = features if self.condition is None else self.condition.before_decoder(features, label)
        y: Tensor = self.decoder([features, *skips])
        y = y if self.condition is None else self.condition.after_decoder(y, label)
        return self.level.undo(y, level)


def build(description: dict[str, Any]) -> VAE:
    """A new model from its description, as config.json holds it.

    Args:
        description: network, bottleneck, scaling, condition and labels (the last three may be left out), and what
            `Signal.of` takes: kind, shape, stats and representation.
    """
    network = TypeAdapter(NetworkConfig).validate_python(description["network"])
    bottleneck = TypeAdapter(BottleneckConfig).validate_python(description["bottleneck"])
    chosen = description.get("condition")
    signal = Signal.of(description)
    level = WindowGain(description.get("scaling", "none"), signal)
    labels = tuple(description.get("labels", ()))
    encoder_class, decoder_class = NETWORKS[network.type]
    encoder = encoder_class(network, level.signal)
    features: tuple[int, ...] = encoder.shape  # type: ignore[assignment]
    middle = BOTTLENECKS[bottleneck.type](bottleneck, features)
    condition = None
    if chosen is not None:
        condition = Condition(ConditionConfig.model_validate(chosen), level.signal, features, len(labels))
    return VAE(encoder, middle, decoder_class(network, level.signal), level, condition, labels)
