"""Principal components between network and bottleneck: probabilistic PCA, and variants that start as it."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from sklearn.decomposition import PCA
from torch import Tensor

from pipeline.core.errors import ParamsError
from pipeline.losses import kl
from pipeline.models.config import NetworkConfig
from pipeline.models.networks.refinement import Refinement
from pipeline.models.probabilistic_pca import ProbabilisticPCA
from pipeline.models.signal import Signal
from pipeline.models.vae import VAE
from pipeline.training.seed import check_components
from tests.models.variants import description_of, minimise

SIZES = [((10,), (4,)), ((10,), (10,)), ((5, 7), (3, 3)), ((5, 7), (5, 2)), ((6, 8), (2, 4))]  # window and patch
MEL, WAVE = (6, 10), (60,)


def correlated(shape: tuple[int, ...], number: int = 400) -> Tensor:
    """Windows (number, 1, *shape) whose directions have different variances, around a mean that is not constant."""
    values = int(np.prod(shape))
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(values, values, generator=generator) * 0.8 ** torch.arange(values)[:, None]
    rows = 0.5 + 0.1 * torch.randn(number, values, generator=generator) @ mixing + torch.linspace(0, 1, values)
    return rows.reshape(number, 1, *shape)


def fitted(number: int, x: Tensor, patch: tuple[int, ...]) -> ProbabilisticPCA:
    components = ProbabilisticPCA(number, tuple(x.shape[2:]), patch)
    components.fit(lambda: x.split(70))
    return components


@pytest.mark.parametrize(("window", "patch"), SIZES)
def test_patches_are_equal_parts_of_a_window_and_have_an_inverse(window, patch):
    components = ProbabilisticPCA(1, window, patch)
    x = torch.randn(3, 1, *window)
    patches = components._patches(x)
    assert patches.shape == (3, *components.grid, int(np.prod(patch)))
    torch.testing.assert_close(components._window(patches), x)
    torch.testing.assert_close(patches.square().sum(), x.square().sum())
    first = x[(slice(None), 0, *(slice(size // 2) for size in patch))]  # the other half may overlap the next
    cut = patches.unflatten(-1, patch)[(slice(None), *[0] * len(patch))]
    assert torch.equal(cut[(slice(None), *(slice(size // 2) for size in patch))], first)


def test_borders_of_waveform_patches_do_not_click():
    x = torch.randn(200, 1, 512, generator=torch.Generator().manual_seed(0))
    bins = torch.arange(257)
    x = torch.fft.irfft(torch.fft.rfft(x) * (bins < 32), 512)
    components = fitted(8, x, (64,))

    def high(components: ProbabilisticPCA) -> Tensor:
        return (torch.fft.rfft(components.decode(components.encode(x))) * (bins > 80)).abs().square().sum()

    blocks = ProbabilisticPCA(8, (512,), (64,))
    blocks.angles.zero_()
    blocks.fit(lambda: x.split(70))
    assert high(components) < 0.3 * high(blocks)


def test_the_components_of_a_waveform_fit_any_number_of_patches():
    x = correlated((60,))
    long, short = fitted(3, x, (10,)), ProbabilisticPCA(3, (30,), (10,))
    short.load_state_dict(long.state_dict())
    torch.testing.assert_close(short.encode(x[..., :30])[..., :2], long.encode(x)[..., :2])


@pytest.mark.parametrize(("window", "patch"), SIZES)
def test_features_are_uncorrelated_with_the_variance_of_posterior_means(window, patch):
    x = correlated(window)
    components = fitted(4, x, patch)
    z = components.encode(x)
    assert z.shape == (len(x), 4, *components.grid)
    z = z.movedim(1, -1).flatten(0, -2)
    expected = 1 - components.noise_variance / components.variances
    assert expected.min() > 0.1 and components.variances.diff().max() < 0
    torch.testing.assert_close(z.T @ z / len(z), torch.diag(expected), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(components.posterior_std().square(), 1 - expected, atol=1e-5, rtol=1e-4)


def test_the_components_are_those_of_probabilistic_pca_in_scikit_learn():
    x = correlated(MEL)
    components = fitted(5, x, MEL)
    rows = x.flatten(1).double().numpy()
    reference = PCA(5, svd_solver="full").fit(rows)
    variances, rest = (v * (len(x) - 1) / len(x) for v in (reference.explained_variance_, reference.noise_variance_))
    np.testing.assert_allclose(components.noise_variance, rest, rtol=1e-4)
    scale = np.sqrt(variances - rest)
    z = (rows - reference.mean_) @ reference.components_.T * scale / variances
    signs = np.sign((components.components.numpy() * reference.components_).sum(1))
    np.testing.assert_allclose(components.encode(x).flatten(1), z * signs, atol=1e-3)
    expected = reference.mean_ + z * scale @ reference.components_
    np.testing.assert_allclose(components.decode(components.encode(x)).flatten(1), expected, atol=1e-4)


@pytest.mark.parametrize(("window", "patch"), [*SIZES[1:], ((60,), (20,)), ((60,), (16,))])
def test_a_projection_is_the_closest_window_that_the_components_can_make(window, patch):
    """Also if the last patch goes beyond the window."""
    x = correlated(window)
    components = fitted(3, x, patch)
    number = 3 * int(np.prod(components.grid))
    coordinates = torch.eye(number).reshape(number, *components.grid, 3)
    columns = components._window(coordinates @ components.components).flatten(1).T.double()
    centred = (x - components.mean).flatten(1).T.double()
    solution = torch.linalg.lstsq(columns, centred, driver="gelsd").solution
    expected = (columns @ solution).T.reshape_as(x).float() + components.mean
    torch.testing.assert_close(components.project(x), expected, atol=1e-3, rtol=1e-3)


def test_components_beyond_the_rank_are_zero_and_finite():
    x = correlated((5, 7), 4)
    components = fitted(60, x, (5, 7))  # more than windows, and than values of a window
    z = components.encode(x)
    assert components.variances[:3].min() > 0 and not components.variances[3:].any() and not z[:, 3:].any()
    assert torch.isfinite(z).all() and components.posterior_std()[3:].eq(1).all()
    torch.testing.assert_close(components.decode(z), x, atol=2e-3, rtol=1e-3)  # the noise is never 0
    silent = fitted(3, torch.zeros(8, 1, 10), (10,))
    y = silent.decode(silent.encode(torch.zeros(2, 1, 10)))
    assert not y.any() and torch.isfinite(silent.posterior_std()).all()


def test_more_components_than_values_of_a_patch_are_an_error():
    description = description_of("wave_fc", network={"frame": 50}) | {"variant": "wave_fc"}
    with pytest.raises(ParamsError, match=r"params.yaml: models.wave_fc.network.components: 64 .* the 50 values"):
        check_components(VAE(description))
    check_components(VAE(description_of("wave_fc", network={"frame": 64})))


def test_a_fit_does_not_change_the_windows():
    x = correlated(WAVE)
    before = x.clone()
    fitted(3, x, (30,))
    assert torch.equal(x, before)


SEQUENCE = {"type": "gaussian", "latent": 4, "layout": "sequence"}
BOTTLENECKS = {  # and the number of features that reach the latent
    "gaussian": ({"type": "gaussian", "latent": 5}, 5),
    "smaller": ({"type": "gaussian", "latent": 3}, 3),
    "isotropic": ({"type": "gaussian", "latent": 5, "covariance": "isotropic"}, 5),
    "normal prior": ({"type": "gaussian", "latent": 5, "prior": {"type": "normal"}}, 5),
    "sequence": (SEQUENCE, 4),
    "hierarchical": ({"type": "hierarchical", "latent_z2": 2, "latent_z1": 3}, 5),
    "smaller hierarchical": ({"type": "hierarchical", "latent_z2": 1, "latent_z1": 2}, 3),
}
NETWORKS = {
    "conv2d": ({"type": "conv2d", "channels": [4, 8], "strides": 2, "components": 5}, MEL),
    "fc of a mel": ({"type": "fc", "width": 8, "frame": 4, "components": 5}, MEL),
    "conv1d": ({"type": "conv1d", "channels": [4, 8], "components": 5}, WAVE),
    "pooled": ({"type": "conv1d", "channels": [4, 8], "pooling": "global", "components": 5}, WAVE),
    "resnet1d": ({"type": "resnet1d", "channels": [4, 8], "strides": [3, 4], "components": 5}, WAVE),
    "fc": ({"type": "fc", "width": 8, "frame": 25, "components": 5}, WAVE),
    "transformer": (
        {"type": "transformer", "patch": 10, "tokens": 4, "layers": 1, "width": 8, "heads": 2, "components": 5},
        WAVE,
    ),
    "istft": (
        {"type": "istft", "n_fft": 20, "hop": 10, "width": 8, "layers": 1, "head": "linear", "components": 5},
        WAVE,
    ),
}


def start(
    network: str, bottleneck: dict, is_conditional: bool = False, number: int = 400, **changes: Any
) -> tuple[VAE, Tensor, Tensor]:
    """A model in evaluation mode at the start of a training on `number` windows; the windows, and their labels."""
    config, shape = NETWORKS[network]
    description = {
        "kind": "mel" if len(shape) == 2 else "waveform",
        "shape": shape,
        "stats": {"mean": [0.7] * MEL[0], "std": [0.4] * MEL[0]} if len(shape) == 2 else {"mean": 0.7, "std": 0.4},
        "representation": {},
        "network": config | changes,
        "bottleneck": bottleneck,
    }
    if is_conditional:
        description |= {"condition": {"type": "film"}, "labels": ["a", "b"]}
    torch.manual_seed(0)
    model, x = VAE(description), correlated(shape, number)
    label = torch.arange(len(x)) % 2
    x[label == 1] = 1.5 * x[label == 1] - 0.3
    model.fit(lambda: zip(x.split(64), label.split(64), strict=True))
    return model.eval(), x, label


@pytest.mark.parametrize(
    ("network", "bottleneck", "is_conditional"),
    [
        *(("conv2d", name, False) for name in BOTTLENECKS),
        *((name, "sequence", False) for name in NETWORKS if name not in ("conv2d", "pooled")),
        ("pooled", "gaussian", False),
        ("conv2d", "gaussian", True),
        ("conv2d", "hierarchical", True),
    ],
)
@torch.no_grad()
def test_a_variant_starts_as_probabilistic_pca(network, bottleneck, is_conditional):
    config, number = BOTTLENECKS[bottleneck]
    model, x, label = start(network, config, is_conditional)
    inside = model.condition.before_encoder(x, label) if is_conditional else x
    components = fitted(5, inside, model.components.patch)
    z = components.encode(inside)
    z[:, number:] = 0
    expected = components.decode(z)
    expected = model.condition.after_decoder(expected, label) if is_conditional else expected
    y, code = model(x, None, label)
    torch.testing.assert_close(y, expected, atol=1e-4, rtol=1e-4)
    assert (y - x).square().mean() < 0.7 * (x - x.mean(0)).square().mean()  # else the comparison means little
    torch.testing.assert_close(code.mean.abs(), z[:, :number].flatten(1).abs(), atol=1e-3, rtol=1e-3)

    std = components.posterior_std()[:number, None].expand(-1, z[0, 0].numel()).flatten().expand_as(code.std)
    if bottleneck == "isotropic":
        assert (code.std == code.std[0, 0]).all() and std.min() < code.std[0, 0] < std.max()
    else:
        torch.testing.assert_close(code.std, std, atol=1e-3, rtol=1e-3)
    expected_kl = 0.5 * (code.mean**2 + code.std**2 - 1) - code.std.log()
    torch.testing.assert_close(kl.divergence(code).sum(1), expected_kl.sum(1), atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("bottleneck", ["gaussian", "smaller", "normal prior", "sequence", "hierarchical"])
@torch.no_grad()
def test_samples_from_the_prior_start_with_the_variance_of_probabilistic_pca(bottleneck):
    config, number = BOTTLENECKS[bottleneck]
    model, *_ = start("conv2d", config)
    components, samples = model.components, model.sample(5000, torch.Generator().manual_seed(0))
    scaled = components.components * (components.variances - components.noise_variance).sqrt()[:, None]
    patches = scaled[:number].square().sum(0).expand(1, *components.grid, -1)
    expected = components._window(patches)[0, 0]
    variance = (samples[:, 0] - components.mean).square().mean(0)
    assert expected.min() > 0
    torch.testing.assert_close(variance, expected, atol=1e-3, rtol=0.12)
    torch.testing.assert_close(variance.sum(), expected.sum(), atol=0, rtol=0.05)


# The others fill up the last patch with zeros, whose error does not count.
@pytest.mark.parametrize("network", ["pooled", "resnet1d", "transformer", "istft"])
@torch.no_grad()
def test_an_inverse_encoder_subtracts_what_the_decoder_adds(network):
    config, number = BOTTLENECKS["sequence"]
    model, x, _ = start(network, config, encoder="inverse")
    assert list(model.encoder.parameters()) == []
    offset = 0.5 * x.mean(0)
    z = model.components.encode(x - offset)
    z[:, number:] = 0
    expected = model.components.decode(z) + offset
    model.decoder.forward = lambda y: y + offset
    torch.testing.assert_close(model.reconstruct(x), expected, atol=1e-4, rtol=1e-4)


def test_an_inverse_encoder_descends_outside_of_training():
    model, x, _ = start("fc", BOTTLENECKS["sequence"][0], encoder="inverse")
    for parameter in model.decoder.decoder.last.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    with torch.no_grad():
        first, second = ((model.train(mode).reconstruct(x) - x).square().mean() for mode in (True, False))
    assert second < 0.97 * first


@pytest.mark.parametrize("network", [name for name in NETWORKS if name != "pooled"])  # it has one value per window
def test_an_inverse_variant_learns_what_the_components_lack(network):
    model, x, _ = start(network, BOTTLENECKS["sequence"][0], encoder="inverse")
    x = x + x.square() / x.square().mean().sqrt()
    model.fit(lambda: [(x, torch.zeros(len(x)))])
    linear = (model.reconstruct(x) - x).square().mean()
    optimiser = torch.optim.Adam(model.train().parameters(), 5e-3)
    minimise(optimiser, lambda: (model.reconstruct(x) - x).square().mean(), 60)
    assert (model.eval().reconstruct(x) - x).square().mean() < 0.92 * linear


def test_the_descent_of_an_inverse_encoder_never_raises_the_error_much():
    # Ten windows have no 20 components; after some steps the bottleneck mixes them with the others.
    bottleneck = {"type": "gaussian", "latent": 20, "layout": "vector"}
    model, x, _ = start("conv2d", bottleneck, number=10, components=20, encoder="inverse", norm="none")
    noise = torch.randn(len(x), 20, generator=torch.Generator().manual_seed(0))
    optimiser = torch.optim.Adam(model.train().parameters(), 1e-2)
    minimise(optimiser, lambda: (model(x, noise)[0] - x).square().mean(), 20)
    first, second = ((model.train(mode).reconstruct(x) - x).square().mean() for mode in (True, False))
    assert second < 1.1 * first


def test_the_gradient_of_an_inverse_encoder_passes_through_the_decoder():
    model, x, _ = start("conv2d", BOTTLENECKS["sequence"][0], encoder="inverse")
    torch.nn.init.normal_(model.decoder.decoder.last.weight, std=0.1)
    model.train().encode(x).mean.square().sum().backward()
    assert [name for name, p in model.decoder.named_parameters() if not p.grad.abs().sum() > 0] == []


@torch.no_grad()
def test_a_codebook_gets_features_of_the_components():
    model, x, _ = start("conv2d", {"type": "fsq", "levels": [5, 5], "prior_width": 8})
    grid = model.components.grid
    assert grid == (2, 3) and model.latent_dims == 2 * 6
    assert model.encode(x[:3]).indices.shape == (3, 6)
    features = []
    encode = model.bottleneck.encode
    model.bottleneck.encode = lambda f, noise=None: features.append(f) or encode(f, noise)
    model.encode(x)
    torch.testing.assert_close(features[0], model.components.encode(x), atol=1e-4, rtol=1e-4)


def refinement(network: str) -> tuple[Refinement, Tensor]:
    config, shape = NETWORKS[network]
    torch.manual_seed(0)
    mean, std = ([0.7] * MEL[0], [0.4] * MEL[0]) if len(shape) == 2 else (0.7, 0.4)
    signal = Signal("mel" if len(shape) == 2 else "waveform", shape, mean, std, {})
    return Refinement(TypeAdapter(NetworkConfig).validate_python(config), signal), correlated(shape, 16)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("is_training", [True, False])
def test_a_refinement_starts_as_the_identity(network, is_training):
    module, x = refinement(network)
    assert torch.equal(module.train(is_training)(x), x)


@pytest.mark.parametrize("network", ["conv2d", "conv1d", "pooled", "resnet1d"])
def test_the_decoder_of_a_refinement_gets_the_stages_of_its_encoder(network):
    module, x = refinement(network)
    features, *stages = module.encoder(x)
    assert len(stages) == 1 and len(module.decoder.skips) == 1
    weights = module.decoder.last.named_parameters()
    torch.nn.init.ones_(next(p for name, p in weights if name == "weight" or name.endswith("original0")))
    y, without = module.decoder([features, *stages]), module.decoder([features, torch.zeros_like(stages[0])])
    assert not torch.allclose(y, without)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_refinement_learns_with_all_its_parameters(network):
    module, x = refinement(network)
    target = x + 0.3 * x.flip(-1).sin()
    before = copy.deepcopy(module.state_dict())
    optimiser = torch.optim.Adam(module.parameters(), 1e-2)
    losses = minimise(optimiser, lambda: (module(x) - target).square().mean(), 30)
    assert losses[-1] < 0.5 * losses[0]
    assert [name for name, p in module.named_parameters() if not p.grad.abs().sum() > 0] == []
    assert [name for name, p in module.named_parameters() if torch.equal(p, before[name])] == []
