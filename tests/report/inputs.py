"""Stand-ins for the inputs of the report that `tests.artefacts` lacks: windows, ceilings, pictures and sounds."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.audio.wav import write_wav
from pipeline.core.workspace import read_json, write_json
from tests import artefacts

RATE = 22050
REPRESENTATIONS = {"mel": artefacts.SETTINGS["mel"], "wave": artefacts.SETTINGS["waveform"]}


def make_params(*variants: str) -> dict[str, Any]:
    """params.yaml with these variants; a name starts with the representation and may end in pca or mean."""
    return {
        "seeds": [0],
        "source": {"name": "synth"},
        "representations": REPRESENTATIONS,
        "models": {name: _settings(name) for name in variants},
    }


def _settings(name: str) -> dict[str, Any]:
    representation = name.split("_")[0]
    if name.endswith(("pca", "mean")):
        return {
            "representation": representation,
            "network": {"type": "identity"},
            "bottleneck": {"type": "linear", "latent": 0 if name.endswith("mean") else None},
        }
    return {
        "representation": representation,
        "network": {"type": "conv2d" if representation == "mel" else "conv1d"},
        "bottleneck": {"type": "gaussian", "latent": 64, "layout": "vector"},
        "loss": {"spectral": {"weight": 0.1}},
    }


def make_windows(root: Path, variant: str, error: float) -> None:
    """windows.parquet and bands.parquet: four groups of two tracks, three windows each; most noise is shared."""
    folder = root / "evaluation" / variant
    track = np.repeat(np.arange(8), 3)
    shared_noise = np.random.default_rng(1).uniform(0.5, 1.5, len(track))
    noise = np.random.default_rng(len(variant)).normal(0, 0.01 * error, len(track))
    table = pd.DataFrame({"seed": 0, "window_id": np.arange(len(track)), "track_id": [f"t{t}" for t in track]})
    table["label"] = "waltz"
    table["group"] = [f"g{t // 2}" for t in track]
    table["mse"] = error * shared_noise + noise
    table["mel_mse"] = 1.2 * table["mse"]
    table["cosine_similarity"] = 1 - 4 * table["mse"]
    table["mel_cosine_similarity"] = 1 - 5 * table["mse"]
    table.to_parquet(folder / "windows.parquet")
    _write_bands(folder, error)


def _write_bands(folder: Path, error: float) -> None:
    hertz = np.geomspace(40, 10000, 32)
    bands = {"seed": 0, "band": np.arange(32), "hertz": hertz, "mse": error * np.linspace(1, 2, 32), "mse_mean": 0.03}
    pd.DataFrame(bands).to_parquet(folder / "bands.parquet")


def make_reference(root: Path, **probes: float) -> None:
    """The ceiling of each representation, and the origins of the examples; `probes` are metrics of the ceilings."""
    for name, error in (("mel", 0.002), ("wave", 0.03)):
        folder = root / "reference" / "ceiling" / name
        folder.mkdir(parents=True, exist_ok=True)
        bandwidth = 1500.0 if name == "wave" else None
        metrics = {"mel_mse": error, "mel_mse_low": 0.9 * error, "mel_mse_high": 1.1 * error, "bandwidth_hz": bandwidth}
        write_json(folder / "metrics.json", {**metrics, "ceiling": True, "mse": None, **probes})
        _write_bands(folder, error)
    table = {"example": [0, 1, -1], "window_id": [0, 1, 2], "track_id": ["a/0", "b/0", "c/0"]}
    table |= {"label": ["waltz", "jig", "jig"], "start_seconds": [5.0, 12.5, 0.0]}
    pd.DataFrame(table).to_parquet(root / "reference" / "examples.parquet")


def make_griffin_lim(root: Path, **scores: float) -> None:
    """A copy of the ceiling of the mel with other scores, as stage reference writes it beside a vocoder."""
    folder = root / "reference" / "griffin_lim" / "mel"
    shutil.copytree(root / "reference" / "ceiling" / "mel", folder)
    write_json(folder / "metrics.json", read_json(folder / "metrics.json") | scores)


def make_others(root: Path) -> None:
    """Rows of two codecs and of a model from elsewhere, each with the clips of two examples."""
    rows = {
        "codec/opus-8": (8.0, 3.2),
        "codec/opus-24": (24.1, 1.5),
        "codec/mp3-32": (32.4, 1.4),
        "external/theirs": (6.0, 1.2),
    }
    for number, (name, (kbps, distance)) in enumerate(rows.items()):
        folder = root / "reference" / name
        folder.mkdir(parents=True)
        metrics = {"kbps": kbps, "audio_mel_distance": distance, "mse": None, "mel_mse": None}
        if name.startswith("external"):
            metrics |= {"mel_mse": 0.004, "mel_mse_low": 0.003, "mel_mse_high": 0.005, "bandwidth_hz": None}
            _write_bands(folder, 0.004)
        write_json(folder / "metrics.json", metrics)
        for example in (0, 1):
            for role, noise in (("original", 0.0), ("reconstruction", 0.01 * (number + 1))):
                sound = artefacts.music(example, RATE, 1.0) + noise * np.random.default_rng(0).standard_normal(RATE)
                write_wav(folder / f"example-{example}-{role}.wav", 0.25 * sound.astype(np.float32), RATE)


def make_vocoder(root: Path, uses: str, **scores: float) -> None:
    """vocoder.json of the mel, with the mel distances `scores` of both ways."""
    folder = root / "vocoders" / "mel"
    folder.mkdir(parents=True, exist_ok=True)
    distances = {way: {"audio_mel_distance": mel, "audio_stft_distance": 2 * mel} for way, mel in scores.items()}
    choice = {"uses": uses, "iterations": 32} | ({"scores": distances} if scores else {})
    write_json(folder / "vocoder.json", choice)


def make_figures(root: Path, variant: str, gain: float = 0.5, transfers: bool = False) -> None:
    """figures/<variant>/: pictures, an animation, and sounds of one second for each role."""
    folder = root / "figures" / variant
    (folder / "audio").mkdir(parents=True)
    rng = np.random.default_rng(0)
    entries = []
    pictures = ["reconstructions.png", "samples.png", "walks.png", "perturbations.png", "training_curves.png"]
    for file in [*pictures, *["transfer.png"] * transfers]:
        noise = rng.integers(0, 255, (60, 200, 3)) if file != "training_curves.png" else np.full((60, 200, 3), 240)
        Image.fromarray(noise.astype(np.uint8)).save(folder / file)
        entries.append(_entry(file, "image"))
    frames = [Image.fromarray(rng.integers(0, 255, (60, 80, 3)).astype(np.uint8)) for _ in range(3)]
    frames[0].save(folder / "progress.gif", save_all=True, append_images=frames[1:], duration=200)
    entries.append(_entry("progress.gif", "animation"))

    def add_sound(role: str, example: int, *, seed: int, noise: float = 0.0, **values: Any) -> None:
        file = "-".join(["audio/" + role, str(example), *([str(values["step"])] if "step" in values else [])]) + ".wav"
        sound = artefacts.music(seed, RATE, 1.0) + noise * np.random.default_rng(0).standard_normal(RATE)
        write_wav(folder / file, np.float32(0.5 * gain) * sound.astype(np.float32), RATE)
        values = {"label": "waltz" if example == 0 else "jig"} | values
        entries.append(_entry(file, "audio", role=role, example=example, caption=f"How {role} was made.", **values))

    for example in (0, 1):
        for number, role in enumerate(("original", "reconstruction", "ceiling")):
            add_sound(role, example, seed=example, noise=0.02 * number)
        add_sound("sample", example, seed=5 + example)
    for role in ("linear", "slerp"):
        add_sound(role, 0, seed=7)
    for step in range(3):
        add_sound("perturbed", 0, seed=0, noise=0.1 * step, step=step)
    for step, label in enumerate(["waltz", "jig"] * transfers):
        add_sound("transfer", 0, seed=step, step=step, label=label)
    write_json(folder / "figures.json", entries)


def _entry(file: str, kind: str, **values: Any) -> dict[str, Any]:
    stem = Path(file).stem
    entry = {"file": file, "kind": kind, "title": stem.capitalize(), "caption": f"What {stem} shows, in a sentence."}
    return {**dict.fromkeys(("example", "role", "step", "label")), **entry, **values}
