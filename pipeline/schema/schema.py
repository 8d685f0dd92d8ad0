"""The schema of params.yaml: all sections, and the rules between them."""

import re
from importlib.util import find_spec
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from pipeline.audio.representation import RepresentationConfig
from pipeline.cache.config import CacheConfig
from pipeline.core.errors import ParamsError
from pipeline.core.params import PARAMS_FILE, RuntimeConfig, Section, Seed, read_params, suggest, validate
from pipeline.figures.config import FiguresConfig
from pipeline.metrics.config import EvaluateConfig
from pipeline.reference.config import ReferenceConfig
from pipeline.schema.rules import find_problems, find_vocoder_problems
from pipeline.sources.config import SourceConfig
from pipeline.tracking.config import TrackingConfig
from pipeline.training.config import TrainConfig, VariantConfig, read_variant
from pipeline.vocoder.config import VocoderConfig
from pipeline.windows.config import WindowsConfig


def _check_name(name: str) -> str:
    """It becomes a part of stages, folders and files; DVC reads a dot in a key as a new level."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", name):
        raise ValueError("a name has only letters of English, digits, - and _, at most 100")
    return name


Name = Annotated[str, AfterValidator(_check_name)]


class Params(Section):
    """params.yaml."""

    seeds: list[Seed] = Field([0], min_length=1, description="each variant is trained and evaluated once per seed")
    source: SourceConfig = Field(SourceConfig(), description="stage download: where the recordings come from")
    windows: WindowsConfig = Field(WindowsConfig(), description="stage windows: how recordings are cut and split")
    representations: dict[Name, RepresentationConfig] = Field(
        min_length=1, description="stage cache: the inputs of the models, by name"
    )
    vocoders: dict[Name, VocoderConfig] = Field(
        {}, description="stage vocoder: how mels become audio, by representation; one that is not here: by Griffin-Lim"
    )
    reference: ReferenceConfig = Field(ReferenceConfig(), description="stage reference: codecs, models from elsewhere")
    models: dict[Name, VariantConfig] = Field(min_length=1, description="variants: input, network, bottleneck, loss")
    train: TrainConfig = Field(TrainConfig(), description="stage train: defaults for models.<variant>.train")
    evaluate: EvaluateConfig = Field(EvaluateConfig(), description="stage evaluate: the same protocol for all variants")
    figures: FiguresConfig = Field(FiguresConfig(), description="stage figures")
    runtime: RuntimeConfig = Field(
        RuntimeConfig(), description="hardware, checkpoints; a change reruns only the report"
    )
    cache: CacheConfig = Field(CacheConfig(), description="who computes the cache; a change reruns only the report")
    tracking: TrackingConfig = Field(TrackingConfig(), description="records in MLflow; a change reruns only the report")


def load(raw: dict[str, Any] | None = None) -> Params:
    """Check all of `raw`, by default params.yaml. A ParamsError names the first wrong key."""
    raw = read_params() if raw is None else raw
    params = validate(Params, raw, "")
    if len(set(params.seeds)) < len(params.seeds):
        raise ParamsError(f"{PARAMS_FILE}: seeds: a seed occurs twice in {params.seeds}; list each once")
    for name, model in params.models.items():
        representation = _representation(params, f"models.{name}.representation", model.representation)
        _, train = read_variant(raw, name)
        problem = next(find_problems(model, train, representation, params.windows.seconds), None)
        if problem:
            raise ParamsError(f"{PARAMS_FILE}: models.{name}.{problem}")
    for name, vocoder in params.vocoders.items():
        mel_config = _representation(params, f"vocoders.{name}", name)
        waveforms = None
        if vocoder.waveforms is not None and vocoder.type != "griffin_lim":
            waveforms = _representation(params, f"vocoders.{name}.waveforms", vocoder.waveforms)
        if f"vocoder-{name}" in params.models:  # two trainings of one name
            raise ParamsError(
                f"{PARAMS_FILE}: models.vocoder-{name}: the vocoder of {name} has this name; choose another"
            )
        problem = next(find_vocoder_problems(vocoder, mel_config, waveforms), None)
        if problem:
            raise ParamsError(f"{PARAMS_FILE}: vocoders.{name}{problem}")
    if params.evaluate.visqol and find_spec("visqol") is None:
        hint = "run `make setup EXTRAS=visqol`, or set it to false"
        raise ParamsError(f"{PARAMS_FILE}: evaluate.visqol: visqol-python is not installed; {hint}")
    for name in params.reference.external:
        if name in params.models:  # two rows of one name
            raise ParamsError(f"{PARAMS_FILE}: reference.external.{name}: a variant has this name; choose another")
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
