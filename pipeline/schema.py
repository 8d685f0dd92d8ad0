"""The whole of params.yaml: every section's schema, and what must hold between sections."""

from math import prod
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from pipeline.cache.config import CacheConfig, RepresentationConfig
from pipeline.errors import ParamsError
from pipeline.evaluation.config import EvaluateConfig
from pipeline.figures.config import FiguresConfig
from pipeline.models.config import shrink
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
    expected = {"conv2d": "mel", "resnet1d": "waveform"}[model.network.type]
    if kind != expected:
        raise ParamsError(
            f"{FILE}: models.{name}.network.type: {model.network.type} takes a {expected}, "
            f"but representation {model.representation} is a {kind}"
        )
    shape = representation.shape(seconds)
    left = prod(shrink(size, model.network.stride, len(model.network.channels))[-1] for size in shape)
    if left < 2:
        raise ParamsError(
            f"{FILE}: models.{name}.network.channels: {len(model.network.channels)} stages leave one position of a "
            f"window of {' x '.join(map(str, shape))}, too little for its norms; use fewer, or longer windows"
        )
    if model.loss.reconstruction.type == "bce" and model.network.head != "sigmoid":
        raise ParamsError(
            f"{FILE}: models.{name}.loss.reconstruction.type: bce needs network.head sigmoid, not {model.network.head}"
        )
