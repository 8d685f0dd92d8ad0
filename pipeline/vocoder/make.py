"""Make the vocoder of a representation: data/vocoders/<representation>/."""

import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.audio.inversion import Inversion
from pipeline.audio.representation import MelConfig, parse_representation
from pipeline.core import distributed, workspace
from pipeline.core.device import pick_device
from pipeline.core.errors import ParamsError
from pipeline.core.exported import load_exported
from pipeline.core.params import PARAMS_FILE, RuntimeConfig, get_entry
from pipeline.dataset.loader import window_loader
from pipeline.dataset.sampler import evenly_spaced
from pipeline.dataset.split import Split, read_split, read_stats
from pipeline.models.vocoder import Vocoder
from pipeline.training.seed import SeedSetup
from pipeline.training.variant import OpenRun, train_with_seed
from pipeline.vocoder.choice import DECIDING, is_better, score
from pipeline.vocoder.config import VocoderConfig, read_vocoder
from pipeline.vocoder.read import load_trained

VALID_WINDOWS = 24  # windows of the validation split, evenly spaced: enough to compare, and validation is slow


def make_vocoder(name: str, raw: Mapping[str, Any], runtime: RuntimeConfig, open_run: OpenRun) -> None:
    """Write data/vocoders/<name>, a folder that says how the mels of the representation `name` become audio.

    vocoder.json is the result of `choose`, vocoder.pt2 the user's own network if the params name one. A training leaves
    its files in the folder training; `open_run` records it.

    Raises:
        ParamsError: a param is wrong, or a file that it names is missing.
        DataError: a cache is missing or damaged; else the errors of `loop.fit`.
    """
    representation = parse_representation(get_entry(raw, "representations", name))
    config = read_vocoder(raw, name)
    folder = workspace.CACHE / str(config.waveforms)
    with (
        distributed.process_group(pick_device(runtime.device)) as device,
        workspace.output(workspace.VOCODERS / name) if distributed.rank() == 0 else nullcontext() as out,
    ):
        if representation.kind == "mel" and config.type == "trained":
            splits = {"train": read_split(folder, "train"), "valid": read_valid(folder)}
            description = describe(name, config, representation, folder)
            setup = SeedSetup(description, config.loss, config.train, folder, splits, device, Vocoder)
            train_with_seed(setup, runtime.checkpoint_seconds, open_run, out and out / workspace.TRAINING)
        if out is not None:
            choice = choose(out, name, config, representation) if representation.kind == "mel" else {}
            workspace.write_json(out / workspace.CHOICE_FILE, choice)


def describe(name: str, config: VocoderConfig, mel: MelConfig, folder: Path) -> dict[str, Any]:
    """The content of config.json: all that decides the weights and rebuilds the model."""
    stats = read_stats(folder)
    return {
        "variant": f"vocoder-{name}",
        "seed": 0,
        "network": config.network.model_dump(mode="json"),
        "mel": mel.model_dump(mode="json", exclude={"train_span_seconds"}),
        "loss": config.loss.model_dump(mode="json"),
        "train": config.train.model_dump(mode="json"),
        "input": config.waveforms,
        **{key: stats[key] for key in ("representation", "seconds", "shape")},
        "kind": "waveform",
        "stats": {"mean": stats["mean"], "std": stats["std"]},
        "valid_windows": VALID_WINDOWS,  # which choose the epoch
    }


def read_valid(folder: Path) -> Split:
    """A few windows of the validation split."""
    valid = read_split(folder, "valid")
    return valid.select(evenly_spaced(len(valid), VALID_WINDOWS).numpy())


def choose(out: Path, name: str, config: VocoderConfig, mel: MelConfig) -> dict[str, Any]:
    """Copy the network of the user into `out`, if there is one; the content of vocoder.json.

    It has `uses`, vocoder or griffin_lim, the `iterations` of Griffin-Lim, and with both the `scores` of both on
    validation windows. A trained network is used if it is better, the user's own in any case; that has scores only if
    the params name waveforms.
    """
    iterations = config.griffin_lim_iterations
    if config.type == "griffin_lim":
        return {"uses": "griffin_lim", "iterations": iterations}
    if config.type == "trained":
        vocoder = Inversion(mel, iterations, out / workspace.TRAINING / "network.safetensors", load_trained)
    else:
        file = pretrained_file(config, name)  # errors name the user's own file
        shutil.copyfile(file, out / workspace.EXPORTED_FILE)
        vocoder = Inversion(mel, iterations, file, load_exported)
        for frames in (2, 60 * mel.sample_rate // mel.hop_length):  # errors of the network come here
            vocoder(np.zeros((mel.bands, frames)), 0.0, mel.hop_length)
    inversions = {"vocoder": vocoder, "griffin_lim": Inversion(mel, iterations)}
    scores = {}
    if config.waveforms is not None:
        valid = read_valid(workspace.CACHE / config.waveforms)
        waveforms = window_loader(valid, torch.device("cpu")).batch(torch.arange(len(valid))).x.squeeze(1)
        scores = {way: score(inversion, waveforms) for way, inversion in inversions.items()}
    loses = config.type == "trained" and not is_better(scores["vocoder"], scores["griffin_lim"])
    choice = {"uses": "griffin_lim" if loses else "vocoder", "iterations": iterations, "scores": scores}
    texts = [f"{way} " + " and ".join(f"{of[metric]:.3g}" for metric in DECIDING) for way, of in scores.items()]
    workspace.say(f"{name}: {choice['uses']} is used; mel and STFT distance: {', '.join(texts) or 'not measured'}")
    return choice


def pretrained_file(config: VocoderConfig, name: str) -> Path:
    """The file of an exported network; ParamsError if it is missing."""
    path = workspace.PRETRAINED / str(config.path)
    if not path.is_file():
        problem = f"no file {path}; save a network there (a study or `dvc exp run --temp` needs it in Git: git add -f)"
        raise ParamsError(f"{PARAMS_FILE}: vocoders.{name}.path: {problem}")
    return path
