"""When a variant counts as collapsed, and the metrics of its latent usage."""

import pytest
import torch

from pipeline.models.bottlenecks import Bottleneck, Code
from pipeline.models.collapse import LatentUsage, why_collapsed


class StubBottleneck(Bottleneck):
    def __init__(self, levels=None, codebook_size=None, baseline=False):
        super().__init__()
        self.levels, self.codebook_size, self.baseline = levels or {}, codebook_size, baseline


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ({"active_share": 0.9, "variance_ratio": 0.7, "kl": 80.0}, None),
        ({"perplexity_share": 0.26, "active_share": None}, None),
        ({"active_share": 0.04, "variance_ratio": 0.7, "kl": 80.0}, "4.0% of the latent units active"),
        ({"active_share": 0.9, "variance_ratio": 0.1}, "reconstructions vary 0.10 times as much as the data"),
        ({"active_share": 0.9, "variance_ratio": 0.7, "kl": 0.5}, "KL 0.50 nats"),
        ({"kl": float("nan")}, "KL nan nats"),
        ({"perplexity_share": 0.2, "variance_ratio": 0.7}, "perplexity 20.0% of the codebook"),
        ({"active_share_z1": 0.0, "kl": 0.5}, "KL 0.50 nats; 0.0% of the units of z1 active"),
    ],
)
def test_each_metric_below_its_threshold_is_named(metrics, expected):
    assert why_collapsed(metrics) == expected


def windows(number: int = 40) -> torch.Tensor:
    return torch.randn(number, 1, 30, generator=torch.Generator().manual_seed(0))


def test_units_whose_mean_varies_are_active_per_level():
    means = torch.zeros(40, 5)
    means[:, 0] = torch.linspace(-1, 1, 40)
    means[:, 1] = 3.0  # large, but constant
    means[:, 4] = torch.linspace(-0.1, 0.1, 40)  # variance 0.0034
    usage = LatentUsage(StubBottleneck({"z2": 2, "z1": 3}))
    for x, mean in zip(windows().split(16), means.split(16), strict=True):
        usage.add(x, 0.5 * x, Code(mean, mean))
    metrics = usage.metrics()
    assert (metrics["active_units"], metrics["active_share"]) == (1, pytest.approx(0.2))
    assert (metrics["active_units_z2"], metrics["active_units_z1"]) == (1, 0)
    assert metrics["variance_ratio"] == pytest.approx(0.25, rel=1e-4)


def test_perplexity_is_counted_over_all_windows_not_per_batch():
    usage = LatentUsage(StubBottleneck(codebook_size=8))
    x = windows(4)
    for code in range(4):  # one code per batch: each batch alone has perplexity 1
        z = torch.zeros(4, 3)
        usage.add(x, x, Code(z, z, indices=torch.full((4, 3), code)))
    metrics = usage.metrics()
    assert metrics["perplexity"] == pytest.approx(4) and metrics["perplexity_share"] == pytest.approx(0.5)
    assert "active_units" not in metrics


def test_a_baseline_has_no_active_units():
    usage = LatentUsage(StubBottleneck(baseline=True))
    usage.add(windows(), 0.5 * windows(), Code(torch.zeros(40, 0), torch.zeros(40, 0)))
    assert usage.metrics() == {"variance_ratio": pytest.approx(0.25, rel=1e-4)}


def test_a_single_window_has_no_metrics():
    usage = LatentUsage(StubBottleneck())
    x = windows(1)
    usage.add(x, x, Code(torch.randn(1, 3), torch.randn(1, 3)))
    assert usage.metrics() == {} and why_collapsed(usage.metrics()) is None


def test_equal_reconstructions_have_no_variance():
    usage = LatentUsage(StubBottleneck())
    x = windows()
    usage.add(x, torch.ones_like(x), Code(torch.randn(40, 3), torch.randn(40, 3)))
    assert usage.metrics()["variance_ratio"] == pytest.approx(0, abs=1e-9)
