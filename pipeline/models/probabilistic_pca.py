"""Principal components of windows, and probabilistic PCA, which they make."""

from collections.abc import Callable, Iterable, Iterator
from math import pi, prod

import torch
from torch import Tensor, nn
from torch.nn import functional

SHARES = (0.25, 0.25, 1.0, 1.0)  # of the rows, in each iteration: the first ones need no precision
OVERSAMPLING = 64  # further directions that are followed, so that the last components converge too
MIN_VARIANCE = 1e-9  # share of the first component's; below it, a component is rounding error
MIN_NOISE = 0.01  # share of the mean variance of a value: else few windows would leave no noise, and a huge KL
GRADIENT_STEPS = 30  # of `project`
TINY = 1e-12  # avoids a division by zero


def principal_components(batches: Callable[[], Iterable[Tensor]], rows: int, number: int) -> tuple[Tensor, Tensor]:
    """The principal components of rows with mean 0, by subspace iteration (Halko et al. 2011, arXiv 0909.4061).

    In memory are a batch and three times `number` + 64 rows. `batches` opens a pass over the same rows (B, values). The
    result is exact if the rows have at most `number` + 64 values or dimensions, else a close approximation.

    Returns:
        Orthonormal components (number, values) and their variances (number,); 0 beyond the rank of the rows.
    """
    first = next(iter(batches()))
    values = first.shape[1]
    if not number:
        return first.new_zeros(0, values), first.new_zeros(0)
    width = min(values, number + OVERSAMPLING)
    directions = torch.randn(values, width, generator=torch.Generator().manual_seed(0)).to(first)
    for iteration, share in enumerate(SHARES, 1):
        basis = torch.linalg.qr(directions.cpu())[0].to(first)  # on the CPU: not every device can, and it is quick
        directions, seen = torch.zeros_like(basis), 0
        products = torch.zeros(width, width, dtype=torch.float64)
        for x in batches():
            coordinates = x @ basis
            if iteration < len(SHARES):
                directions.addmm_(x.T, coordinates)
            products += (coordinates.T @ coordinates).cpu()
            seen += len(x)
            if seen >= share * rows:
                break
    variances, rotation = torch.linalg.eigh(products / seen)
    variances, rotation = variances.flip(0)[:number], rotation.flip(1)[:, :number]
    is_real = variances > MIN_VARIANCE * variances[:1]
    components = (basis.cpu() @ rotation.to(basis.dtype)).T * is_real[:, None]
    padding = number - len(variances)
    variances = functional.pad(variances * is_real, (0, padding))
    return functional.pad(components, (0, 0, 0, padding)).float(), variances.float()


class ProbabilisticPCA(nn.Module):
    """Probabilistic PCA (Tipping and Bishop 1999): the best linear VAE, in closed form (Lucas et al. 2019, 1911.02469).

    A window is cut into equal patches (or is one patch), all with the same components; the end is padded with zeros.
    Patches of a waveform overlap, as the blocks of a modified discrete cosine transform do (Malvar 1990, Lapped
    transforms for efficient transform/subband coding); without it, each border would click.
    Features are posterior means: uncorrelated, with a variance of nearly 1, so that a standard normal prior fits them.
    Training does not change the components.
    """

    mean: Tensor
    angles: Tensor
    components: Tensor
    variances: Tensor
    noise_variance: Tensor

    def __init__(self, number: int, window: tuple[int, ...], patch: tuple[int, ...]) -> None:
        super().__init__()
        self.window, self.patch = window, patch
        self.grid = tuple(-(-size // length) for size, length in zip(window, patch, strict=True))
        self.shape = (number, *self.grid)
        self.is_whole = all(size % length == 0 for size, length in zip(window, patch, strict=True))
        self.has_frames = self.grid[-1] > 1  # patches along time: then nothing depends on the length of a window
        self.register_buffer("mean", torch.zeros(*window[:-1], 1 if self.has_frames else window[-1]))
        self.register_buffer("components", torch.zeros(number, prod(patch)))
        # Each sample after a border is rotated with its mirror image before it, by 45 degrees at the border and by 0 in
        # the middle of a patch: the sine window.
        half = patch[-1] // 2 if len(patch) == 1 and self.has_frames else 0
        self.register_buffer("angles", pi / 4 * (1 - (torch.arange(half) + 0.5) / max(1, half)), persistent=False)
        self.register_buffer("variances", torch.zeros(number))
        self.register_buffer("noise_variance", torch.ones(()))  # mean variance of the directions without a component

    @torch.no_grad()
    def fit(self, batches: Callable[[], Iterable[Tensor]]) -> None:
        """Fit the components to windows (B, 1, *window) on one device; `batches` opens a pass over all of them."""
        rows, total, squares = 0, *torch.zeros(2, *self.window, dtype=torch.float64)
        for x in batches():
            rows += len(x)
            total += x.sum((0, 1)).cpu()
            squares += x.square().sum((0, 1)).cpu()
        total = total.mean(-1, keepdim=True) if self.has_frames else total
        # A GPU may round products of 32 bits to 10 bits of mantissa, but not those of 64 bits.
        dtype = torch.float64 if x.device.type == "cuda" else torch.float32
        mean = (total / rows).to(x.device, dtype)
        number, values = self.components.shape

        def patches() -> Iterator[Tensor]:
            return (self._patches(x.to(dtype) - mean).flatten(0, -2) for x in batches())

        components, variances = principal_components(patches, rows * prod(self.grid), number)
        variance = float((squares / rows - (total / rows).square()).sum()) / prod(self.grid)  # of a patch
        rest = (variance - float(variances.sum())) / max(1, values - number)
        self.mean.copy_(mean)
        self.components.copy_(components)
        self.variances.copy_(variances)
        self.noise_variance.fill_(max(rest, MIN_NOISE * variance / values))

    def posterior_std(self) -> Tensor:
        """(number,) standard deviation of the posterior."""
        return (self.noise_variance / self.variances.clamp_min(TINY)).sqrt().clamp(max=1.0)

    def encode(self, x: Tensor) -> Tensor:
        """Features (B, number, *grid) of windows (B, 1, *window)."""
        with torch.autocast(x.device.type, enabled=False):
            coordinates = self._patches(x.float() - self.mean) @ self.components.T
            return (coordinates * (self._scale() / self.variances.clamp_min(TINY))).movedim(-1, 1)

    def decode(self, features: Tensor) -> Tensor:
        """Windows (B, 1, *window) of features (B, number, *grid)."""
        with torch.autocast(features.device.type, enabled=False):
            coordinates = features.float().movedim(1, -1) * self._scale()
            return self._window(coordinates @ self.components) + self.mean

    def project(self, x: Tensor) -> Tensor:
        """The closest windows (B, 1, *window) to windows x that the components can make.

        If patches go beyond the window, this takes a few steps of conjugate gradients on the squared error.
        """

        def dot(a: Tensor, b: Tensor) -> Tensor:
            return (a * b).flatten(1).sum(1).reshape(-1, *[1] * (a.dim() - 1)).clamp_min(TINY)

        with torch.autocast(x.device.type, enabled=False):
            rest = self._patches(x.float() - self.mean) @ self.components.T
            coordinates, direction = torch.zeros_like(rest), rest
            for _ in range(1 if self.is_whole else GRADIENT_STEPS):
                image = self._patches(self._window(direction @ self.components)) @ self.components.T
                square = dot(rest, rest)
                step = square / dot(direction, image)
                coordinates, rest = coordinates + step * direction, rest - step * image
                direction = rest + dot(rest, rest) / square * direction
            return self._window(coordinates @ self.components) + self.mean

    def _scale(self) -> Tensor:
        return (self.variances - self.noise_variance).clamp_min(0).sqrt()

    def _patches(self, x: Tensor) -> Tensor:
        """(B, *grid, patch values) of windows (B, 1, *window), padded with zeros."""
        sizes = list(zip(self.window, self.grid, self.patch, strict=True))
        x = functional.pad(x.squeeze(1), [pad for size, n, p in reversed(sizes) for pad in (0, n * p - size)])
        x = x.reshape(len(x), *(length for pair in zip(self.grid, self.patch, strict=True) for length in pair))
        axes = range(1, 2 * len(sizes) + 1)
        return self._rotate(x.permute(0, *axes[::2], *axes[1::2]).flatten(1 + len(sizes)), 1)

    def _window(self, patches: Tensor) -> Tensor:
        """The inverse of `_patches`."""
        number = len(self.grid)
        x = self._rotate(patches, -1).unflatten(-1, self.patch)
        x = x.permute(0, *(axis for i in range(1, number + 1) for axis in (i, number + i)))
        x = x.reshape(len(x), *(n * p for n, p in zip(self.grid, self.patch, strict=True)))
        return x[(..., *(slice(size) for size in self.window))].unsqueeze(1)

    def _rotate(self, patches: Tensor, direction: int) -> Tensor:
        """Patches (B, *grid, values) of a waveform with rotated halves; direction -1 is the inverse."""
        half = len(self.angles)
        if not half:
            return patches
        first, middle, last = patches.split([half, patches.shape[-1] - 2 * half, half], -1)
        after, before = first[:, 1:], last[:, :-1].flip(-1)
        cos, sin = self.angles.cos(), direction * self.angles.sin()
        first = torch.cat((first[:, :1], cos * after - sin * before), 1)
        last = torch.cat(((cos * before + sin * after).flip(-1), last[:, -1:]), 1)
        return torch.cat((first, middle, last), -1)
