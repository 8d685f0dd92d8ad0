"""Quantisers: codes that stay in use, the prior over the codes, and penalties in the loss."""

import copy

import pytest
import torch
from safetensors.torch import load, save
from torch.nn import functional

from pipeline.losses.config import CodebookConfig, KLConfig, LossConfig
from pipeline.losses.objective import Objective
from pipeline.models.bottlenecks.fsq import FSQ
from pipeline.models.bottlenecks.quantised import CodePrior
from pipeline.models.bottlenecks.vq import KMEANS_BATCHES, VQ, usage_penalty
from pipeline.models.config import FSQConfig, VQConfig
from pipeline.models.signal import Signal
from tests.models.variants import minimise

SHAPE = (16, 4, 10)  # channels, places of a frame, frames


def make_vq(codes: int = 32) -> VQ:
    torch.manual_seed(0)
    return VQ(VQConfig(type="vq", codes=codes, dim=8, prior_width=16), SHAPE)


def make_fsq() -> FSQ:
    torch.manual_seed(0)
    return FSQ(FSQConfig(type="fsq", levels=[5, 4, 3], prior_width=16), SHAPE)


both_quantisers = pytest.mark.parametrize("make", [make_vq, make_fsq])


def features(seed: int, number: int = 8) -> torch.Tensor:
    return torch.randn(number, *SHAPE, generator=torch.Generator().manual_seed(seed))


def unit_vectors(number: int, dim: int = 8, seed: int = 0) -> torch.Tensor:
    return functional.normalize(torch.randn(number, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


def perplexity(indices: torch.Tensor, codes: int) -> float:
    share = torch.bincount(indices.flatten(), minlength=codes) / indices.numel()
    return float(torch.special.entr(share).sum().exp())


def test_kmeans_over_the_first_batches_finds_all_clusters():
    """A single batch has a tenth of the clusters."""
    bottleneck = make_vq(codes=64).train()
    generator = torch.Generator().manual_seed(0)
    centres = functional.normalize(torch.randn(2 * KMEANS_BATCHES, 8, generator=generator), dim=1)
    noise = 0.01 * torch.randn(KMEANS_BATCHES, 2, 100, 8, generator=generator)
    batches = centres.reshape(KMEANS_BATCHES, 2, 1, 8) + noise
    similarities = []
    for batch in batches:
        bottleneck.look_up(batch)
        similarities.append(float((centres @ bottleneck.codes().T).amax(1).mean()))
    assert similarities[0] < 0.8 and similarities[-1] > 0.95, "all clusters are found, not those of one batch"
    assert not bottleneck.encodings, "the gathered encodings are released"
    before = bottleneck.codes().clone()
    bottleneck.look_up(batches[0])
    assert functional.cosine_similarity(before, bottleneck.codes()).median() > 0.99, "later batches move it slowly"


@pytest.mark.parametrize("steps_before", [0, 3, KMEANS_BATCHES, KMEANS_BATCHES + 3])
def test_training_resumes_from_the_state_dict(steps_before):
    """Also within the first batches: k-means continues."""

    def train(bottleneck: VQ, steps: range) -> dict[str, torch.Tensor]:
        for step in steps:
            torch.manual_seed(step)
            bottleneck.encode(features(step))
        return bottleneck.state_dict()

    bottleneck, resumed = make_vq().train(), make_vq().train()
    saved = load(save(train(bottleneck, range(steps_before))))
    train(resumed, range(50, 52))  # a different state, to be replaced
    resumed.load_state_dict(saved)
    rest = range(steps_before, KMEANS_BATCHES + 5)
    expected, state = train(bottleneck, rest), train(resumed, rest)
    assert all(torch.equal(value, state[name]) for name, value in expected.items())


def test_unused_codes_come_back():
    bottleneck = make_vq(codes=32).train()
    for step in range(KMEANS_BATCHES + 5):
        before = perplexity(bottleneck.encode(features(step)).indices, 32)
    book = bottleneck.quantiser._codebook
    with torch.no_grad():  # make all codes but two equal
        book.embed[0, 2:] = book.embed[0, 0]
        book.embed_avg[0, 2:] = book.embed_avg[0, 0]
        book.cluster_size[0, 2:] = 0.0
    assert perplexity(copy.deepcopy(bottleneck).eval().encode(features(100)).indices, 32) <= 2
    for step in range(20):
        bottleneck.encode(features(200 + step))
    assert perplexity(bottleneck.eval().encode(features(100)).indices, 32) > 0.8 * before > 16


def test_codes_settle_even_with_fewer_encodings_than_codes():
    bottleneck = make_vq(codes=128).train()  # 8 x 15 encodings per batch
    for step in range(150):
        bottleneck.encode(features(step))
    before = bottleneck.codes().clone()
    bottleneck.encode(features(1000))
    replaced = (bottleneck.codes() - before).norm(dim=1) > 0.5  # a moving average moves by about a hundredth
    assert float(replaced.float().mean()) < 0.2


def test_evaluation_does_not_change_the_codebook():
    bottleneck = make_vq()
    for steps in (0, KMEANS_BATCHES + 2):  # also before any training
        for step in range(steps):
            bottleneck.train().encode(features(step))
        before = copy.deepcopy(bottleneck.state_dict())
        code = bottleneck.eval().encode(features(50))
        assert all(torch.equal(value, before[name]) for name, value in bottleneck.state_dict().items())
        assert torch.equal(code.z, bottleneck.latents(code.indices))


@both_quantisers
def test_the_gradient_passes_the_quantiser(make):
    bottleneck, x = make().train(), features(0).requires_grad_()
    code = bottleneck.encode(x)
    (gradient,) = torch.autograd.grad(code.z.square().sum() + code.z.sum(), x)
    assert torch.isfinite(gradient).all() and (gradient.flatten(1).norm(dim=1) > 0).all()


def test_codes_of_the_grid_match_their_indices():
    bottleneck = make_fsq()
    codes = bottleneck.codes()
    assert codes.unique(dim=0).shape == (60, 3) and codes.abs().max() <= 1
    assert torch.equal(bottleneck.quantiser.codes_to_indices(codes).long(), torch.arange(60))
    code = bottleneck.encode(3 * features(0))
    assert torch.equal(code.z, bottleneck.latents(code.indices))
    assert torch.equal(code.z, bottleneck.quantise(code.z))


@both_quantisers
def test_quantise_gives_the_nearest_codes(make):
    bottleneck = make().eval()
    z = bottleneck.encode(features(0)).z
    assert torch.equal(bottleneck.quantise(z + 1e-3 * torch.randn_like(z)), z)
    z = torch.randn_like(z)
    vectors, codes = (
        v.reshape(len(z), bottleneck.dim, -1).movedim(1, 2).reshape(-1, bottleneck.dim)
        for v in (z, bottleneck.quantise(z))
    )
    smallest = (vectors[:, None] - bottleneck.codes()).square().sum(-1).amin(1)
    torch.testing.assert_close((vectors - codes).square().sum(-1), smallest)


def test_positions_are_ordered_by_time():
    """A change of the last frame changes the last codes, and only the last frame of the features."""
    bottleneck = make_vq().eval()
    x = features(0, 1)
    changed = x.clone()
    changed[..., -1] = -x[..., -1]
    a, b = bottleneck.encode(x), bottleneck.encode(changed)
    assert torch.equal(a.indices[:, :-4], b.indices[:, :-4]) and (a.indices[:, -4:] != b.indices[:, -4:]).any()
    y_a, y_b = bottleneck.decode(a.z), bottleneck.decode(b.z)
    assert y_a.shape == x.shape
    assert torch.equal(y_a[..., :-1], y_b[..., :-1]) and not torch.equal(y_a[..., -1], y_b[..., -1])


def make_prior(places: int = 4) -> CodePrior:
    torch.manual_seed(0)
    return CodePrior(12, 3, places, 16)


CODES = unit_vectors(12, 3, seed=5)


def test_a_copy_of_the_prior_keeps_its_weights_in_one_piece(monkeypatch):
    """On a CPU they may lie anywhere, so this sees only that torch is asked."""
    asked = []
    monkeypatch.setattr(torch.nn.LSTM, "flatten_parameters", lambda lstm: asked.append(lstm))
    copied = copy.deepcopy(make_vq())
    assert copied.code_prior.recurrent in asked


@pytest.mark.parametrize("places", [1, 4])
def test_the_prior_gives_the_same_in_one_pass_and_step_by_step(places):
    prior = make_prior(places)
    indices = torch.randint(0, 12, (3, 20), generator=torch.Generator().manual_seed(0))
    in_one_pass = prior(indices, CODES)
    state, nats = None, []
    for n in range(20):
        before = indices[:, n - 1 : n] if n else torch.full((3, 1), 12)
        frame = indices[:, n - places : n - places + 1] if n >= places else torch.full((3, 1), 12)
        logits, state = prior.step(before, frame, torch.tensor([n % places]), state, CODES)
        nats.append(-logits[:, 0].log_softmax(-1).gather(1, indices[:, n : n + 1]))
    torch.testing.assert_close(in_one_pass, torch.cat(nats, dim=1))
    changed = indices.clone()
    changed[:, 12:] = (changed[:, 12:] + 1) % 12
    assert torch.equal(prior(changed, CODES)[:, :12], in_one_pass[:, :12]), "it does not see later codes"


def test_the_prior_is_a_distribution():
    """The probabilities of all sequences sum to 1."""
    torch.manual_seed(0)
    prior = CodePrior(2, 3, 2, 8)
    sequences = torch.tensor([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    assert float(torch.exp(-prior(sequences, CODES[:2]).sum(1)).sum().detach()) == pytest.approx(1, abs=1e-5)


def test_the_prior_learns_a_pattern_and_samples_it():
    prior = make_prior()
    pattern = (torch.arange(40)[None] + 3 * torch.arange(4)[:, None]) % 12
    minimise(torch.optim.AdamW(prior.parameters(), 1e-2), lambda: prior(pattern, CODES).sum(1).mean(), 100)
    samples = prior.sample(6, 40, CODES, torch.Generator().manual_seed(0))
    assert ((samples[:, 1:] - samples[:, :-1]) % 12 == 1).float().mean() > 0.8, "chance is a twelfth"


@both_quantisers
def test_samples_depend_on_the_generator_alone(make):
    bottleneck = make()
    torch.manual_seed(1)
    z = bottleneck.sample_prior(4, torch.Generator().manual_seed(0))
    torch.manual_seed(2)
    assert torch.equal(z, bottleneck.sample_prior(4, torch.Generator().manual_seed(0)))
    assert not torch.equal(z, bottleneck.sample_prior(4, torch.Generator().manual_seed(1)))
    assert z.shape == (4, bottleneck.latent_dims) and len(z.unique(dim=0)) == 4
    assert torch.equal(z, bottleneck.quantise(z)), "they consist of codes"


def make_objective(beta: float = 0.0, **codebook) -> Objective:
    config = LossConfig(
        kl=KLConfig(beta=beta, schedule="constant"), codebook=CodebookConfig(**codebook) if codebook else None
    )
    return Objective(config, Signal("mel", (10, 10), 0.5, 0.2, {}))


def test_the_usage_penalty_is_zero_for_even_usage_and_one_for_a_single_code():
    codes = unit_vectors(16)
    assert float(usage_penalty(codes.repeat(3, 1), codes)) == pytest.approx(0, abs=1e-4)
    assert float(usage_penalty(codes[:1].repeat(48, 1), codes)) == pytest.approx(1, abs=1e-4)
    assert float(usage_penalty(codes[:4].repeat(12, 1), codes)) == pytest.approx(0.5, abs=1e-3), "log 4 of log 16"


def test_the_usage_penalty_spreads_encodings():
    codes = unit_vectors(16)
    encodings = codes[:1] + 0.3 * torch.randn(200, 8, generator=torch.Generator().manual_seed(1))
    encodings.requires_grad_()
    optimiser = torch.optim.Adam([encodings], 0.05)
    losses = minimise(optimiser, lambda: usage_penalty(functional.normalize(encodings, dim=1), codes), 50)
    assert losses[-1] < 0.5 * losses[0]


def test_penalties_count_in_nats_per_value():
    code = make_vq().train().encode(features(0))
    penalties = {name: float(value.detach()) for name, value in code.penalties.items()}
    assert make_objective().regulariser(code.kl, code, 1.0) == 0
    fixed = make_objective(commitment=0.25, usage=0.5).regulariser(code.kl, code, 1.0)
    expected = 100 * (0.25 * penalties["commitment"] + 0.5 * penalties["usage"])
    assert float(fixed.detach()) == pytest.approx(expected, rel=1e-5)
    adaptive = make_objective(commitment=0.25, adaptive=True).regulariser(code.kl, code, 1.0)
    relative = penalties["commitment"] / penalties["encoding_variance"]
    assert float(adaptive.detach()) == pytest.approx(25 * relative, rel=1e-5)


def test_the_encoding_variance_is_smaller_for_similar_encodings():
    """An adaptive commitment then has a larger weight."""
    bottleneck = make_vq().train()
    wide = bottleneck.encode(features(0)).penalties["encoding_variance"]
    narrow = bottleneck.encode(features(0) + 10).penalties["encoding_variance"]
    assert 0 < narrow < 0.5 * wide < 0.5


@pytest.mark.parametrize("beta", [0.0, 1e-6, 1.0])
def test_the_prior_learns_with_any_beta_and_the_encoder_gets_no_gradient_of_it(beta):
    bottleneck = make_vq().train()
    code = bottleneck.encode(features(0).requires_grad_())
    loss = make_objective(beta).regulariser(code.kl, code, 0.0)
    assert float(loss.detach()) == pytest.approx(beta * float(code.kl.detach().sum(1).mean()), rel=1e-5)
    loss.backward()
    expected = torch.autograd.grad(
        bottleneck.code_prior(code.indices, bottleneck.codes()).sum(1).mean(), bottleneck.code_prior.logits.weight
    )[0]
    torch.testing.assert_close(bottleneck.code_prior.logits.weight.grad, expected)
    assert bottleneck.to_code.weight.grad is None
