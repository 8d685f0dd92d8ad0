"""The whole of params.yaml: every section's schema, and what must hold between sections."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from pipeline.cache.config import CacheConfig, RepresentationConfig
from pipeline.errors import ParamsError
from pipeline.evaluation.config import EvaluateConfig
from pipeline.figures.config import FiguresConfig
from pipeline.params import FILE, Strict, parse, read, suggest
from pipeline.runtime import RuntimeConfig
from pipeline.sources.config import SourceConfig
from pipeline.tracking.config import TrackingConfig
from pipeline.training.config import TrainConfig, VariantConfig, variant
from pipeline.windows.config import WindowsConfig

# Names become those of stages and folders, and DVC reads a dot in one as a level.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$")]


class Params(Strict):
    """params.yaml."""

    seeds: list[int] = Field([0], min_length=1)
    source: SourceConfig = SourceConfig()
    windows: WindowsConfig = WindowsConfig()
    representations: dict[Name, RepresentationConfig] = Field(min_length=1)
    models: dict[Name, VariantConfig] = Field(min_length=1)
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    figures: FiguresConfig = FiguresConfig()
    runtime: RuntimeConfig = RuntimeConfig()
    cache: CacheConfig = CacheConfig()
    tracking: TrackingConfig = TrackingConfig()


def load(raw: dict[str, Any] | None = None) -> Params:
    """Read and check everything.

    Raises:
        ParamsError: the first thing that is wrong, by its full key.
    """
    raw = read() if raw is None else raw
    params = parse(Params, raw, "")
    if len(set(params.seeds)) < len(params.seeds):
        raise ParamsError(f"{FILE}: seeds: each seed may stand there once (they are {params.seeds})")
    for name, model in params.models.items():
        if model.representation not in params.representations:
            hint = suggest(model.representation, params.representations)
            raise ParamsError(f"{FILE}: models.{name}.representation: there is no '{model.representation}'; {hint}")
        _compatible(name, model, params.representations[model.representation], params.windows.seconds)
        variant(raw, name)
    return params


def _compatible(name: str, model: VariantConfig, representation: RepresentationConfig, seconds: float) -> None:
    """Refuse pairs of input, network and loss that cannot work."""
    kind = representation.kind
    expected = model.network.kind
    if expected not in (kind, "any"):
        raise ParamsError(
            f"{FILE}: models.{name}.network.type: {model.network.type} takes a {expected}, "
            f"but representation {model.representation} is a {kind}"
        )
    if model.scaling != "none" and kind != "waveform":
        raise ParamsError(f"{FILE}: models.{name}.scaling: only a waveform is scaled, a mel is not")
    if model.condition is not None and model.network.head != "linear":
        raise ParamsError(
            f"{FILE}: models.{name}.condition: a label's own level and range need network.head linear, "
            f"not {model.network.head}"
        )
    problem = model.network.problem(representation.shape(seconds))
    if problem:
        raise ParamsError(f"{FILE}: models.{name}.network.{problem}")
    if model.loss.reconstruction.type == "bce" and model.network.head != "sigmoid":
        raise ParamsError(
            f"{FILE}: models.{name}.loss.reconstruction.type: bce needs network.head sigmoid, not {model.network.head}"
        )
    middle, nats = model.bottleneck, model.loss.kl
    prefix = f"{FILE}: models.{name}.loss.kl"
    learned = middle.type == "gaussian" and middle.prior.type != "standard"
    if learned and nats.estimator == "analytic":
        raise ParamsError(f"{prefix}.estimator: a prior learned as a mixture has no closed form; set it to monte_carlo")
    if learned and nats.free_bits and nats.free_bits_per == "dimension":
        raise ParamsError(f"{prefix}.free_bits_per: a mixture's KL is of the whole latent; set it to window")
    if nats.balance and middle.type != "hierarchical":
        raise ParamsError(f"{prefix}.balance: only a hierarchical bottleneck has levels, not {middle.type}")
    if model.loss.codebook is not None and model.bottleneck.type != "vq":
        raise ParamsError(
            f"{FILE}: models.{name}.loss.codebook: bottleneck.type {model.bottleneck.type} learns no codebook; "
            "leave the block out, or take vq"
        )
    if model.loss.kl.estimator == "monte_carlo" and model.bottleneck.type in ("vq", "fsq"):
        raise ParamsError(
            f"{FILE}: models.{name}.loss.kl.estimator: the KL of codes is exact, nothing is drawn; use analytic"
        )
