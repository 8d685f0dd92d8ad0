"""results.json: all rows of a build, and what decides whether they compare with the rows of another build.

`melisma board` makes one table of several such files.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Self

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from pipeline.audio.representation import RepresentationConfig
from pipeline.core import workspace
from pipeline.core.artefacts import read_json, read_table
from pipeline.core.params import flatten
from pipeline.metrics.config import EvaluateConfig
from pipeline.report.table import Row
from pipeline.report.variant_section import BLOCKS
from pipeline.sources.config import SourceConfig

FORMAT = 1  # raise it when older code would misread the file
PROTOCOL = 2  # raise it when a metric's definition or the music of source.synth changes: older results do not compare
# Keys of `evaluate` that change no other number, but for rounding. The config of `mel` and the embedding are added.
NO_PROTOCOL = {"mel", "embedding", "visqol", "samples", "walks", "perturbations", "batch_size"}

MAX_METRICS = 2000

Text = Annotated[str, Field(max_length=2000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Word = Annotated[str, Field(pattern="^[a-z]{0,30}$")]
Number = Annotated[float, Field(allow_inf_nan=False)]
Scalar = bool | int | Number | Text | None


class Part(BaseModel):
    """Base of the parts of the file, which strangers may have written: types are strict, unknown keys are ignored."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)


class Windows(Part):
    """Windows of the data: how many, and a fingerprint that differs if one of them does."""

    fingerprint: Name
    windows: Annotated[int, Field(ge=0, le=10**12)]
    recordings: Annotated[int, Field(ge=0, le=10**12)]


class Result(Part):
    """A row of the comparison that has results. `settings` has the values of dotted keys, as JSON or text."""

    variant: Name
    role: Word
    representation: Annotated[str, Field(max_length=200)]  # empty for a codec
    kind: Word
    input: Text
    seeds: Annotated[list[int], Field(max_length=1000)]
    settings: Annotated[dict[Name, Text], Field(max_length=500)]
    numbers: Annotated[dict[Name, Number], Field(max_length=MAX_METRICS)]


class Results(Part):
    """results.json. Numbers of two files compare if `protocol` and `test` are equal."""

    format: int
    melisma: Name  # version
    commit: Name | None
    source: Name
    seeds: Annotated[list[int], Field(max_length=1000)]
    protocol: Annotated[dict[Name, Scalar], Field(max_length=200)]  # by dotted key
    test: Windows
    training: Windows  # of the splits train and valid
    representations: Annotated[dict[Name, dict[Name, Scalar]], Field(max_length=1000)]  # what decides their own scale
    rows: Annotated[list[Result], Field(max_length=1000)]

    @model_validator(mode="after")
    def _has_few_metrics(self) -> Self:
        if len({name for row in self.rows for name in row.numbers}) > MAX_METRICS:  # each is a column
            raise ValueError(f"more than {MAX_METRICS} metrics")
        return self


def write_results(
    rows: list[Row], data: Path, params: dict[str, Any], commit: str | None, version: str, path: Path
) -> None:
    """Write the rows that have results; nothing if there is no reference, against which they would be scored."""
    if not (data / "reference" / "reference.json").is_file():
        return
    source = SourceConfig.model_validate(params.get("source") or {})
    test, training = _read_windows(data, source)
    configs = TypeAdapter(dict[str, RepresentationConfig]).validate_python(params.get("representations") or {})
    representations = {
        name: _scalars(config.model_dump(mode="json", exclude={"train_span_seconds"}))
        for name, config in configs.items()
    }
    results = Results(
        format=FORMAT,
        melisma=version,
        commit=commit,
        source=source.name,
        seeds=list(params.get("seeds") or [0]),
        protocol=_protocol(data, params),
        test=test,
        training=training,
        representations=representations,
        rows=[_result(row, params["models"].get(row.variant, {})) for row in rows if row.evaluated],
    )
    workspace.write_json(path, results.model_dump())


def _protocol(data: Path, params: dict[str, Any]) -> dict[str, Scalar]:
    """What decides, beside the test windows, whether numbers compare."""
    reference = dict(read_json(data / "reference" / "reference.json"))
    evaluate = EvaluateConfig.model_validate(params.get("evaluate") or {})
    return {
        "version": PROTOCOL,
        "windows.seconds": reference["seconds"],
        **_scalars({"common log-mel": reference["mel"]}),
        **_evaluate(evaluate),
        "evaluate.embedding": evaluate.embedding and f"{reference['embedding']} at {evaluate.embedding.sample_rate} Hz",
    }


def _evaluate(config: EvaluateConfig) -> dict[str, Scalar]:
    return _scalars({"evaluate": config.model_dump(mode="json", exclude=NO_PROTOCOL)})


def _scalars(values: dict[str, Any]) -> dict[str, Scalar]:
    """By dotted key; a list becomes JSON."""
    return {key: json.dumps(value) if isinstance(value, list) else value for key, value in flatten(values)}


DEFAULTS = _evaluate(EvaluateConfig())  # of protocols that were written before `evaluate` had a key


def _read_windows(data: Path, source: SourceConfig) -> tuple[Windows, Windows]:
    """The test windows, by whether they are scored on audio and are examples, and all others."""
    tracks = read_table(data / "raw" / "tracks.parquet", ["track_id", "sha256"]).set_index("track_id")["sha256"]
    windows = read_table(
        data / "windows" / "windows.parquet",
        ["window_id", "track_id", "label", "group", "split", "start_seconds", "seconds"],
    )
    examples = read_table(data / "reference" / "examples.parquet", ["window_id", "example"])
    # Its last bits depend on the processor, so the music of `synth` is known by its settings and not by its bytes.
    settings = workspace.fingerprint(source.synth.model_dump())
    windows["recording"] = settings + windows["track_id"] if source.name == "synth" else windows["track_id"].map(tracks)
    windows["example"] = windows["window_id"].map(examples.set_index("window_id")["example"]).fillna(-2).astype(int)
    is_test = windows["split"] == "test"
    return _describe(windows[is_test], "example"), _describe(windows[~is_test], "split")


def _describe(windows: pd.DataFrame, column: str) -> Windows:
    # No window_id and no path: a further train recording, or another place of the files, changes no test window.
    columns = ["recording", "start_seconds", "seconds", "label", "group", column]
    rows = sorted(windows[columns].round(6).values.tolist())
    return Windows(
        fingerprint=workspace.fingerprint(rows), windows=len(rows), recordings=int(windows["track_id"].nunique())
    )


def _result(row: Row, settings: dict[str, Any]) -> Result:
    blocks = {name: settings[name] for name in ("scaling", *BLOCKS) if settings.get(name)}
    return Result(
        variant=row.variant,
        role=row.role,
        representation=row.representation,
        kind=row.kind,
        input=row.input,
        seeds=row.seeds,
        settings={key: value if isinstance(value, str) else json.dumps(value) for key, value in flatten(blocks)},
        numbers={name: value for name, value in row.numbers.items() if value is not None},
    )
