"""Models under torch.compile, bf16 autocast and torch.export."""

from functools import cache

import pytest
import torch
from torch import Tensor, nn

from pipeline.models.vae import VAE
from pipeline.training.batch_loss import batch_loss
from tests.models.variants import LABELS, LEARNED, make_model, make_objective, representatives, windows


@cache
def trained(name: str) -> tuple[VAE, Tensor]:
    """A model in evaluation mode whose running statistics have moved, and windows. Tests only read them."""
    model, shape, kind = make_model(name)
    x = windows(shape, kind)
    with torch.no_grad():
        model.train()(x, torch.randn(len(x), model.latent_dims), LABELS)
    return model.eval(), x


class Encode(nn.Module):
    """The posterior mean of windows."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        return self.model.encode(x, None, label).mean


class Decode(Encode):
    """The windows of latents."""

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        return self.model.decode(z, label)


@pytest.mark.parametrize("name", representatives())
def test_a_compiled_model_gives_the_same(name):
    model, x = trained(name)
    torch._dynamo.reset()
    with torch.no_grad():
        expected, code = model(x, None, LABELS)
        y, compiled = torch.compile(model, backend="eager")(x, None, LABELS)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(compiled.mean, code.mean)


@pytest.mark.slow
def test_a_model_compiled_by_inductor_gives_the_same():
    model, x = trained("mel_conv")
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(model)(x)[0], model(x)[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", LEARNED)
def test_the_loss_in_bf16_is_finite_and_close_to_that_in_32_bits(name):
    losses = []
    for enabled in (False, True):
        model, shape, kind = make_model(name)
        x, objective = windows(shape, kind), make_objective(name)
        noise = torch.randn(len(x), model.latent_dims, generator=torch.Generator().manual_seed(0))
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            loss, _ = batch_loss(model, objective, x, noise, LABELS, 1.0)
        (loss / objective.signal.size).backward()
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())
        losses.append(float(loss.detach()) / objective.signal.size)
    assert losses[1] == pytest.approx(losses[0], abs=0.02, rel=0.02)


@pytest.mark.parametrize("name", representatives())
def test_encoder_and_decoder_can_be_exported(name):
    model, x = trained(name)
    with torch.no_grad():
        z = Encode(model)(x, LABELS)
        if not model.is_inverse:  # torch.export knows no gradient inside a model
            torch.testing.assert_close(torch.export.export(Encode(model), (x, LABELS)).module()(x, LABELS), z)
        y = Decode(model)(z, LABELS)
        torch.testing.assert_close(torch.export.export(Decode(model), (z, LABELS)).module()(z, LABELS), y)
