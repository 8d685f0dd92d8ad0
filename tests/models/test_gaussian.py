"""Gaussian bottlenecks: forms of the posterior, learned priors."""

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal, kl_divergence

from pipeline.losses import kl
from pipeline.losses.config import LossConfig
from pipeline.losses.objective import Objective
from pipeline.models import store
from pipeline.models.bottlenecks.gaussian import Gaussian
from pipeline.models.config import GaussianConfig
from pipeline.models.signal import Signal
from tests.models.test_contract import described, model_of, windows

SHAPE = (6, 3, 5)  # channels, bands, frames
STANDARD = {"type": "standard"}
NORMAL = {"type": "normal"}
MIXTURE, VAMP = {"type": "mixture", "components": 4}, {"type": "vamp", "pseudo_inputs": 7}


def make(latent: int = 4, **options) -> Gaussian:
    torch.manual_seed(0)
    return Gaussian(GaussianConfig(type="gaussian", latent=latent, **options), SHAPE)


def features(number: int = 8) -> torch.Tensor:
    return torch.randn(number, *SHAPE, generator=torch.Generator().manual_seed(1))


def noise(bottleneck: Gaussian, number: int = 8) -> torch.Tensor:
    return torch.randn(number, bottleneck.latent_dims, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("layout", ["vector", "sequence"])
def test_isotropic_posterior_has_one_deviation_per_window(layout):
    std = make(layout=layout, covariance="isotropic").encode(features()).std
    assert torch.equal(std, std[:, :1].expand_as(std)) and len(std[:, 0].unique()) == 8
    diagonal = make(layout=layout).encode(features()).std
    assert (diagonal.std(1) > 0).all()


@pytest.mark.parametrize("layout", ["vector", "sequence"])
def test_batch_norm_gives_means_the_fixed_variance_and_the_kl_a_floor(layout):
    middle = make(layout=layout, batch_norm=True).train()
    code = middle.encode(features(64))
    by_dimension = code.mean.reshape(64, 4, -1).transpose(0, 1).flatten(1)
    torch.testing.assert_close(by_dimension.mean(1), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(by_dimension.var(1, correction=0), torch.ones(4), atol=1e-3, rtol=0)
    assert (kl.analytic(code).reshape(64, 4, -1).mean((0, 2)) > 0.499).all()


def test_batch_norm_in_evaluation_keeps_windows_apart_and_takes_a_single_one_in_training():
    middle = make(batch_norm=True).train()
    for _ in range(100):
        middle.encode(features(64))
    whole = middle.eval().encode(features(64)).mean
    torch.testing.assert_close(whole.var(0, correction=0), torch.ones(4), atol=0.05, rtol=0)
    torch.testing.assert_close(middle.encode(features(64)[:1]).mean, whole[:1])
    torch.testing.assert_close(middle.train().encode(features(64)[:1]).mean, whole[:1])


def test_monte_carlo_kl_of_the_standard_prior_comes_near_the_analytic_one():
    middle = make()
    code = middle.encode(features(1).expand(20000, *SHAPE), noise(middle, 20000))
    torch.testing.assert_close(kl.monte_carlo(code).mean(0), kl.analytic(code)[0], atol=0.03, rtol=0.03)


@pytest.mark.parametrize("layout", ["vector", "sequence"])
def test_a_mixture_of_equal_standard_parts_has_the_kl_of_a_standard_normal(layout):
    middle = make(layout=layout, prior=MIXTURE)
    torch.nn.init.zeros_(middle.learned.mean)
    code = middle.encode(features(), noise(middle))
    plain = make(layout=layout)
    plain.load_state_dict(middle.state_dict(), strict=False)
    expected = kl.monte_carlo(plain.encode(features(), noise(middle))).sum(1)
    assert code.prior_mean is None and code.rate.shape == (8, 1 if layout == "vector" else 15)
    torch.testing.assert_close(kl.divergence(code).sum(1), expected, atol=0.02, rtol=1e-3)


@pytest.mark.parametrize("prior", [MIXTURE, VAMP])
def test_density_of_a_learned_prior_is_torchs(prior):
    middle = make(prior=prior)
    if prior is MIXTURE:
        torch.nn.init.normal_(middle.learned.logits)
    with torch.no_grad():
        weights, mean, std = middle.learned.parts(middle.posterior)
        expected = MixtureSameFamily(Categorical(logits=weights), Independent(Normal(mean, std), 1))
        z = torch.randn(9, 4)
        found = middle.learned.log_prob(z[..., None], middle.posterior)[:, 0]
        torch.testing.assert_close(found, expected.log_prob(z))
    assert float(weights.exp().sum()) == pytest.approx(1.0)


def test_parts_of_vamp_are_posteriors_of_its_inputs():
    middle = make(prior=VAMP)
    with torch.no_grad():
        _, mean, std = middle.learned.parts(middle.posterior)
        code = middle.encode(middle.learned.inputs.reshape(7, *SHAPE))
    torch.testing.assert_close(mean, code.mean)
    torch.testing.assert_close(std, code.std)


@pytest.mark.parametrize("layout", ["vector", "sequence"])
@pytest.mark.parametrize("prior", [MIXTURE, VAMP])
def test_draws_of_a_learned_prior_have_its_moments_and_are_the_generators(prior, layout):
    middle = make(prior=prior, layout=layout)
    with torch.no_grad():
        middle.to_posterior.weight *= 3  # parts well apart
        weights, mean, std = middle.learned.parts(middle.posterior)
        draw = middle.prior(20000, torch.Generator().manual_seed(3))
        assert draw.shape == (20000, middle.latent_dims)
        assert torch.equal(draw, middle.prior(20000, torch.Generator().manual_seed(3)))
        assert not torch.equal(draw, middle.prior(20000, torch.Generator().manual_seed(4)))
        by_dimension = draw.reshape(20000, 4, -1)
        centre = (weights.exp()[:, None] * mean).sum(0)
        total = (weights.exp()[:, None] * (std.square() + mean.square())).sum(0) - centre.square()
        torch.testing.assert_close(by_dimension.mean((0, 2)), centre, atol=0.05, rtol=0.05)
        torch.testing.assert_close(by_dimension.var((0, 2)), total, atol=0.05, rtol=0.05)
        expected = total.sqrt().repeat_interleave(middle.flat[1])
        torch.testing.assert_close(middle.latent_std(), expected, atol=0.05, rtol=0.15)


@pytest.mark.parametrize("prior", [MIXTURE, VAMP])
def test_a_learned_prior_comes_to_fit_latents_in_two_groups(prior):
    middle = make(latent=2, prior=prior)
    x = features(64) + 4 * torch.where(torch.arange(64) % 2 == 0, 1.0, -1.0)[:, None, None, None]
    optimiser = torch.optim.AdamW(middle.parameters(), 0.02)
    for _ in range(200):
        code = middle.encode(x, torch.randn(64, 2))
        mean, std = code.mean, code.std
        # The latents must keep both groups apart, at 3 and -3, with a deviation of 0.5.
        place = 3.0 * torch.sign(x.mean((1, 2, 3)))[:, None]
        loss = (mean - place).square().sum(1).mean() + (std.log() - 0.5).square().sum(1).mean() + code.rate.mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        code = middle.encode(x, torch.randn(64, 2))
        standard = kl_divergence(Normal(code.mean, code.std), Normal(0.0, 1.0)).sum(1).mean()
    assert float(code.rate.mean()) < 0.5 * float(standard)


@pytest.mark.parametrize("layout", ["vector", "sequence"])
@pytest.mark.parametrize(
    "options",
    [{"covariance": "isotropic"}, {"batch_norm": True}, {"prior": NORMAL}, {"prior": MIXTURE}, {"prior": VAMP}],
)
def test_every_option_is_learnt_and_comes_back_from_its_file(options, layout, tmp_path):
    model, shape, kind = model_of("mel_conv", 1.0, network={"channels": [4, 8]}, layout=layout, latent=3, **options)
    loss = LossConfig(kl={"estimator": "monte_carlo"} if "prior" in options else {})
    objective = Objective(loss, Signal(kind, shape, 0.5, 0.2, {}))
    x = windows(shape, kind)
    y, code = model.train()(x, torch.randn(4, model.latent_dims))
    nats = objective.nats(objective.combined(objective.distances(y, x, code))).mean()
    (nats + objective.regulariser(objective.divergence(code), code, 1.0)).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []
    description = described("mel_conv", 1.0, {"channels": [4, 8]}, layout=layout, latent=3, **options)
    store.save(tmp_path, model, description)
    loaded, _ = store.load(tmp_path)
    with torch.no_grad():
        again, known = (m.encode(x, torch.ones(4, m.latent_dims)) for m in (loaded, model.eval()))
        assert torch.equal(again.z, known.z) and torch.equal(kl.divergence(again), kl.divergence(known))
        draws = [m.sample(2, torch.Generator().manual_seed(0)) for m in (loaded, model)]
        assert torch.equal(*draws)


def learnt_normal(layout: str = "vector") -> Gaussian:
    """With a prior that is not the standard normal that it begins as."""
    middle = make(layout=layout, prior=NORMAL)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in middle.learned.parameters():
            parameter += 0.5 * torch.randn(parameter.shape, generator=generator)
    return middle


def of_position(middle: Gaussian) -> MultivariateNormal:
    inverse = torch.linalg.inv(middle.learned.whitening())
    return MultivariateNormal(middle.learned.mean, inverse @ inverse.T)


@pytest.mark.parametrize("layout", ["vector", "sequence"])
def test_a_normal_prior_begins_as_a_standard_one(layout):
    code = make(layout=layout, prior=NORMAL).encode(features())
    plain = make(layout=layout).encode(features())
    torch.testing.assert_close(kl.divergence(code).sum(1), kl.analytic(plain).sum(1), atol=2e-2, rtol=1e-3)


@pytest.mark.parametrize("layout", ["vector", "sequence"])
def test_the_kl_from_a_normal_prior_is_that_of_torch(layout):
    middle = learnt_normal(layout)
    code = middle.encode(features(), noise(middle))
    mean, std = (t.reshape(8, 4, -1).transpose(1, 2) for t in (code.mean, code.std))
    expected = kl_divergence(MultivariateNormal(mean, torch.diag_embed(std.square())), of_position(middle)).sum(1)
    assert code.rate.shape == code.mean.shape
    torch.testing.assert_close(code.rate.sum(1), expected, atol=1e-3, rtol=1e-4)


def test_draws_from_a_normal_prior_have_its_mean_and_covariance():
    middle = learnt_normal()
    drawn = middle.prior(50_000, torch.Generator().manual_seed(0))
    expected = of_position(middle)
    torch.testing.assert_close(drawn.mean(0), expected.mean, atol=0.05, rtol=0.02)
    torch.testing.assert_close(torch.cov(drawn.T), expected.covariance_matrix, atol=0.1, rtol=0.05)
    torch.testing.assert_close(middle.latent_std(), expected.variance.sqrt(), atol=0.05, rtol=0.1)
