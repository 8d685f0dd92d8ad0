"""Quantisers: codes that stay in use, their prior, and what the loss block makes of them."""

import copy

import pytest
import torch
from safetensors.torch import load, save
from torch.nn import functional

from pipeline.losses.config import CodebookConfig, KLConfig, LossConfig
from pipeline.losses.objective import Objective
from pipeline.models.bottlenecks.fsq import FSQ
from pipeline.models.bottlenecks.vq import BATCHES, VQ, unevenness
from pipeline.models.config import FSQConfig, VQConfig
from pipeline.models.priors.codes import CodePrior
from pipeline.models.signal import Signal

SHAPE = (16, 4, 10)  # channels, places of a frame, frames


def vq(codes: int = 32) -> VQ:
    torch.manual_seed(0)
    return VQ(VQConfig(type="vq", codes=codes, dim=8, prior_width=16), SHAPE)


def fsq(levels: tuple[int, ...] = (5, 4, 3)) -> FSQ:
    torch.manual_seed(0)
    return FSQ(FSQConfig(type="fsq", levels=list(levels), prior_width=16), SHAPE)


def features(seed: int, number: int = 8) -> torch.Tensor:
    return torch.randn(number, *SHAPE, generator=torch.Generator().manual_seed(seed))


def perplexity(indices: torch.Tensor, codes: int) -> float:
    share = torch.bincount(indices.flatten(), minlength=codes) / indices.numel()
    return float(torch.special.entr(share).sum().exp())


def test_k_means_over_the_first_batches_finds_the_clusters():
    """Of which no single batch holds more than a tenth."""
    bottleneck = vq(codes=64).train()
    generator = torch.Generator().manual_seed(0)
    centres = functional.normalize(torch.randn(2 * BATCHES, 8, generator=generator), dim=1)
    batches = centres.reshape(BATCHES, 2, 1, 8) + 0.01 * torch.randn(BATCHES, 2, 100, 8, generator=generator)
    found = []
    for batch in batches:
        bottleneck.look_up(batch)
        found.append(float((centres @ bottleneck.codes().T).amax(1).mean()))
    assert found[0] < 0.8 and found[-1] > 0.95, "all clusters are found, not those of the first batch alone"
    assert not bottleneck.encodings, "what was gathered is let go"
    before = bottleneck.codes().clone()
    bottleneck.look_up(batches[0])
    assert functional.cosine_similarity(before, bottleneck.codes()).median() > 0.99, "later batches move it slowly"


@pytest.mark.parametrize("begun", [0, 3, BATCHES, BATCHES + 3])
def test_the_state_dict_holds_all_of_a_training(begun):
    """Also in the middle of the first batches: k-means goes on from there."""

    def steps(bottleneck: VQ, numbers: range) -> dict[str, torch.Tensor]:
        for step in numbers:
            torch.manual_seed(step)
            bottleneck.encode(features(step))
        return bottleneck.state_dict()

    bottleneck, other = vq().train(), vq().train()
    kept = load(save(steps(bottleneck, range(begun))))
    steps(other, range(50, 52))  # something else is in it
    other.load_state_dict(kept)
    last = range(begun, BATCHES + 5)
    expected, found = steps(bottleneck, last), steps(other, last)
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_killed_codes_come_back():
    bottleneck = vq(codes=32).train()
    for step in range(BATCHES + 5):
        used = perplexity(bottleneck.encode(features(step)).indices, 32)
    book = bottleneck.quantiser._codebook
    with torch.no_grad():  # all but two lie where no encoding is nearest to them
        book.embed[0, 2:] = book.embed[0, 0]
        book.embed_avg[0, 2:] = book.embed_avg[0, 0]
        book.cluster_size[0, 2:] = 0.0
    assert perplexity(copy.deepcopy(bottleneck).eval().encode(features(100)).indices, 32) <= 2
    for step in range(20):
        bottleneck.encode(features(200 + step))
    assert perplexity(bottleneck.eval().encode(features(100)).indices, 32) > 0.8 * used > 16


def test_with_few_encodings_to_a_code_the_codes_still_settle():
    bottleneck = vq(codes=128).train()  # 8 x 15 encodings a batch: fewer than codes
    for step in range(150):
        bottleneck.encode(features(step))
    before = bottleneck.codes().clone()
    bottleneck.encode(features(1000))
    moved = (bottleneck.codes() - before).norm(dim=1) > 0.5  # a code that follows its encodings moves a hundredth
    assert float(moved.float().mean()) < 0.2


def test_evaluation_leaves_the_codebook_alone():
    bottleneck = vq()
    for steps in (0, BATCHES + 2):  # also before any training
        for step in range(steps):
            bottleneck.train().encode(features(step))
        before = copy.deepcopy(bottleneck.state_dict())
        code = bottleneck.eval().encode(features(50))
        assert all(torch.equal(value, before[name]) for name, value in bottleneck.state_dict().items())
        assert torch.equal(code.z, bottleneck.latents(code.indices))


def test_gradient_passes_the_quantiser():
    for bottleneck in (vq().train(), fsq().train()):
        x = features(0).requires_grad_()
        code = bottleneck.encode(x)
        (gradient,) = torch.autograd.grad(code.z.square().sum() + code.z.sum(), x)
        assert torch.isfinite(gradient).all() and (gradient.flatten(1).norm(dim=1) > 0).all()
        torch.testing.assert_close(
            code.z, bottleneck.latents(code.indices) if isinstance(bottleneck, FSQ) else code.z.detach()
        )


def test_codes_of_the_grid_and_their_indices_are_the_same_thing():
    bottleneck = fsq()
    every = torch.arange(60)
    codes = bottleneck.codes()
    assert codes.unique(dim=0).shape == (60, 3) and codes.abs().max() <= 1
    assert torch.equal(bottleneck.quantiser.codes_to_indices(codes).long(), every)
    code = bottleneck.encode(3 * features(0))
    assert torch.equal(code.z, bottleneck.latents(code.indices))
    assert torch.equal(code.z, bottleneck.quantise(code.z))


@pytest.mark.parametrize("make", [vq, fsq])
def test_snap_gives_the_nearest_codes(make):
    bottleneck = make().eval()
    z = bottleneck.encode(features(0)).z
    assert torch.equal(bottleneck.quantise(z + 1e-3 * torch.randn_like(z)), z)
    away = torch.randn_like(z)
    snapped = bottleneck.quantise(away)
    vectors, found = (
        v.reshape(len(z), bottleneck.dim, -1).movedim(1, 2).reshape(-1, bottleneck.dim) for v in (away, snapped)
    )
    least = (vectors[:, None] - bottleneck.codes()).square().sum(-1).amin(1)
    torch.testing.assert_close((vectors - found).square().sum(-1), least)


def test_positions_are_in_the_order_of_time():
    """What changes in the last frame alone changes the last codes, and comes back at the last frame."""
    bottleneck = vq().eval()
    x = features(0, 1)
    other = x.clone()
    other[..., -1] = -x[..., -1]
    a, b = bottleneck.encode(x), bottleneck.encode(other)
    assert torch.equal(a.indices[:, :-4], b.indices[:, :-4]) and (a.indices[:, -4:] != b.indices[:, -4:]).any()
    y, changed = bottleneck.decode(a.z), bottleneck.decode(b.z)
    assert y.shape == x.shape
    assert torch.equal(y[..., :-1], changed[..., :-1]) and not torch.equal(y[..., -1], changed[..., -1])


def prior(places: int = 4) -> CodePrior:
    torch.manual_seed(0)
    return CodePrior(12, 3, places, 16)


CODES = functional.normalize(torch.randn(12, 3, generator=torch.Generator().manual_seed(5)), dim=1)


@pytest.mark.parametrize("places", [1, 4])
def test_rate_is_the_likelihood_code_by_code(places):
    net = prior(places)
    indices = torch.randint(0, 12, (3, 20), generator=torch.Generator().manual_seed(0))
    whole = net(indices, CODES)
    state, nats = None, []
    for n in range(20):
        before = indices[:, n - 1 : n] if n else torch.full((3, 1), 12)
        frame = indices[:, n - places : n - places + 1] if n >= places else torch.full((3, 1), 12)
        logits, state = net.step(before, frame, torch.tensor([n % places]), state, CODES)
        nats.append(-logits[:, 0].log_softmax(-1).gather(1, indices[:, n : n + 1]))
    torch.testing.assert_close(whole, torch.cat(nats, dim=1))
    later = indices.clone()
    later[:, 12:] = (later[:, 12:] + 1) % 12
    assert torch.equal(net(later, CODES)[:, :12], whole[:, :12]), "a code's rate knows nothing of later codes"


def test_the_prior_is_a_distribution():
    """Probabilities of all sequences of three codes of two sum to 1."""
    torch.manual_seed(0)
    net = CodePrior(2, 3, 2, 8)
    every = torch.tensor([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    assert float(torch.exp(-net(every, CODES[:2]).sum(1)).sum().detach()) == pytest.approx(1, abs=1e-5)


def test_the_prior_learns_a_pattern_and_draws_it():
    net = prior()
    pattern = (torch.arange(40) % 12)[None] + torch.arange(4)[:, None] * 3
    pattern = pattern % 12
    optimiser = torch.optim.AdamW(net.parameters(), 1e-2)
    for _ in range(100):
        loss = net(pattern, CODES).sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    drawn = net.sample(6, 40, CODES, torch.Generator().manual_seed(0))
    assert ((drawn[:, 1:] - drawn[:, :-1]) % 12 == 1).float().mean() > 0.8, "by chance it is a twelfth"


@pytest.mark.parametrize("make", [vq, fsq])
def test_samples_are_the_generators_and_differ(make):
    bottleneck = make()
    torch.manual_seed(1)
    first = bottleneck.prior(4, torch.Generator().manual_seed(0))
    torch.manual_seed(2)
    assert torch.equal(first, bottleneck.prior(4, torch.Generator().manual_seed(0)))
    assert not torch.equal(first, bottleneck.prior(4, torch.Generator().manual_seed(1)))
    assert first.shape == (4, bottleneck.latent_dims) and len(first.unique(dim=0)) == 4
    assert torch.equal(first, bottleneck.quantise(first)), "made of codes"


def objective(**codebook) -> Objective:
    config = LossConfig(kl=KLConfig(beta=0.0), codebook=CodebookConfig(**codebook) if codebook else None)
    return Objective(config, Signal("mel", (10, 10), 0.5, 0.2, {}))


def test_usage_is_zero_when_even_and_one_when_a_single_code_is_used():
    codes = functional.normalize(torch.randn(16, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    assert float(unevenness(codes.repeat(3, 1), codes)) == pytest.approx(0, abs=1e-4)
    assert float(unevenness(codes[:1].repeat(48, 1), codes)) == pytest.approx(1, abs=1e-4)
    half = float(unevenness(codes[:4].repeat(12, 1), codes))
    assert half == pytest.approx(0.5, abs=1e-3), "log 4 of log 16"


def test_usage_pulls_encodings_apart():
    codes = functional.normalize(torch.randn(16, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    near = codes[:1] + 0.3 * torch.randn(200, 8, generator=torch.Generator().manual_seed(1))
    near.requires_grad_()
    optimiser = torch.optim.Adam([near], 0.05)
    before = unevenness(functional.normalize(near, dim=1), codes).detach()
    for _ in range(50):
        loss = unevenness(functional.normalize(near, dim=1), codes)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.5 * before


def test_penalties_count_in_nats_per_value():
    bottleneck = vq().train()
    code = bottleneck.encode(features(0))
    found = {name: value.detach() for name, value in code.penalties.items()}
    divergence = code.rate
    assert objective().regulariser(divergence, code, 1.0) == 0
    fixed = objective(commitment=0.25, usage=0.5).regulariser(divergence, code, 1.0)
    assert float(fixed.detach()) == pytest.approx(
        100 * float(0.25 * found["commitment"] + 0.5 * found["usage"]), rel=1e-5
    )
    adaptive = objective(commitment=0.25, adaptive=True).regulariser(divergence, code, 1.0)
    relative = found["commitment"] / found["encoding_variance"]
    assert float(adaptive.detach()) == pytest.approx(25 * float(relative), rel=1e-5)


def test_encoding_variance_is_that_of_the_encodings():
    """So that an adaptive commitment weighs more where they lie closer together."""
    bottleneck = vq().train()
    wide = bottleneck.encode(features(0)).penalties["encoding_variance"]
    offset = 10 * torch.ones(SHAPE)
    narrow = bottleneck.encode(features(0) + offset).penalties["encoding_variance"]
    assert 0 < narrow < 0.5 * wide < 0.5


@pytest.mark.parametrize("beta", [0.0, 1e-6, 1.0])
def test_the_prior_learns_whatever_beta_is_and_the_encoder_gets_none_of_it(beta):
    bottleneck = vq().train()
    code = bottleneck.encode(features(0).requires_grad_())
    total = Objective(LossConfig(kl=KLConfig(beta=beta, schedule="constant")), objective().signal).regulariser(
        code.rate, code, 0.0
    )
    assert float(total.detach()) == pytest.approx(beta * float(code.rate.detach().sum(1).mean()), rel=1e-5)
    total.backward()
    expected = torch.autograd.grad(
        bottleneck.code_prior(code.indices, bottleneck.codes()).sum(1).mean(), bottleneck.code_prior.logits.weight
    )[0]
    torch.testing.assert_close(bottleneck.code_prior.logits.weight.grad, expected)
    assert bottleneck.to_code.weight.grad is None
