"""The Gaussian bottleneck: forms of the posterior, and learned priors."""

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
from pipeline.training.batch_loss import batch_loss
from tests.models.variants import LABELS, description_of, make_model, minimise, windows

SHAPE = (6, 3, 5)  # channels, bands, frames
NORMAL = {"type": "normal"}
MIXTURE, VAMP = {"type": "mixture", "components": 4}, {"type": "vamp", "pseudo_inputs": 7}
both_layouts = pytest.mark.parametrize("layout", ["vector", "sequence"])
both_mixtures = pytest.mark.parametrize("prior", [MIXTURE, VAMP])


def make(latent: int = 4, **options) -> Gaussian:
    torch.manual_seed(0)
    return Gaussian(GaussianConfig(type="gaussian", latent=latent, **options), SHAPE)


def features(number: int = 8) -> torch.Tensor:
    return torch.randn(number, *SHAPE, generator=torch.Generator().manual_seed(1))


def noise(bottleneck: Gaussian) -> torch.Tensor:
    return torch.randn(8, bottleneck.latent_dims, generator=torch.Generator().manual_seed(2))


@both_layouts
def test_an_isotropic_posterior_has_one_deviation_per_window(layout):
    std = make(layout=layout, covariance="isotropic").encode(features()).std
    assert torch.equal(std, std[:, :1].expand_as(std)) and len(std[:, 0].unique()) == 8
    diagonal = make(layout=layout).encode(features()).std
    assert (diagonal.std(1) > 0).all()


@both_layouts
def test_batch_norm_gives_the_means_unit_variance_and_the_kl_a_floor(layout):
    bottleneck = make(layout=layout, batch_norm=True).train()
    code = bottleneck.encode(features(64))
    by_dimension = code.mean.reshape(64, 4, -1).transpose(0, 1).flatten(1)
    torch.testing.assert_close(by_dimension.mean(1), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(by_dimension.var(1, correction=0), torch.ones(4), atol=1e-3, rtol=0)
    assert (kl.analytic(code).reshape(64, 4, -1).mean((0, 2)) > 0.499).all()


def test_batch_norm_uses_running_statistics_in_evaluation_and_for_a_single_window():
    bottleneck = make(batch_norm=True).train()
    for _ in range(100):
        bottleneck.encode(features(64))
    means = bottleneck.eval().encode(features(64)).mean
    torch.testing.assert_close(means.var(0, correction=0), torch.ones(4), atol=0.05, rtol=0)
    torch.testing.assert_close(bottleneck.encode(features(64)[:1]).mean, means[:1])
    torch.testing.assert_close(bottleneck.train().encode(features(64)[:1]).mean, means[:1])


@both_layouts
def test_a_mixture_of_equal_standard_components_has_the_kl_of_a_standard_normal(layout):
    bottleneck = make(layout=layout, prior=MIXTURE)
    torch.nn.init.zeros_(bottleneck.learned.mean)
    code = bottleneck.encode(features(), noise(bottleneck))
    standard = make(layout=layout)
    standard.load_state_dict(bottleneck.state_dict(), strict=False)
    expected = kl.monte_carlo(standard.encode(features(), noise(bottleneck))).sum(1)
    assert code.kl.shape == (8, 1 if layout == "vector" else 15)
    torch.testing.assert_close(kl.divergence(code).sum(1), expected, atol=0.02, rtol=1e-3)


@both_mixtures
def test_the_density_of_a_mixture_is_that_of_torch(prior):
    bottleneck = make(prior=prior)
    if prior is MIXTURE:
        torch.nn.init.normal_(bottleneck.learned.logits)
    with torch.no_grad():
        weights, mean, std = bottleneck.learned.components(bottleneck.posterior)
        expected = MixtureSameFamily(Categorical(logits=weights), Independent(Normal(mean, std), 1))
        z = torch.randn(9, 4)
        density = bottleneck.learned.log_prob(z[..., None], bottleneck.posterior)[:, 0]
        torch.testing.assert_close(density, expected.log_prob(z))
    assert float(weights.exp().sum()) == pytest.approx(1.0)


def test_the_components_of_vamp_are_posteriors_of_its_inputs():
    bottleneck = make(prior=VAMP)
    with torch.no_grad():
        _, mean, std = bottleneck.learned.components(bottleneck.posterior)
        code = bottleneck.encode(bottleneck.learned.inputs.reshape(7, *SHAPE))
    torch.testing.assert_close(mean, code.mean)
    torch.testing.assert_close(std, code.std)


@both_layouts
@both_mixtures
def test_samples_of_a_mixture_have_its_moments_and_depend_on_the_generator(prior, layout):
    bottleneck = make(prior=prior, layout=layout)
    with torch.no_grad():
        bottleneck.to_posterior.weight *= 3  # separates the components
        weights, mean, std = bottleneck.learned.components(bottleneck.posterior)
        z = bottleneck.sample_prior(20000, torch.Generator().manual_seed(3))
        assert z.shape == (20000, bottleneck.latent_dims)
        assert torch.equal(z, bottleneck.sample_prior(20000, torch.Generator().manual_seed(3)))
        assert not torch.equal(z, bottleneck.sample_prior(20000, torch.Generator().manual_seed(4)))
        by_dimension = z.reshape(20000, 4, -1)
        centre = (weights.exp()[:, None] * mean).sum(0)
        variance = (weights.exp()[:, None] * (std.square() + mean.square())).sum(0) - centre.square()
        torch.testing.assert_close(by_dimension.mean((0, 2)), centre, atol=0.05, rtol=0.05)
        torch.testing.assert_close(by_dimension.var((0, 2)), variance, atol=0.05, rtol=0.05)
        expected = variance.sqrt().repeat_interleave(bottleneck.positions)
        torch.testing.assert_close(bottleneck.latent_std(), expected, atol=0.05, rtol=0.15)


@both_mixtures
def test_a_mixture_learns_latents_in_two_groups(prior):
    bottleneck = make(latent=2, prior=prior)
    x = features(64) + 4 * torch.where(torch.arange(64) % 2 == 0, 1.0, -1.0)[:, None, None, None]
    centre = 3.0 * torch.sign(x.mean((1, 2, 3)))[:, None]

    def loss() -> torch.Tensor:
        """Keeps the two groups apart, at 3 and -3."""
        code = bottleneck.encode(x, torch.randn(64, 2))
        groups = (code.mean - centre).square().sum(1).mean() + (code.std.log() - 0.5).square().sum(1).mean()
        return groups + code.kl.mean()

    minimise(torch.optim.AdamW(bottleneck.parameters(), 0.02), loss, 200)
    with torch.no_grad():
        code = bottleneck.encode(x, torch.randn(64, 2))
        standard = kl_divergence(Normal(code.mean, code.std), Normal(0.0, 1.0)).sum(1).mean()
    assert float(code.kl.mean()) < 0.5 * float(standard)


@both_layouts
@pytest.mark.parametrize(
    "options",
    [{"covariance": "isotropic"}, {"batch_norm": True}, {"prior": NORMAL}, {"prior": MIXTURE}, {"prior": VAMP}],
)
def test_every_option_is_trained_saved_and_loaded(options, layout, tmp_path):
    network = {"channels": [4, 8], "strides": 2, "components": None}
    options = {"network": network, "layout": layout, "latent": 3, **options}
    model, shape, kind = make_model("mel_conv", **options)
    loss_config = LossConfig(kl={"estimator": "monte_carlo"} if "prior" in options else {})
    objective, x = Objective(loss_config, Signal(kind, shape, 0.5, 0.2, {})), windows(shape, kind)
    loss, _ = batch_loss(model.train(), objective, x, torch.randn(4, model.latent_dims), LABELS, 1.0)
    loss.backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []
    store.save(tmp_path, model, description_of("mel_conv", **options))
    loaded, _ = store.load(tmp_path)
    with torch.no_grad():
        code, expected = (m.encode(x, torch.ones(4, m.latent_dims)) for m in (loaded, model.eval()))
        assert torch.equal(code.z, expected.z) and torch.equal(kl.divergence(code), kl.divergence(expected))
        assert torch.equal(*(m.sample(2, torch.Generator().manual_seed(0)) for m in (loaded, model)))


def make_learned_normal(layout: str = "vector") -> Gaussian:
    """A bottleneck whose normal prior is no longer standard."""
    bottleneck = make(layout=layout, prior=NORMAL)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in bottleneck.learned.parameters():
            parameter += 0.5 * torch.randn(parameter.shape, generator=generator)
    return bottleneck


def torch_prior(bottleneck: Gaussian) -> MultivariateNormal:
    """The normal prior of one position."""
    inverse = torch.linalg.inv(bottleneck.learned.whitening())
    return MultivariateNormal(bottleneck.learned.mean, inverse @ inverse.T)


@both_layouts
def test_a_normal_prior_starts_as_a_standard_normal(layout):
    code = make(layout=layout, prior=NORMAL).encode(features())
    standard = make(layout=layout).encode(features())
    torch.testing.assert_close(kl.divergence(code).sum(1), kl.analytic(standard).sum(1), atol=2e-2, rtol=1e-3)


@both_layouts
def test_the_kl_from_a_normal_prior_is_that_of_torch(layout):
    bottleneck = make_learned_normal(layout)
    code = bottleneck.encode(features(), noise(bottleneck))
    mean, std = (t.reshape(8, 4, -1).transpose(1, 2) for t in (code.mean, code.std))
    posterior = MultivariateNormal(mean, torch.diag_embed(std.square()))
    assert code.kl.shape == code.mean.shape
    expected = kl_divergence(posterior, torch_prior(bottleneck)).sum(1)
    torch.testing.assert_close(code.kl.sum(1), expected, atol=1e-3, rtol=1e-4)


def test_samples_from_a_normal_prior_have_its_mean_and_covariance():
    bottleneck = make_learned_normal()
    z = bottleneck.sample_prior(50_000, torch.Generator().manual_seed(0))
    expected = torch_prior(bottleneck)
    torch.testing.assert_close(z.mean(0), expected.mean, atol=0.05, rtol=0.02)
    torch.testing.assert_close(torch.cov(z.T), expected.covariance_matrix, atol=0.1, rtol=0.05)
    torch.testing.assert_close(bottleneck.latent_std(), expected.variance.sqrt(), atol=0.05, rtol=0.1)
