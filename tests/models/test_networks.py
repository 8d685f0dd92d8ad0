"""Properties of single networks, beyond the contract of every variant."""

import math

import numpy as np
import pytest
import torch
from scipy import signal

from pipeline.models.networks.conv1d import Snake
from pipeline.models.networks.istft import Frames
from pipeline.models.vae import VAE
from tests.models.variants import minimise

CONV = {"type": "conv1d", "channels": [4, 8]}
FC = {"type": "fc", "layers": 2, "width": 16}
TRANSFORMER = {"type": "transformer", "patch": 50, "tokens": 5, "layers": 1, "width": 16, "heads": 2}
ISTFT = {"type": "istft", "n_fft": 64, "hop": 16, "width": 16, "layers": 1}


def make_model(network: dict, samples: int = 1000, layout: str = "sequence", **parts) -> VAE:
    torch.manual_seed(0)
    return VAE(
        {
            "network": network,
            "bottleneck": {"type": "gaussian", "latent": 4, "layout": layout},
            "kind": "waveform",
            "shape": [samples],
            "representation": {"sample_rate": 1000},
            "stats": {"mean": 0.0, "std": 0.3},
        }
        | parts
    )


def waves(samples: int = 1000, number: int = 3) -> torch.Tensor:
    return 0.3 * torch.randn(number, 1, samples, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("samples", [997, 1000, 1003])
@pytest.mark.parametrize(
    "network",
    [
        *(CONV | {"strides": strides} for strides in (2, 3, [5, 2], [25, 5])),
        *(CONV | {"activation": name, "weight_norm": False} for name in ("elu", "leaky_relu")),
        CONV | {"pooling": "global", "skip": True},
        *(CONV | {"pqmf": bands, "skip": skip} for bands in (2, 7, 16) for skip in (False, True)),
        CONV | {"pqmf": 4, "pooling": "global", "weight_norm": False, "head": "tanh"},
        {"type": "resnet1d", "channels": [4, 8], "strides": [3, 4]},
        *(FC | {"frame": frame} for frame in (None, 1, 7)),
        *(TRANSFORMER | {"patch": patch} for patch in (2, 33, 50)),
        *(ISTFT | {"strides": strides} for strides in ([], [3], [2, 5])),
        *(ISTFT | {"n_fft": size, "hop": hop} for size, hop in ((2048, 512), (34, 17), (6, 2))),
    ],
    ids=str,
)
def test_a_reconstruction_is_as_long_as_its_original(network, samples):
    x = waves(samples)
    assert make_model(network, samples).reconstruct(x).shape == x.shape


@pytest.mark.parametrize("pooling", ["none", "global"])
def test_skips_reach_the_reconstruction_but_not_a_decoded_latent(pooling):
    network = CONV | {"pooling": pooling}
    x = waves()
    with torch.no_grad():
        for skip in (False, True):
            model = make_model(network | {"skip": skip}).eval()
            decoded = model.decode(model.encode(x).mean)
            assert decoded.shape == x.shape
            assert torch.equal(model.reconstruct(x), decoded) != skip


@pytest.mark.parametrize("head", ["sigmoid", "tanh"])
def test_a_head_computes_in_32_bits_after_bf16_layers(head):
    head = make_model(CONV | {"head": head}).decoder.head
    x = torch.full((1, 1, 1000), 7.0, dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = head(x)
    y.sum().backward()
    assert y.dtype == torch.float32 and (y < 1).all() and (x.grad > 0).all()


def test_global_pooling_removes_the_position_in_time():
    model = make_model(CONV | {"pooling": "global"}, 4000).eval()
    assert model.encoder.shape == (8, 1) and model.latent_dims == 4
    burst = torch.zeros(4000)
    burst[1600:1616] = torch.sin(torch.arange(16) * 2 * torch.pi / 16)
    with torch.no_grad():
        early, late = model.encode(torch.stack((burst, burst.roll(160)))[:, None]).mean  # ten positions later
        silent = model.encode(torch.zeros(1, 1, 4000)).mean[0]
    torch.testing.assert_close(early, late, atol=1e-6, rtol=1e-4)
    assert (early - silent).abs().max() > 1e-5


def test_snake_is_its_formula():
    snake = Snake(2)
    snake.log_a.data = torch.tensor([[0.0], [1.0]])
    x = torch.linspace(-3, 3, 20).expand(1, 2, 20)
    a = torch.tensor([[1.0], [2.718281828]])
    torch.testing.assert_close(snake(x), x + torch.sin(a * x) ** 2 / a)


def test_weight_norm_separates_length_and_direction():
    names = [name for name, _ in make_model(CONV).named_parameters() if "original0" in name]
    assert names and not [n for n, _ in make_model(CONV | {"weight_norm": False}).named_parameters() if "original" in n]


def test_fifteen_hidden_layers_train():
    model = make_model({"type": "fc", "layers": 15, "width": 32}, 200, "vector")
    phase = torch.rand(16, 1, generator=torch.Generator().manual_seed(0))
    x = 0.5 * torch.sin(torch.arange(200) / 10 + 6.28 * phase)[:, None]
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3)
    losses = minimise(optimiser, lambda: (model(x)[0] - x).square().mean(), 150)
    assert losses[-1] < 0.2 * losses[0]
    gradients = [p.grad.norm() for n, p in model.named_parameters() if n.endswith("layers.1.weight")]
    assert len(gradients) == 28 and min(gradients) > 1e-3 * max(gradients)


def test_frames_are_independent():
    model = make_model(FC | {"frame": 100}).eval()
    x = waves(1000, 1)
    silenced = x.clone()
    silenced[..., 300:400] = 0
    with torch.no_grad():
        changed = (model.reconstruct(x) != model.reconstruct(silenced)).reshape(10, 100).any(1)
    assert changed.nonzero().flatten().tolist() == [3]


def test_every_latent_of_a_transformer_reaches_every_patch():
    model = make_model(TRANSFORMER).eval()
    z = torch.randn(1, model.latent_dims, generator=torch.Generator().manual_seed(0))
    jacobian = torch.autograd.functional.jacobian(lambda z: model.decode(z)[0, 0, ::50], z)
    assert jacobian.shape == (20, 1, model.latent_dims) and (jacobian != 0).all()


def test_a_transformer_sees_the_positions_of_patches_and_latents():
    model = make_model(TRANSFORMER).eval()
    x = waves(1000, 1)
    with torch.no_grad():
        z = model.encode(x).mean.reshape(4, 5)
        rolled = model.encode(x.roll(500, -1)).mean.reshape(4, 5)
        assert (z - rolled).abs().max() > 1e-3
        z = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
        y, flipped = (model.decode(latents.reshape(1, -1))[0, 0] for latents in (z, z.flip(1)))
        equal = model.decode(z[:, :1].expand(4, 5).reshape(1, -1))[0, 0].reshape(20, 50)
    assert (y - flipped).abs().max() > 1e-3
    assert y.reshape(20, 50).std(0).mean() > 2 * equal.std(0).mean()  # equal latents give equal patches


def test_a_latent_of_a_transformer_affects_nearby_patches_most():
    model = make_model(TRANSFORMER).eval()
    z = torch.zeros(1, 4, 5)
    changed = z.clone()
    changed[..., 1] = 3.0  # the second of five tokens: patches 4 to 7
    with torch.no_grad():
        difference = model.decode(changed.flatten(1)) - model.decode(z.flatten(1))
    assert int(difference.reshape(20, 50).square().mean(1).argmax()) in range(4, 8)


@pytest.mark.parametrize("samples", [1, 100, 1023, 1024, 1025, 3000])
@pytest.mark.parametrize(("n_fft", "hop"), [(256, 64), (256, 128), (192, 64), (10, 1)])
def test_an_stft_can_be_inverted_exactly_up_to_both_ends(n_fft, hop, samples):
    frames, x = Frames(n_fft, hop), waves(samples)[:, 0]
    spectra = frames(x)
    assert spectra.shape == (3, math.ceil(samples / hop), n_fft // 2 + 1, 2)
    torch.testing.assert_close(frames.inverse(spectra, samples), x, atol=1e-5, rtol=1e-5)


def test_the_frames_are_those_of_scipy_and_the_power_of_white_noise_is_its_variance():
    frames, x = Frames(64, 16), waves(4000)[:, 0]
    spectra = torch.view_as_complex(frames(x))
    assert spectra.abs().square().mean() == pytest.approx(0.09, rel=0.05)
    hann = signal.get_window("hann", 64)
    stft = signal.ShortTimeFFT(hann / np.linalg.norm(hann), 16, 1, phase_shift=None)
    expected = torch.from_numpy(stft.stft(x.numpy(), 0, 250, k_offset=8)).mT.to(spectra)
    torch.testing.assert_close(spectra, expected, atol=1e-5, rtol=1e-4)


def test_spectra_that_overlap_inconsistently_are_averaged_by_the_squared_windows():
    frames = Frames(64, 16)
    spectra = torch.randn(2, 63, 33, 2, generator=torch.Generator().manual_seed(0))
    y = frames.inverse(spectra, 1000)
    other = y + 0.01 * waves(1000, 2)[:, 0]

    def misfit(y: torch.Tensor) -> torch.Tensor:
        pieces = torch.fft.irfft(torch.view_as_complex(spectra) - torch.view_as_complex(frames(y)), 64)
        return pieces.square().sum()

    assert misfit(y) < misfit(other)  # the least-squares waveform


@pytest.mark.parametrize("head", ["linear", "polar"])
@pytest.mark.parametrize(
    "bottleneck",
    [
        {"type": "gaussian", "latent": 4},
        {"type": "hierarchical", "latent_z2": 2, "latent_z1": 4},
        {"type": "hierarchical", "latent_z2": 2, "latent_z1": 4, "layout": "sequence"},
        {"type": "vq", "codes": 8, "dim": 2},
        {"type": "fsq", "levels": [5, 5]},
    ],
    ids=str,
)
def test_istft_works_with_every_bottleneck_and_a_condition(bottleneck, head):
    parts = {"bottleneck": bottleneck, "condition": {"type": "film"}, "labels": ["a", "b"]}
    model, x = make_model(ISTFT | {"strides": [2], "head": head}, 500, **parts), waves(500)
    y, _ = model(x, torch.randn(3, model.latent_dims), torch.tensor([0, 1, 2]))
    (y - x).square().mean().backward()
    network = [*model.encoder.named_parameters(), *model.decoder.named_parameters()]
    assert y.shape == x.shape and [name for name, p in network if not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize("scale", [0.0, 1e-4, 1.0, 1e3])
@pytest.mark.parametrize("head", ["linear", "polar"])
def test_istft_has_finite_gradients_for_silence_and_loud_windows(scale, head):
    model = make_model(ISTFT | {"head": head})
    x = (scale * waves()).requires_grad_()
    y = model.reconstruct(x)
    y.square().mean().backward()
    assert torch.isfinite(y).all() and torch.isfinite(x.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_weights_of_istft_do_the_same_in_longer_windows():
    network, x = ISTFT | {"strides": [2]}, waves(2000)
    short, long = make_model(network, 1000).eval(), make_model(network, 2000).eval()
    long.load_state_dict(short.state_dict())
    with torch.no_grad():
        y, whole = short.reconstruct(x[..., :1000]), long.reconstruct(x)
    torch.testing.assert_close(y[..., :700], whole[..., :700], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(y[..., -16:], whole[..., 984:1000], atol=1e-3)  # it sees what follows


def test_a_latent_of_istft_changes_only_the_frames_around_it():
    model = make_model(ISTFT).eval()
    z = torch.randn(1, 4, 63, generator=torch.Generator().manual_seed(0))
    changed = z.clone()
    changed[..., 30] = 0
    with torch.no_grad():
        difference = (model.decode(z.flatten(1)) - model.decode(changed.flatten(1)))[0, 0]
    where = difference.abs() > 1e-6
    # Frames 27 to 33 by the kernel of one block, each 64 samples long and centred on its 16.
    assert where[30 * 16 : 31 * 16].any() and not where[: 27 * 16 - 24].any() and not where[33 * 16 + 40 :].any()
