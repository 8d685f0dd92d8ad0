"""Small artefacts of data, training and evaluation, so that figures and report can be tested without a model."""

from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pandas as pd

from pipeline.audio.griffin_lim import mel_to_audio
from pipeline.audio.representation import MelConfig, WaveformConfig, sample_count
from pipeline.audio.resample import resample
from pipeline.core import arrays
from pipeline.core.workspace import write_json

INPUTS = {"mel": "mel128", "waveform": "wave3k"}
LABELS = ["ballad", "drone", "march", "waltz"]
SETTINGS: dict[str, dict[str, Any]] = {
    "mel": {"kind": "mel", "sample_rate": 22050, "n_fft": 2048, "hop_length": 512, "bands": 128},
    "waveform": {"kind": "waveform", "sample_rate": 3000},
}
SECONDS = 1.0
COMMON = MelConfig(**SETTINGS["mel"])
INTERPOLATION_STEPS = 5
PERTURBATIONS = (0.0, 0.25, 0.5, 1.0)


def music(number: int, rate: int, seconds: float = SECONDS) -> np.ndarray:
    """(samples,) float32: four notes a second over a bass, another tune for each number."""
    rng = np.random.default_rng(number)
    time = np.arange(sample_count(seconds, rate)) / rate
    beat = (4 * time).astype(int)
    pitches = rng.choice([0, 3, 5, 7, 10, 12], beat.max() + 1)[beat]
    audio = 0.25 * np.sin(2 * np.pi * 110 * time) + 0.002 * rng.standard_normal(len(time))
    decay = np.exp(-6 * (time % 0.25))
    for harmonic in (1, 2, 3, 5):
        audio += 0.3 / harmonic * np.sin(2 * np.pi * harmonic * 220 * 2 ** (pitches / 12) * time) * decay
    return np.asarray(audio, np.float32)


def to_array(audio: np.ndarray, config: MelConfig | WaveformConfig) -> tuple[np.ndarray, float]:
    """Audio on a representation's scale, and its peak in dB (0 for a waveform)."""
    if isinstance(config, WaveformConfig):
        return audio, 0.0
    power = librosa.feature.melspectrogram(
        y=audio, sr=config.sample_rate, n_fft=config.n_fft, hop_length=config.hop_length, n_mels=config.bands
    )
    db = 10 * np.log10(np.maximum(power, 1e-10))
    return np.clip(1 + (db - db.max()) / 80, 0, 1).astype(np.float32), float(db.max())


def blur(array: np.ndarray, amount: float) -> np.ndarray:
    """The output of a poor model: smoothed along time, and moved towards the mean by `amount` in [0, 1]."""
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
        }
    )


def make_variant(
    root: Path,
    variant: str,
    kind: str,
    *,
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
    """Write models/<variant>/, evaluation/<variant>/ and, if it is missing, reference/ below `root`.

    `amount` blurs the reconstructions. `metrics` and `config` override single values. With `components`, the variant is
    a baseline. `levels` are of a hierarchical latent.
    """
    settings = SETTINGS[kind]
    representation = MelConfig(**settings) if kind == "mel" else WaveformConfig(**settings)
    folder = root / "evaluation" / variant
    folder.mkdir(parents=True)
    dims = 64 if components is None else components
    files = VariantArrays(representation, labels, amount)
    files.write_examples(folder, bool(dims), conditional)
    files.write_reference(root / "reference", INPUTS[kind])
    _write_latents(folder / "latents.parquet", seeds, labels, dims)
    if codebook:
        _write_codes(folder / "codes.parquet", seeds)
    elif components is None:
        _write_dimensions(folder / "dimensions.parquet", seeds, dims, levels)
    description = {"variant": variant, "kind": kind, "input": INPUTS[kind], "seconds": SECONDS}
    description |= {"representation": settings, "shape": representation.shape(SECONDS)}
    description |= {"labels": labels if conditional else []}
    write_json(folder / "config.json", description | (config or {}))
    all_metrics = _metrics(amount, seeds)
    if components is not None:
        undefined = ("kl", "kbps", "mse_draw", "elbo", "active_", "collapsed")
        all_metrics |= {name: None for name in all_metrics if name.startswith(undefined)}
        all_metrics |= {"baseline": True, "latent_dims": components, "parameters": 0}
        size = np.arange(components + 1)
        error = 0.0256 * 0.97**size
        sizes = pd.DataFrame({"latent": size, "mse": error, "mse_low": 0.9 * error, "mse_high": 1.1 * error})
        sizes["probe_accuracy"] = np.where(size == 64, 0.49, np.nan)
        sizes.to_parquet(folder / "sizes.parquet", index=False)
    write_json(folder / "metrics.json", all_metrics | (metrics or {}))
    origin = {"variant": variant, "data": "d", "evaluation": "e", "settings": {}, "metrics": {}}
    write_json(folder / "seeds.json", [{"seed": s, "fingerprint": f"trained-{s}", **origin} for s in seeds])
    for seed in seeds:
        model = root / "models" / variant / f"seed-{seed}"
        model.mkdir(parents=True)
        rows = history(epochs, seed)
        if components is not None:
            rows = rows.loc[:0, ["epoch", "valid_mse"]]
        rows.to_csv(model / "history.csv", index=False)
        files.write_snapshots(model / "snapshots.parquet", epochs if components is None else 1)


def make_data(root: Path, rejected: list[dict[str, Any]], labels: list[str] = LABELS) -> None:
    """Write windows/ and raw/tracks.parquet below `root`: four tracks of six windows for each label."""
    (root / "windows").mkdir(parents=True)
    (root / "raw").mkdir()
    tracks, recordings, windows = [], [], []
    for label in labels:
        for t, split in enumerate(["train", "train", "valid", "test"]):
            track = {"track_id": f"{label}/{t}", "label": label, "group": f"{label}/{max(t, 1)}"}
            path = f"{label}/{t}.wav"
            tracks.append({**track, "path": path, "split": None, "bytes": 44 + 2 * 22050 * 30, "sha256": f"{path}'s"})
            sound = {"sample_rate": 22050, "channels": 1, "seconds": 30.0}
            recordings.append({"track_id": track["track_id"], "path": path, **sound})
            for w in range(6):
                columns = {"start_seconds": 5.0 * w, "seconds": 5.0, "repair": None, "copy_of": None}
                windows.append({"window_id": len(windows), **track, "split": split, **columns})
    pd.DataFrame(tracks).to_parquet(root / "raw" / "tracks.parquet")
    pd.DataFrame(windows).to_parquet(root / "windows" / "windows.parquet")
    pd.DataFrame(recordings).to_parquet(root / "windows" / "recordings.parquet")
    columns = ["path", "start_seconds", "reason", "detail", "seconds"]
    pd.DataFrame(rejected, columns=columns).to_parquet(root / "windows" / "rejected.parquet")


class VariantArrays:
    """Example windows, one for each of the first four labels, and the outputs of a model that blurs by `amount`."""

    def __init__(self, config: MelConfig | WaveformConfig, labels: list[str], amount: float) -> None:
        self.config, self.labels = config, labels
        self.count = min(4, len(labels))
        self.originals = [self.window(i) for i in range(self.count)]
        self.arrays = [array for array, _ in self.originals]
        self.reconstructions = [blur(array, amount) for array in self.arrays]
        self.track_ids = [f"{label}/{label}-0{i}-1" for i, label in enumerate(labels[: self.count])]

    def window(self, number: int) -> tuple[np.ndarray, float]:
        """Music on the variant's scale, and its peak in dB."""
        return to_array(music(number, self.config.sample_rate), self.config)

    def audio(self, arrays: list[np.ndarray]) -> np.ndarray:
        """Audio at the common rate of an array for each original."""
        if isinstance(self.config, MelConfig):
            samples = sample_count(SECONDS, COMMON.sample_rate)
            peaks = [peak_db for _, peak_db in self.originals]
            return np.stack([mel_to_audio(a, p, self.config, samples, 1) for a, p in zip(arrays, peaks, strict=True)])
        return np.stack([resample(array, self.config.sample_rate, COMMON.sample_rate) for array in arrays])

    def write_examples(self, folder: Path, has_latent: bool, conditional: bool) -> None:
        """Write examples.parquet and audio.parquet."""
        rows: list[dict[str, Any]] = []
        stack: list[np.ndarray] = []
        is_mel = isinstance(self.config, MelConfig)

        def add(kind: str, array: np.ndarray, source: int | None = None, **columns: Any) -> None:
            row = {"kind": kind, "example": 0, "window_id": -1, "track_id": "", "label": "", "step": 0, "scale": np.nan}
            if source is not None:
                row |= {"window_id": source, "track_id": self.track_ids[source], "label": self.labels[source]}
            peak_db = self.originals[source or 0][1] if is_mel else np.nan
            rows.append({**row, "peak_db": peak_db, **columns})
            stack.append(array)

        for i, (original, reconstruction) in enumerate(zip(self.arrays, self.reconstructions, strict=True)):
            add("original", original, i, example=i)
            add("reconstruction", reconstruction, i, example=i)
        for step in range(3):
            i = step % self.count
            add("extreme_original", self.arrays[i], i, step=step, scale=0.01 * step)
            add("extreme_reconstruction", blur(self.arrays[i], 0.2 * step), i, step=step, scale=0.01 * step)
        if has_latent:
            first, last = self.reconstructions[0], self.reconstructions[-1]
            for mode in ("linear", "slerp"):
                for step, fraction in enumerate(np.linspace(0, 1, INTERPOLATION_STEPS)):
                    mixed = (1 - fraction) * first + fraction * last
                    add(mode, mixed.astype(np.float32), step=step, scale=fraction)
            for step, scale in enumerate(PERTURBATIONS):
                add("perturbed", (first + 0.1 * scale * last).astype(np.float32), 0, step=step, scale=scale)
            for i, label in enumerate(self.labels if conditional else [""] * 4):
                add("sample", blur(self.window(9 + i)[0], 0.5), example=i, label=label)
        if conditional:
            for step, label in enumerate(self.labels):
                add("transfer", blur(self.arrays[0], 0.1 * step % 1), 0, step=step, label=label)
            for i in range(1, self.count):
                add("transfer", blur(self.arrays[i], 0.5), i, example=i, label=self.labels[0])
        arrays.write(folder / "examples.parquet", pd.DataFrame(rows).to_dict("list"), {"array": np.stack(stack)})
        ids = [*range(self.count)]
        columns = {"example": ids, "kind": ["reconstruction"] * self.count, "window_id": ids}
        arrays.write(folder / "audio.parquet", columns, {"audio": self.audio(self.reconstructions)})

    def write_reference(self, folder: Path, representation: str) -> None:
        """Write reference/, or add the ceiling of a representation to it."""
        ids = [*range(self.count)]
        ceiling = folder / "ceiling" / representation
        if not ceiling.is_dir():
            ceiling.mkdir(parents=True)
            columns = {"example": ids, "window_id": ids}
            arrays.write(ceiling / "examples.parquet", columns, {"audio": self.audio(self.arrays)})
        if (folder / "reference.json").is_file():
            return
        count = self.count + 1  # the last window has audio, but is no example
        columns = {
            "example": [*ids, -1],
            "window_id": [*range(count)],
            "track_id": [*self.track_ids, self.track_ids[0]],
            "label": [*self.labels[: self.count], self.labels[0]],
            "start_seconds": [5.0 * i for i in range(count)],
        }
        audio = np.stack([music(i, COMMON.sample_rate) for i in range(count)])
        arrays.write(folder / "examples.parquet", columns, {"audio": audio})
        write_json(folder / "reference.json", {"mel": COMMON.model_dump(), "seconds": SECONDS})

    def write_snapshots(self, path: Path, epochs: int) -> None:
        """Write snapshots.parquet: as float16, two fixed windows and nine samples at up to four epochs."""
        samples = [self.window(20 + i)[0] for i in range(9)]
        fixed = [self.arrays[i % self.count] for i in range(2)]
        rows: list[dict[str, Any]] = [{"kind": "original", "epoch": 0, "index": i} for i in range(2)]
        stack = [*fixed]
        for epoch in sorted({1, max(1, epochs // 4), max(1, epochs // 2), epochs}):
            rows += [{"kind": "reconstruction", "epoch": epoch, "index": i} for i in range(2)]
            rows += [{"kind": "sample", "epoch": epoch, "index": i} for i in range(9)]
            stack += [blur(array, 1 - epoch / (1.2 * epochs)) for array in fixed]
            stack += [blur(array, 1 - epoch / (1.5 * epochs)) for array in samples]
        arrays.write(path, pd.DataFrame(rows).to_dict("list"), {"array": np.stack(stack).astype(np.float16)})


def _metrics(amount: float, seeds: tuple[int, ...]) -> dict[str, Any]:
    mse = 0.004 + 0.02 * amount
    return {
        "mse": mse,
        "mse_low": 0.9 * mse,
        "mse_high": 1.12 * mse,
        "cosine_similarity": 0.991 - amount / 10,
        "cosine_similarity_low": 0.989 - amount / 10,
        "cosine_similarity_high": 0.993 - amount / 10,
        **{"kl": 182.4, "kl_low": 176.0, "kl_high": 190.0},
        **{"kbps": 0.0526, "kbps_low": 0.0508, "kbps_high": 0.0548, "mse_draw": 1.1 * mse, "seconds": SECONDS},
        **{"audio_mel_distance": 2 + amount, "audio_mel_distance_low": 1.9, "audio_mel_distance_high": 2.3 + amount},
        **{"elbo": 51234.5, "elbo_low": 50000.0, "elbo_high": 52000.0},
        **{
            "active_units": 58.5,
            "active_share": 58.5 / 64,
            "latent_dims": 64,
            "parameters": 1_234_567,
            "variance_ratio": 0.8,
        },
        **{"collapsed": False, "collapse_reason": None},
        **{"mse_mean": 0.0256, "mse_zero": 0.19, "mel_mse_mean": 0.0307},
        **{"mel_mse": 1.2 * mse, "mel_mse_low": 1.1 * mse, "mel_mse_high": 1.3 * mse, "mel_mse_bandwidth": mse},
        "mel_cosine_similarity": 0.98 - amount / 10,
        **{"probe_accuracy": 0.62, "chance": 0.25, "bandwidth_hz": None},
        **{"tracks": 18, "windows": 108, "seeds": list(seeds)},
    }


def _write_latents(path: Path, seeds: tuple[int, ...], labels: list[str], dims: int) -> None:
    rng = np.random.default_rng(3)
    rows, latents = [], []
    for seed in seeds:
        for i, label in enumerate(labels):
            centre = 2 * rng.standard_normal(dims) * (np.arange(dims) < 6)
            for w in range(20):
                rows.append({"seed": seed, "window_id": 100 * i + w, "track_id": f"{label}/{w // 6}", "label": label})
                latents.append(centre + rng.standard_normal(dims))
    arrays.write(path, pd.DataFrame(rows).to_dict("list"), {"latent": np.stack(latents).astype(np.float32)})


def _write_dimensions(path: Path, seeds: tuple[int, ...], dims: int, levels: tuple[str, ...]) -> None:
    """Every second dimension of a level is active, with a falling KL."""
    rows = []
    for seed in seeds:
        for level in levels:
            for i in range(dims // len(levels)):
                nats, variance = (0.001, 0.0) if i % 2 else (3 * np.exp(-i / 20), 0.8)
                row = {"seed": seed, "level": level, "dimension": i, "kl": nats, "variance": variance}
                rows.append(row | {"active": i % 2 == 0})
    pd.DataFrame(rows).to_parquet(path, index=False)


def _write_codes(path: Path, seeds: tuple[int, ...]) -> None:
    """A quarter of the codebook has no counts."""
    code = np.arange(40)
    count = np.where(code % 4 == 0, 0, 1000 // (1 + code))
    tables = [pd.DataFrame({"seed": seed, "code": code, "count": count}) for seed in seeds]
    pd.concat(tables).to_parquet(path, index=False)
