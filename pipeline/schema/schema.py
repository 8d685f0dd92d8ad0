"""The whole of params.yaml: every section's schema, and what must hold between sections."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from pipeline.audio.representation import RepresentationConfig
from pipeline.cache.config import CacheConfig
from pipeline.core.errors import ParamsError
from pipeline.core.params import PARAMS_FILE, RuntimeConfig, Section, read_params, suggest, validate
from pipeline.figures.config import FiguresConfig
from pipeline.metrics.config import EvaluateConfig
from pipeline.schema.rules import problems
from pipeline.sources.config import SourceConfig
from pipeline.tracking.config import TrackingConfig
from pipeline.training.config import TrainConfig, VariantConfig, variant
from pipeline.windows.config import WindowsConfig

# Names become those of stages and folders, and DVC reads a dot in one as a level.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$")]


class Params(Section):
    """params.yaml."""

    seeds: list[int] = Field([0], min_length=1, description="each variant is trained and scored once per seed")
    source: SourceConfig = Field(SourceConfig(), description="stage download: where recordings come from")
    windows: WindowsConfig = Field(
        WindowsConfig(), description="stage windows: what is cut from them, and which side of the split it is on"
    )
    representations: dict[Name, RepresentationConfig] = Field(
        min_length=1, description="stage cache: what a model sees of a window, by a name that `models` refers to"
    )
    models: dict[Name, VariantConfig] = Field(
        min_length=1, description="the variants, by name: input x network x bottleneck x loss"
    )
    train: TrainConfig = Field(
        TrainConfig(), description="stage train: defaults of every variant, which models.<variant>.train overrides"
    )
    evaluate: EvaluateConfig = Field(EvaluateConfig(), description="stage evaluate: one protocol for all variants")
    figures: FiguresConfig = Field(FiguresConfig(), description="stage figures: what people look at and listen to")
    runtime: RuntimeConfig = Field(RuntimeConfig(), description="where the work runs; no result depends on it")
    cache: CacheConfig = Field(CacheConfig(), description="who computes the cache; no result depends on it")
    tracking: TrackingConfig = Field(TrackingConfig(), description="what goes to MLflow; no result depends on it")


def load(raw: dict[str, Any] | None = None) -> Params:
    """Read and check everything.

    Raises:
        ParamsError: the first thing that is wrong, by its full key.
    """
    raw = read_params() if raw is None else raw
    params = validate(Params, raw, "")
    if len(set(params.seeds)) < len(params.seeds):
        raise ParamsError(f"{PARAMS_FILE}: seeds: each seed may stand there once (they are {params.seeds})")
    for name, model in params.models.items():
        representation = _representation(params, f"models.{name}.representation", model.representation)
        problem = next(problems(model, representation, params.windows.seconds), None)
        if problem:
            raise ParamsError(f"{PARAMS_FILE}: models.{name}.{problem}")
        variant(raw, name)
    mel = params.evaluate.mel
    kind = _representation(params, "evaluate.mel", mel).kind
    if kind != "mel":
        raise ParamsError(f"{PARAMS_FILE}: evaluate.mel: {mel} is a {kind}; name a representation of kind mel")
    return params


def _representation(params: Params, key: str, name: str) -> RepresentationConfig:
    """The representation that `key` names."""
    if name not in params.representations:
        raise ParamsError(f"{PARAMS_FILE}: {key}: there is no '{name}'; {suggest(name, params.representations)}")
    return params.representations[name]
