"""The whole of params.yaml: every section's schema, and what must hold between sections."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from pipeline.cache.config import CacheConfig, RepresentationConfig
from pipeline.compatible import problems
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
        problem = next(problems(model, params.representations[model.representation], params.windows.seconds), None)
        if problem:
            raise ParamsError(f"{FILE}: models.{name}.{problem}")
        variant(raw, name)
    return params
