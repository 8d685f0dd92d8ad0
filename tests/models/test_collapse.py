"""Signs of a collapse."""

import pytest
import torch

from pipeline.models.bottlenecks import Bottleneck, Code
from pipeline.models.collapse import LatentUsage, reason


class Middle(Bottleneck):
    def __init__(self, levels=None, codebook=None, baseline=False):
        super().__init__()
        self.whiten = lambda z: z
        self.levels, self.codebook, self.baseline = levels or {}, codebook, baseline


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"active_share": 0.9, "variance_ratio": 0.7, "kl": 80.0}, None),
        ({"perplexity_share": 0.26, "active_share": None}, None),
        ({"active_share": 0.04, "variance_ratio": 0.7, "kl": 80.0}, "4.0% of the latent units active"),
        ({"active_share": 0.9, "variance_ratio": 0.1, "kl": 80.0}, "0.10 times as much"),
        ({"active_share": 0.9, "variance_ratio": 0.7, "kl": 0.5}, "KL 0.50 nats"),
        ({"perplexity_share": 0.2, "variance_ratio": 0.7}, "perplexity 20.0% of the codebook"),
    ],
)
def test_each_sign_of_collapse_is_named(numbers, said):
    found = reason(numbers)
    assert found is None if said is None else found == said or said in found


def windows(number: int = 40) -> torch.Tensor:
    return torch.randn(number, 1, 30, generator=torch.Generator().manual_seed(0))


def test_units_whose_mean_varies_are_active_level_by_level():
    means = torch.zeros(40, 5)
    means[:, 0] = torch.linspace(-1, 1, 40)
    means[:, 1] = 3.0  # large, but the same for all
    means[:, 4] = torch.linspace(-0.1, 0.1, 40)  # variance 0.0034
    use = LatentUsage(Middle({"z2": 2, "z1": 3}))
    for part, mean in zip(windows().split(16), means.split(16), strict=True):
        use.add(part, 0.5 * part, Code(mean, mean))
    found = use.numbers()
    assert (found["active_units"], found["active_share"]) == (1, pytest.approx(0.2))
    assert (found["active_units_z2"], found["active_units_z1"]) == (1, 0)
    assert found["variance_ratio"] == pytest.approx(0.25, rel=1e-4)


def test_perplexity_is_counted_over_all_windows_not_per_batch():
    use = LatentUsage(Middle(codebook=8))
    x = windows(4)
    for code in range(4):  # one code per batch: each batch alone has perplexity 1
        z = torch.zeros(4, 3)
        use.add(x, x, Code(z, z, indices=torch.full((4, 3), code)))
    found = use.numbers()
    assert found["perplexity"] == pytest.approx(4) and found["perplexity_share"] == pytest.approx(0.5)
    assert "active_units" not in found


def test_a_baseline_has_no_units_to_be_active():
    use = LatentUsage(Middle(baseline=True))
    use.add(windows(), 0.5 * windows(), Code(torch.zeros(40, 0), torch.zeros(40, 0)))
    assert use.numbers() == {"variance_ratio": pytest.approx(0.25, rel=1e-4)}


def test_of_a_single_window_nothing_is_told():
    use = LatentUsage(Middle())
    x = windows(1)
    use.add(x, x, Code(torch.randn(1, 3), torch.randn(1, 3)))
    assert use.numbers() == {} and reason(use.numbers()) is None


def test_one_answer_to_all_has_no_variance():
    use = LatentUsage(Middle())
    x = windows()
    use.add(x, torch.ones_like(x), Code(torch.randn(40, 3), torch.randn(40, 3)))
    assert use.numbers()["variance_ratio"] == pytest.approx(0, abs=1e-9)
