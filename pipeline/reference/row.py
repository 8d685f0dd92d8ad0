"""The files of a row of the comparison that stage `reference` writes: a ceiling, a codec, a model from elsewhere."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.audio.clip import GAIN, common_gain, raise_rate
from pipeline.audio.wav import write_wav
from pipeline.core import workspace
from pipeline.metrics import embedding
from pipeline.metrics.aggregate import aggregate
from pipeline.metrics.config import EvaluateConfig
from pipeline.reference.read import Reference


def write_row(
    out: Path,
    reference: Reference,
    windows: dict[str, np.ndarray],
    audio: np.ndarray,
    settings: EvaluateConfig,
    **numbers: Any,
) -> None:
    """Write metrics.json and windows.parquet into the new folder `out`.

    `windows` has metrics of the test windows, `audio` is (H, samples), what is scored on audio; `numbers` join
    metrics.json.
    """
    out.mkdir(parents=True)
    table = reference.score_table().assign(**windows)
    table.to_parquet(out / "windows.parquet", index=False)
    scored = table.dropna(subset=list(windows), how="all")
    metrics = {
        **aggregate(table.assign(seed=0), settings.bootstrap),
        **embedding.score(settings.embedding, reference.mel_config.sample_rate, audio, reference.audio),
        **numbers,
        "tracks": scored["track_id"].nunique(),
        "groups": scored["group"].nunique(),
        "windows": len(scored),
    }
    workspace.write_json(out / "metrics.json", metrics)


def write_clips(out: Path, reference: Reference, audio: np.ndarray) -> None:
    """Write example-<index>-original.wav and -reconstruction.wav into the folder `out`; `audio` is (H, samples)."""
    for row, example in enumerate(reference.examples):
        if example >= 0:
            clips = {"original": reference.audio[row], "reconstruction": audio[row]}
            gain, rate = np.float32(GAIN * common_gain(list(clips.values()))), reference.mel_config.sample_rate
            for role, samples in clips.items():
                write_wav(out / f"example-{example}-{role}.wav", *raise_rate(gain * samples, rate))
