"""A vocoder: log-mel spectrograms to waveforms."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.audio.mel import AMIN
from pipeline.audio.mel_scale import mel_filters
from pipeline.audio.representation import MelConfig
from pipeline.audio.scale import FLOOR_DB, below_peak, to_db, to_unit
from pipeline.models.bottlenecks import Code
from pipeline.models.bottlenecks.linear import Linear
from pipeline.models.config import LinearConfig, VocoderNetworkConfig
from pipeline.models.networks.istft import Block, Frames
from pipeline.models.signal import Signal
from pipeline.models.vae import VAE, WindowGain

UPDATES = (8, 3)  # of the magnitudes, before the network corrects them and after it
MORE_ITERATIONS = 2  # of Griffin-Lim when the network is used: without gradients they are cheap
MOMENTUM = 0.99  # of Griffin-Lim, as in `audio.griffin_lim`
DAMPING = 0.01  # share of the magnitude below which a phase counts less
FLOOR = 1e-10  # lowest power in a bin, relative to the peak of the mel: -100 dB


class VocoderNetwork(nn.Module):
    """Magnitudes and phases by a network at the frame rate, then Griffin-Lim (1984) from these phases.

    Mel inversion (see `audio.griffin_lim`) gives magnitudes, ConvNeXt blocks (after Vocos, Siuzdak 2023, arXiv
    2306.00814) correct them and give phases, and a few further updates let the magnitudes agree with the mel again. The
    iterations of Griffin-Lim are part of the network, so that it learns phases from which they arrive at the waveform
    (Masuyama et al. 2019, arXiv 1903.03971, train a network between such iterations).
    """

    filters: Tensor
    to_bins: Tensor

    def __init__(self, config: VocoderNetworkConfig, mel: MelConfig) -> None:
        super().__init__()
        bins = mel.n_fft // 2 + 1
        self.iterations = config.iterations
        self.frames = Frames(mel.n_fft, mel.hop_length, mel.n_fft // 2)
        filters = torch.from_numpy(mel_filters(mel.sample_rate, mel.n_fft, mel.bands))
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("to_bins", (filters / filters.sum(0).clamp_min(1e-12)).T.contiguous(), persistent=False)
        self.scale = torch.hann_window(mel.n_fft).norm().item()  # `Frames` divides its window by it
        self.first = nn.Linear(mel.bands + bins, config.width)
        self.blocks = nn.Sequential(*[Block(config.width, causal=False) for _ in range(config.layers)])
        self.norm = nn.LayerNorm(config.width)
        self.last = nn.Linear(config.width, 3 * bins)
        nn.init.zeros_(self.last.weight[:bins])  # at first, the magnitudes stay as they are
        nn.init.zeros_(self.last.bias)

    def forward(self, mel: Tensor) -> Tensor:
        """Waveforms (B, frames * hop_length) of mels (B, bands, frames) in [0, 1], where 1 is 0 dB of mel power."""
        with torch.autocast(mel.device.type, enabled=False):
            mel = mel.float().clamp(0, 1)
            power = 10 ** (to_db(mel) / 10)
            level = (power.mean((1, 2), keepdim=True) / len(self.to_bins)).sqrt()
            spectrum = self._agree(level.expand(-1, len(self.to_bins), mel.shape[-1]), power, UPDATES[0])
            log_spectrum = spectrum.clamp_min(FLOOR).log()
        features = torch.cat((mel - 0.5, 0.125 * log_spectrum + 1), 1)
        hidden = self.norm(self.blocks(self.first(features.mT).mT).mT)
        with torch.autocast(mel.device.type, enabled=False):
            change, *direction = self.last(hidden.float()).mT.chunk(3, 1)
            spectrum = self._agree((log_spectrum + change.clamp(-12, 6)).exp(), power, UPDATES[1])
            magnitude = spectrum.clamp_min(FLOOR).sqrt().mT.unsqueeze(-1) / self.scale
            phase = torch.stack([part.mT for part in direction], -1)
            return self._griffin_lim(magnitude, phase, mel.shape[-1] * self.frames.hop)

    def _agree(self, spectrum: Tensor, power: Tensor, updates: int) -> Tensor:
        """Power spectra (B, bins, frames) that agree better with mel power (B, bands, frames).

        See `audio.griffin_lim.invert_filters`.
        """
        for _ in range(updates):
            spectrum = spectrum * (self.to_bins @ (power / (self.filters @ spectrum).clamp_min(1e-12)))
        return spectrum

    def _griffin_lim(self, magnitude: Tensor, direction: Tensor, samples: int) -> Tensor:
        """The fast algorithm (Perraudin et al. 2013), from phases in the direction of (B, frames, bins, 2)."""
        spectrum, previous = magnitude * _normalised(direction, DAMPING), torch.zeros_like(direction)
        for _ in range(self.iterations if self.training else self.iterations + MORE_ITERATIONS):
            rebuilt = self.frames(self.frames.inverse(spectrum, samples))
            accelerated = rebuilt - MOMENTUM / (1 + MOMENTUM) * previous
            spectrum = magnitude * _normalised(accelerated, DAMPING * magnitude)
            previous = rebuilt
        return self.frames.inverse(spectrum, samples)


def _normalised(spectrum: Tensor, floor: Tensor | float) -> Tensor:
    """Complex numbers (..., 2) of magnitude 1; those below `floor` are smaller, since their gradient would explode."""
    return spectrum / (spectrum.square().sum(-1, keepdim=True) + floor**2).sqrt()


class Vocoder(VAE):
    """Waveforms through their own mel: it trains a `VocoderNetwork` as a VAE without a latent or a KL.

    It is built from `description`: network, mel (the blocks of params.yaml) and the keys of `Signal.from_description`,
    of waveforms at the mel's rate.
    """

    def __init__(self, description: dict[str, Any]) -> None:
        nn.Module.__init__(self)
        self.description = description
        signal = Signal.from_description(description)
        self.mel = MelConfig.model_validate(description["mel"])
        self.network = VocoderNetwork(VocoderNetworkConfig.model_validate(description["network"]), self.mel)
        self.bottleneck = Linear(LinearConfig(type="linear", latent=0), (1,))
        self.gain, self.labels, self.condition, self.components = WindowGain("none", signal), (), None, None

    def reconstruct_draws(
        self, x: Tensor, noises: Iterable[Tensor | None], label: Tensor | None = None
    ) -> list[tuple[Tensor, Code]]:
        """For each noise the same: waveforms (B, 1, samples) from the mels of `x`, and an empty code."""
        mel, peak_db = self.to_mel(x.squeeze(1))
        y = self.network(mel)[:, : x.shape[-1]] * 10 ** (peak_db / 20)
        nothing = x.new_zeros(len(x), 0)
        return [(y.unsqueeze(1), Code(nothing, nothing, kl=x.new_zeros(len(x), 1))) for _ in noises]

    def to_mel(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """Mels (B, bands, frames) in [0, 1] of waveforms (B, samples), as the cache has them; peaks (B, 1) in dB."""
        network = self.network
        with torch.autocast(waveform.device.type, enabled=False):
            spectra = network.frames(functional.pad(waveform, (0, 1)))  # a frame at each multiple of the hop
            power = network.filters @ (spectra.square().sum(-1) * network.scale**2).mT
            db = 10 * power.clamp_min(AMIN).log10()
            return to_unit(below_peak(db, -FLOOR_DB), "mel"), db.amax((1, 2)).clamp_min(-FLOOR_DB).unsqueeze(1)

    def sample(self, number: int, generator: torch.Generator, label: Tensor | None = None) -> Tensor:
        """No windows: a vocoder has no prior."""
        return torch.zeros(0, 1, *self.gain.signal.shape)
