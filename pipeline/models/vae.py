"""A variational autoencoder: encoder, bottleneck and decoder in one model."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from math import prod
from typing import Any, Self

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from pipeline.models.bottlenecks import BOTTLENECKS, Code
from pipeline.models.condition import Condition
from pipeline.models.config import BottleneckConfig, ConditionConfig, NetworkConfig
from pipeline.models.networks import NETWORKS
from pipeline.models.networks.refinement import Refinement
from pipeline.models.probabilistic_pca import TINY, ProbabilisticPCA
from pipeline.models.signal import Signal

MIN_GAIN = 1e-3  # -60 dB of full scale: silence is not amplified
STEP = 0.5  # of gradient descent; 1 reaches the minimum if the network adds nothing and the bottleneck is the identity
PEAK_STD = 0.25  # typical standard deviation of music with a peak of 1


class WindowGain(nn.Module):
    """Divides each waveform window by its own gain before the encoder; the decoder's output is multiplied by it.

    The gain of a window is stored beside the latent and is not counted in `latent_dims`. Samples from the prior get the
    typical gain of the train split. `scaling` is none, peak (the peak becomes 1) or rms (the root mean square becomes
    1). `self.signal` is the signal of the scaled windows.
    """

    typical: Tensor

    def __init__(self, scaling: str, signal: Signal) -> None:
        super().__init__()
        self.scaling = scaling
        std = float(torch.as_tensor(signal.std).mean())
        scaled_std = {"none": std, "rms": 1.0, "peak": PEAK_STD}[scaling]
        self.signal = signal if scaling == "none" else replace(signal, mean=0.0, std=scaled_std)
        self.register_buffer("typical", torch.tensor(1.0 if scaling == "none" else std / scaled_std), persistent=False)

    def forward(self, x: Tensor) -> Tensor | None:
        """The gains (B, 1, 1) of windows (B, 1, samples); None without scaling."""
        if self.scaling == "none":
            return None
        gain = x.abs().amax(-1, keepdim=True) if self.scaling == "peak" else x.square().mean(-1, keepdim=True).sqrt()
        return gain.clamp_min(MIN_GAIN)

    def undo(self, y: Tensor, gain: Tensor | None) -> Tensor:
        """Windows multiplied by their gain, or by the typical one if it is None."""
        if self.scaling == "none":
            return y
        return y * (self.typical if gain is None else gain)


class VAE(nn.Module):
    """x -> encoder -> bottleneck -> decoder -> reconstruction, on the scale of the data.

    It is built from its description, the content of config.json: network, bottleneck, optionally scaling, condition and
    labels, and the keys of `Signal.from_description`.

    Windows are (B, 1, *shape): mel spectrograms in [0, 1] or waveforms in [-1, 1]. Labels are (B,) indices into
    `labels`; a model without a condition ignores them. Skip connections go past the latent: reconstructions and edits
    of a window use them, windows that are decoded from a latent alone do not.
    """

    def __init__(self, description: dict[str, Any]) -> None:
        super().__init__()
        self.description = description
        network = TypeAdapter(NetworkConfig).validate_python(description["network"])
        bottleneck = TypeAdapter(BottleneckConfig).validate_python(description["bottleneck"])
        gain = WindowGain(description.get("scaling", "none"), Signal.from_description(description))
        self.labels = tuple(description.get("labels", ()))
        # The order of the constructors decides which random numbers each part gets.
        encoder_class, decoder_class = (Refinement, Refinement) if network.components else NETWORKS[network.type]
        encoder = encoder_class(network, gain.signal)
        shape: tuple[int, ...] = encoder.shape  # type: ignore[assignment]
        self.is_inverse = bool(network.components) and network.encoder == "inverse"
        self.encoder = nn.Identity() if self.is_inverse else encoder
        components = None
        if network.components:
            patch = window = gain.signal.shape
            if getattr(bottleneck, "layout", "sequence") == "sequence":
                positions = (1,) * (len(window) + 1 - len(shape)) + shape[1:]  # fc has frames of whole columns
                patch = tuple(network.patch_length(*axis) for axis in zip(window, positions, strict=True))
            components = ProbabilisticPCA(network.components, window, patch)
            shape = components.shape
        self.bottleneck = BOTTLENECKS[bottleneck.type](bottleneck, shape)
        condition = None
        if description.get("condition") is not None:
            config = ConditionConfig.model_validate(description["condition"])
            condition = Condition(config, gain.signal, shape, len(self.labels))
        self.decoder = decoder_class(network, gain.signal)
        # Last: a checkpoint holds the parameters in this order.
        self.gain, self.condition, self.components = gain, condition, components

    def for_shape(self, shape: tuple[int, ...]) -> Self:
        """A model with the same weights, which both share, for windows of another shape.

        RuntimeError if a weight depends on the shape.
        """
        other = type(self)(self.description | {"shape": shape})
        other.load_state_dict(self.state_dict(keep_vars=True), assign=True)
        return other

    @property
    def latent_dims(self) -> int:
        """Numbers in the latent of a window."""
        return self.bottleneck.latent_dims

    def encode(self, x: Tensor, noise: Tensor | None = None, label: Tensor | None = None) -> Code:
        """The posterior of each window. z is drawn with `noise` (B, latent_dims), or is the posterior mean without."""
        return self._encode(x, noise, label)[0]

    def decode(self, z: Tensor, label: Tensor | None = None, gain: Tensor | None = None) -> Tensor:
        """Windows of latents (B, latent_dims), with the given gain (B, 1, 1) or the typical one."""
        return self._decode(z, [], label, gain)

    def forward(self, x: Tensor, noise: Tensor | None = None, label: Tensor | None = None) -> tuple[Tensor, Code]:
        """Reconstruction and code; see `encode`."""
        return self.reconstruct_draws(x, [noise], label)[0]

    def reconstruct_draws(
        self, x: Tensor, noises: Iterable[Tensor | None], label: Tensor | None = None
    ) -> list[tuple[Tensor, Code]]:
        """`forward` with each noise; the encoder runs once."""
        features, skips, gain = self._features(x, label)
        codes = [replace(self._code(features, noise, label), gain=gain) for noise in noises]
        return [(self._decode(code.z, skips, label, gain), code) for code in codes]

    def reconstruct(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Reconstructions from the posterior mean."""
        return self(x, None, label)[0]

    def project(self, x: Tensor, label: Tensor | None = None) -> Tensor | None:
        """The closest windows by the components alone; None unless the latent has one number for each coordinate."""
        if self.components is None or prod(self.components.shape) != self.latent_dims:
            return None
        x, gain = self._input(x, label)
        y = self.components.project(x)
        y = y if self.condition is None else self.condition.after_decoder(y, label)
        return self.gain.undo(y, gain)

    def sample(self, number: int, generator: torch.Generator, label: Tensor | None = None) -> Tensor:
        """`number` windows from the prior. The generator alone determines the latents, on any device."""
        z = self.bottleneck.sample_prior(number, generator)
        return self.decode(z.to(next(self.buffers()).device), label)

    def interpolate(
        self, a: Tensor, b: Tensor, steps: int, mode: str = "linear", label: Tensor | None = None
    ) -> Tensor:
        """Windows (steps, 1, *shape) from the reconstruction of `a` (1, *shape) to the reconstruction of `b`.

        The latents are interpolated in coordinates in which the prior is standard normal, see `interpolate_latents`.
        With a condition, `label` (2,) are the labels of `a` and `b`; the label changes half-way.
        """
        code, skips = self._encode(torch.stack((a, b)), None, label)
        first, last = self.bottleneck.whiten(code.mean)
        z = self.bottleneck.quantise(self.bottleneck.unwhiten(interpolate_latents(first, last, steps, mode)))
        share = torch.linspace(0, 1, steps, device=z.device)

        def blend(pair: Tensor) -> Tensor:
            return pair[0].lerp(pair[1], share.reshape(-1, *[1] * (pair.dim() - 1)))

        gain = None if code.gain is None else blend(code.gain)
        labels = None if label is None else label[(share > 0.5).long()]
        return self._decode(z, [blend(skip) for skip in skips], labels, gain)

    def perturb(self, x: Tensor, scale: float, generator: torch.Generator, label: Tensor | None = None) -> Tensor:
        """Windows whose latents get normal noise of `scale` times the latents' standard deviation over the data."""
        code, skips = self._encode(x, None, label)
        noise = torch.randn(code.mean.shape, generator=generator, device=generator.device).to(x.device)
        z = code.mean + scale * self.bottleneck.latent_std() * noise
        return self._decode(self.bottleneck.quantise(z), skips, label, code.gain)

    def transfer(self, x: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """Windows encoded with labels `source` and decoded with `target`, both (B,). ValueError without a condition."""
        if self.condition is None:
            raise ValueError("this variant has no labels: transfer needs a block `condition`")
        code, skips = self._encode(x, None, source)
        return self._decode(code.mean, skips, target, code.gain)

    def fit(self, batches: Callable[[], Iterable[tuple[Tensor, Tensor]]]) -> None:
        """Fit what has a closed form, condition and components, and start the bottleneck there.

        `batches` opens a pass over windows (B, 1, *shape) and labels (B,) of the train split.
        """
        if self.condition is not None:
            self.condition.fit((self._scale(x)[0], label) for x, label in batches())
        if self.components is not None:
            self.components.fit(lambda: (self._input(*batch)[0] for batch in batches()))
            self.bottleneck.start_as_pca(self.components.posterior_std())

    def _scale(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        gain = self.gain(x)
        return (x if gain is None else x / gain), gain

    def _input(self, x: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The encoder's input, and the gain of each window."""
        x, gain = self._scale(x)
        return (x if self.condition is None else self.condition.before_encoder(x, label)), gain

    def _encode(self, x: Tensor, noise: Tensor | None, label: Tensor | None) -> tuple[Code, list[Tensor]]:
        features, skips, gain = self._features(x, label)
        return replace(self._code(features, noise, label), gain=gain), skips

    def _features(self, x: Tensor, label: Tensor | None) -> tuple[Tensor, list[Tensor], Tensor | None]:
        """The bottleneck's input, the skip connections, and the gain of each window."""
        x, gain = self._input(x, label)
        if self.components is None:
            features, *skips = self.encoder(x)
            return features, skips, gain
        return self._invert(x, label) if self.is_inverse else self.components.encode(self.encoder(x)), [], gain

    def _code(self, features: Tensor, noise: Tensor | None, label: Tensor | None) -> Code:
        features = features if self.condition is None else self.condition.after_encoder(features, label)
        return self.bottleneck.encode(features, noise)

    def _invert(self, x: Tensor, label: Tensor | None) -> Tensor:
        """Features of windows (B, 1, *shape) by two steps towards the inverse of the decoder.

        1. What its network adds to the components' reconstruction is subtracted from x: the components need not hold
           it. In training, gradients pass through this step; without them, trainings diverged.
        2. Outside of training, a step of gradient descent on -log p(x, features) with the noise of probabilistic PCA,
           divided by its curvature without the network (semi-amortised inference, Kim et al. 2018, arXiv 1802.02550).
           A window for which this is no descent keeps its features.
        """
        components = self.components
        assert components is not None
        linear = components.decode(components.encode(x))
        features = components.encode(x - (self.decoder(linear) - linear))
        if self.training:
            return features

        def energy(features: Tensor) -> Tensor:
            y = self._output(self._code(features, None, label).mean, [], label)
            error, prior = (values.square().flatten(1).sum(1) for values in (y - x, features))
            return 0.5 * (error + components.noise_variance * prior)

        with torch.inference_mode(False), torch.enable_grad():
            # Copies, since autograd refuses tensors of an inference mode around this.
            features, label = features.detach().clone().requires_grad_(), None if label is None else label.clone()
            before = energy(features)
            (gradient,) = torch.autograd.grad(before.sum(), features)
        curvature = components.variances.maximum(components.noise_variance).clamp_min(TINY)
        with torch.no_grad():
            descended = features - STEP * gradient / curvature.reshape(-1, *[1] * (features.dim() - 2))
            is_lower = energy(descended) < before
            return torch.where(is_lower.reshape(-1, *[1] * (features.dim() - 1)), descended, features)

    def _decode(self, z: Tensor, skips: list[Tensor], label: Tensor | None, gain: Tensor | None) -> Tensor:
        y = self._output(z, skips, label)
        y = y if self.condition is None else self.condition.after_decoder(y, label)
        return self.gain.undo(y, gain)

    def _output(self, z: Tensor, skips: list[Tensor], label: Tensor | None) -> Tensor:
        """The decoder's output, which corresponds to the encoder's input."""
        features = self.bottleneck.decode(z)
        features = features if self.condition is None else self.condition.before_decoder(features, label)
        y: Tensor = self.decoder([features, *skips] if self.components is None else self.components.decode(features))
        return y


def interpolate_latents(a: Tensor, b: Tensor, steps: int, mode: str) -> Tensor:
    """(steps, D) latents from `a` (D,) to `b` (D,), both included.

    The mode "slerp" goes along the arc, while the length changes linearly from |a| to |b| (Shoemake 1985). Without a
    unique arc (`a` and `b` are parallel, or one is zero) it is linear. ValueError if the mode is unknown or there are
    fewer than two steps.
    """
    if mode not in ("linear", "slerp") or steps < 2:
        raise ValueError(f"interpolation takes linear or slerp and at least 2 steps, not {mode} and {steps}")
    share = torch.linspace(0, 1, steps, device=a.device, dtype=a.dtype)[:, None]
    lengths = a.norm(), b.norm()
    cosine = (a @ b / (lengths[0] * lengths[1]).clamp_min(1e-12)).clamp(-1, 1)
    if mode == "linear" or cosine.abs() > 1 - 1e-6 or min(lengths) < 1e-6:
        return a + share * (b - a)
    angle = torch.arccos(cosine)
    length = lengths[0] + share * (lengths[1] - lengths[0])
    direction = ((1 - share) * angle).sin() * a / lengths[0] + (share * angle).sin() * b / lengths[1]
    return length * direction / angle.sin()
