"""Small stand-ins for what training and evaluation leave, so that figures and report can be tested without a model."""

from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pandas as pd

from pipeline.audio.representation import MelConfig, WaveformConfig, sample_count
from pipeline.core import arrays
from pipeline.core.workspace import write_json
from tests import stand_ins

INPUTS = {"mel": "mel128", "waveform": "wave3k"}
LABELS = ["ballad", "drone", "march", "waltz"]
SETTINGS: dict[str, dict[str, Any]] = {
    "mel": {"kind": "mel", "sample_rate": 22050, "n_fft": 2048, "hop_length": 512, "bands": 128},
    "waveform": {"kind": "waveform", "sample_rate": 3000},
}


def music(number: int, rate: int, seconds: float) -> np.ndarray:
    """(samples,) float32: four notes a second over a bass, another tune for each number."""
    rng = np.random.default_rng(number)
    time = np.arange(sample_count(seconds, rate)) / rate
    beat = (4 * time).astype(int)
    pitches = rng.choice([0, 3, 5, 7, 10, 12], beat.max() + 1)[beat]
    audio = 0.25 * np.sin(2 * np.pi * 110 * time) + 0.002 * rng.standard_normal(len(time))
    for harmonic in (1, 2, 3, 5):
        audio += (
            0.3
            / harmonic
            * np.sin(2 * np.pi * harmonic * 220 * 2 ** (pitches / 12) * time)
            * np.exp(-6 * (time % 0.25))
        )
    return np.asarray(audio, np.float32)


def unit(audio: np.ndarray, config: MelConfig | WaveformConfig) -> tuple[np.ndarray, float]:
    """Audio as the array that a model would see, and its peak in dB (0 for a waveform)."""
    if isinstance(config, WaveformConfig):
        return audio, 0.0
    power = librosa.feature.melspectrogram(
        y=audio, sr=config.sample_rate, n_fft=config.n_fft, hop_length=config.hop_length, n_mels=config.bands
    )
    db = 10 * np.log10(np.maximum(power, 1e-10))
    return np.clip(1 + (db - db.max()) / 80, 0, 1).astype(np.float32), float(db.max())


def blur(array: np.ndarray, amount: float) -> np.ndarray:
    """What a poor model would make of it: smoothed along time, and pulled towards the mean by `amount` in [0, 1]."""
    kernel = np.ones(5) / 5
    smooth = np.apply_along_axis(lambda row: np.convolve(row, kernel, mode="same"), -1, array)
    return np.asarray(array.mean() + (1 - amount) * (smooth - array.mean()), np.float32)


def history(epochs: int, seed: int) -> pd.DataFrame:
    """A plausible history.csv."""
    rng = np.random.default_rng(seed)
    epoch = np.arange(1, epochs + 1)
    fall = np.exp(-epoch / (epochs / 4)) + 0.01 * rng.standard_normal(epochs)
    beta = np.minimum(1, epoch / (0.3 * epochs))
    kl, reconstruction = 180 + 300 * fall, -52000 + 30000 * fall
    return pd.DataFrame(
        {
            "epoch": epoch,
            "train_loss": reconstruction + beta * kl,
            "train_reconstruction": reconstruction,
            "train_kl": kl,
            "valid_loss": reconstruction + 700 + kl,
            "valid_reconstruction": reconstruction + 700,
            "valid_kl": kl + 5,
            "valid_mse": 0.006 + 0.03 * np.abs(fall),
            "active_units": np.round(64 * (1 - np.exp(-epoch / 4))),
            "beta": beta,
            "beta_effective": beta,
            "learning_rate": 1e-3,
            "grad_norm": 0.5 + fall,
            "seconds": 2.0,
        }
    )


def make_variant(
    root: Path,
    variant: str,
    kind: str,
    *,
    seconds: float = 1.0,
    epochs: int = 6,
    amount: float = 0.2,
    seeds: tuple[int, ...] = (0,),
    labels: list[str] = LABELS,
    metrics: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    components: int | None = None,
    codebook: bool = False,
    conditional: bool = False,
    levels: tuple[str, ...] = ("",),
) -> None:
    """Write models/<variant>/, evaluation/<variant>/ and, where it is not there yet, reference/ below `root`.

    `metrics` and `config` override single values; with `components` it is a baseline of so many; `levels` are those of
    a hierarchical latent.
    """
    settings = SETTINGS[kind]
    input_config = MelConfig(**settings) if kind == "mel" else WaveformConfig(**settings)
    folder = root / "evaluation" / variant
    folder.mkdir(parents=True)
    dims = 64 if components is None else components
    made = stand_ins.Arrays(input_config, seconds, labels, amount, conditional)
    made.examples(folder, seeds, bool(dims))
    made.reference(root / "reference", INPUTS[kind])
    _latents(folder / "latents.parquet", seeds, labels, dims)
    if codebook:
        stand_ins.codes(folder / "codes.parquet", seeds)
    elif components is None:
        stand_ins.dimensions(folder / "dimensions.parquet", seeds, dims, levels)
    described = {"kind": kind, "input": INPUTS[kind], "seconds": seconds, "representation": settings}
    described |= {"shape": input_config.shape(seconds), "labels": labels if conditional else []}
    write_json(folder / "config.json", {"variant": variant, **described, **(config or {})})
    found = _metrics(amount, seeds)
    if components is not None:
        nothing = ("kl", "elbo", "active_units", "collapsed")
        found |= {name: None for name in found if name.startswith(nothing)}
        found |= {"baseline": True, "latent_dims": components, "parameters": 0}
        size = np.arange(components + 1)
        error = 0.0256 * 0.97**size
        sizes = pd.DataFrame({"latent": size, "mse": error, "mse_low": 0.9 * error, "mse_high": 1.1 * error})
        sizes.to_parquet(folder / "sizes.parquet", index=False)
    write_json(folder / "metrics.json", {**found, **(metrics or {})})
    write_json(folder / "results.json", [{"seed": s, "params": {}, "metrics": {}, "tags": {}} for s in seeds])
    write_json(
        folder / "run.json", [{"variant": variant, "seed": s, "fingerprint": "0", "run_id": None} for s in seeds]
    )
    for seed in seeds:
        place = root / "models" / variant / f"seed-{seed}"
        place.mkdir(parents=True)
        past = history(epochs, seed)
        if components is not None:
            past = past.loc[:0, ["epoch", "valid_mse", "seconds"]]
        past.to_csv(place / "history.csv", index=False)
        made.snapshots(place / "snapshots.parquet", epochs if components is None else 1)


def make_data(root: Path, rejected: list[dict[str, Any]], labels: list[str] = LABELS) -> None:
    """Write windows/ and raw/tracks.parquet below `root`: per label four tracks of six windows."""
    (root / "windows").mkdir(parents=True)
    (root / "raw").mkdir()
    tracks, windows = [], []
    for label in labels:
        for t, split in enumerate(["train", "train", "valid", "test"]):
            track = {"track_id": f"{label}/{t}", "label": label, "group": f"{label}/{max(t, 1)}"}
            heard = {"sample_rate": 22050, "channels": 1, "frames": 22050 * 30}
            tracks.append({**track, "path": f"{label}/{t}.wav", **heard})
            for w in range(6):
                times = {"start_seconds": 5.0 * w, "seconds": 5.0}
                odd = {"repair": None, "copy_of": None}
                windows.append({"window_id": len(windows), **track, "split": split, **times, **odd})
    pd.DataFrame(tracks).to_parquet(root / "raw" / "tracks.parquet")
    pd.DataFrame(windows).to_parquet(root / "windows" / "windows.parquet")
    columns = ["path", "start_seconds", "reason", "detail"]
    pd.DataFrame(rejected, columns=columns).to_parquet(root / "windows" / "rejected.parquet")


def _metrics(amount: float, seeds: tuple[int, ...]) -> dict[str, Any]:
    mse = 0.004 + 0.02 * amount
    return {
        "mse": mse,
        "mse_low": 0.9 * mse,
        "mse_high": 1.12 * mse,
        "cosine_similarity": 0.991 - amount / 10,
        "cosine_similarity_low": 0.989 - amount / 10,
        "cosine_similarity_high": 0.993 - amount / 10,
        "kl": 182.4,
        "kl_low": 176.0,
        "kl_high": 190.0,
        "elbo": 51234.5,
        "elbo_low": 50000.0,
        "elbo_high": 52000.0,
        "active_units": 58.5,
        "latent_dims": 64,
        "parameters": 1_234_567,
        "variance_ratio": 0.8,
        "collapsed": False,
        "collapse_reason": None,
        "mse_mean": 0.0256,
        "mse_zero": 0.19,
        "mel_mse": 1.2 * mse,
        "mel_mse_low": 1.1 * mse,
        "mel_mse_high": 1.3 * mse,
        "mel_mse_mean": 0.0307,
        "mel_mse_reach": mse,
        "mel_cosine_similarity": 0.98 - amount / 10,
        "probe_accuracy": 0.62,
        "chance": 0.25,
        "reach_hz": None,
        "tracks": 18,
        "windows": 108,
        "seeds": list(seeds),
    }


def _columns(rows: list[dict[str, Any]]) -> dict[str, object]:
    return {key: [row[key] for row in rows] for key in rows[0]}


def _latents(path: Path, seeds: tuple[int, ...], labels: list[str], dims: int) -> None:
    rng = np.random.default_rng(3)
    rows, values = [], []
    for seed in seeds:
        for i, label in enumerate(labels):
            centre = 2 * rng.standard_normal(dims) * (np.arange(dims) < 6)
            for w in range(20):
                rows.append({"seed": seed, "window_id": 100 * i + w, "track_id": f"{label}/{w // 6}", "label": label})
                values.append(centre + rng.standard_normal(dims))
    arrays.write(path, _columns(rows), {"latent": np.stack(values).astype(np.float32)})
