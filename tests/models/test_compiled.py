"""Every variant under torch.compile, bf16 autocast and torch.export."""

import pytest
import torch
from torch import Tensor, nn

from pipeline.models.vae import VAE
from tests.models.test_contract import LABELS, LEARNED, VARIANTS, model_of, objective_of, windows


def trained(name: str) -> tuple[VAE, Tensor]:
    """A model of 1 s windows whose running statistics have moved, in evaluation mode, and windows."""
    model, shape, kind = model_of(name, 1.0)
    x = windows(shape, kind)
    with torch.no_grad():
        model.train()(x, torch.randn(len(x), model.latent_dims), LABELS)
    return model.eval(), x


class Encode(nn.Module):
    """The latents of windows, as a module: what is exported gives tensors."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        return self.model.encode(x, None, label).mean


class Decode(Encode):
    """Windows of latents."""

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        return self.model.decode(z, label)


@pytest.mark.parametrize("name", VARIANTS)
def test_compiled_it_gives_the_same(name):
    model, x = trained(name)
    torch._dynamo.reset()
    with torch.no_grad():
        expected, code = model(x, None, LABELS)
        found, compiled = torch.compile(model, backend="eager")(x, None, LABELS)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(compiled.mean, code.mean)


@pytest.mark.slow
def test_compiled_by_inductor_it_gives_the_same():
    model, x = trained("mel_conv")
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(model)(x)[0], model(x)[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", LEARNED)
def test_in_bf16_the_loss_is_finite_and_near_that_in_32_bits(name):
    losses = []
    for enabled in (False, True):
        model, shape, kind = model_of(name, 1.0)
        x, objective = windows(shape, kind), objective_of(name, 1.0)
        noise = torch.randn(len(x), model.latent_dims, generator=torch.Generator().manual_seed(0))
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            y, code = model(x, noise, LABELS)
        nats = objective.nats(objective.combined(objective.distances(y, x, code))).mean()
        total = (nats + objective.regulariser(objective.divergence(code), code, 1.0)) / objective.signal.values
        total.backward()
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())
        losses.append(float(total.detach()))
    assert losses[1] == pytest.approx(losses[0], abs=0.02, rel=0.02)


@pytest.mark.parametrize("name", VARIANTS)
def test_encoder_and_decoder_are_exported(name):
    model, x = trained(name)
    with torch.no_grad():
        z = Encode(model)(x, LABELS)
        torch.testing.assert_close(torch.export.export(Encode(model), (x, LABELS)).module()(x, LABELS), z)
        y = Decode(model)(z, LABELS)
        torch.testing.assert_close(torch.export.export(Decode(model), (z, LABELS)).module()(z, LABELS), y)
