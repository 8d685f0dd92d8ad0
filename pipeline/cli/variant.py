"""Commands that use a trained variant: reconstruct, encode, interpolate, perturb, sample, transfer."""

import atexit
import gc
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipeline.cli.base import AsJson, app
from pipeline.core import workspace

if TYPE_CHECKING:
    from pipeline.apply.convert import Change, Written
    from pipeline.apply.trained import Trained

Recording = Annotated[Path, typer.Argument(metavar="IN", help="Audio file of any rate, length and channels.")]
Variant = Annotated[str, typer.Option("--variant", help="Key of `models` in params.yaml; it must be trained.")]
Wav = Annotated[Path, typer.Option("--output", "-o", metavar="OUT.wav", help="WAV file to write, 16-bit mono.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of the training; the first that is there by default.")]
Label = Annotated[
    str | None, typer.Option("--label", metavar="GENRE", help="The recording's, for a variant with `condition`.")
]
RandomSeed = Annotated[int, typer.Option("--random-seed", min=0, help="Of the draw.")]
Models = Annotated[Path | None, typer.Option("--models", help="Folder of trained variants; the project's by default.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:<n> or mps.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]


@app.command()
def reconstruct(
    recording: Recording,
    variant: Variant,
    output: Wav,
    label: Label = None,
    seed: Seed = None,
    models: Models = None,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Encode a recording and decode it again.

    The result has the recording's length and rate, and no frequencies above half the rate of the variant's input.
    """
    _check(output, ".wav", [recording])
    trained = _load(models, variant, seed, device)
    from pipeline.apply import convert

    _convert(recording, output, trained, convert.reconstruct(trained, label), quiet, as_json)


@app.command()
def perturb(
    recording: Recording,
    variant: Variant,
    output: Wav,
    scale: Annotated[
        float, typer.Option(min=0, max=1000, help="How far, in units of the latents' spread over the data.")
    ],
    random_seed: RandomSeed = 0,
    label: Label = None,
    seed: Seed = None,
    models: Models = None,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Move a recording's latents in a random direction, the same for all of its windows, and decode them."""
    _check(output, ".wav", [recording])
    trained = _load(models, variant, seed, device)
    from pipeline.apply import convert

    _convert(recording, output, trained, convert.perturb(trained, scale, random_seed, label), quiet, as_json)


@app.command()
def transfer(
    recording: Recording,
    variant: Variant,
    output: Wav,
    to: Annotated[str, typer.Option("--to", metavar="GENRE", help="Label to decode as.")],
    source: Annotated[
        str | None, typer.Option("--from", metavar="GENRE", help="Label to encode as; not known by default.")
    ] = None,
    seed: Seed = None,
    models: Models = None,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Encode a recording as of one genre and decode it as of another; the variant must have a `condition`."""
    _check(output, ".wav", [recording])
    trained = _load(models, variant, seed, device)
    from pipeline.apply import convert

    _convert(recording, output, trained, convert.transfer(trained, source, to), quiet, as_json)


@app.command()
def encode(
    recordings: Annotated[list[Path], typer.Argument(metavar="IN...", help="Audio files.")],
    variant: Variant,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT.parquet", help="Table to write.")],
    hop: Annotated[
        float | None, typer.Option(min=0, max=3600, help="Seconds from window to window; a window's length by default.")
    ] = None,
    label: Label = None,
    seed: Seed = None,
    models: Models = None,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write the latent of every window of some recordings to a Parquet table.

    A row per window: path, start_seconds, seconds, latent, and codes where the variant has a codebook.
    pipeline.cache.arrays.read and unpack give the arrays back.
    """
    _check(output, ".parquet", recordings)
    trained = _load(models, variant, seed, device)
    from pipeline.apply import encode
    from pipeline.cli.progress import progress

    with progress(quiet) as on_read:
        made = encode.encode(recordings, output, trained, hop, label, on_read)
    what = f"{output}: {made.windows} windows, {made.latent_dims} numbers each ({_name(trained)})"
    _tell([what, *made.notes], asdict(made) | _about(trained), quiet, as_json)


@app.command()
def interpolate(
    first: Annotated[Path, typer.Argument(metavar="A", help="Audio file to begin with.")],
    last: Annotated[Path, typer.Argument(metavar="B", help="Audio file to end with.")],
    variant: Variant,
    output: Wav,
    steps: Annotated[int, typer.Option(min=2, max=1000, help="Windows on the way, both ends among them.")] = 8,
    mode: Annotated[Literal["linear", "slerp"], typer.Option(help="Straight, or along the arc.")] = "linear",
    at: Annotated[
        tuple[float, float], typer.Option(min=0, max=1e6, help="Where the windows begin in A and B, seconds.")
    ] = (
        0.0,
        0.0,
    ),
    source: Annotated[str | None, typer.Option("--from", metavar="GENRE", help="Label of A, with `condition`.")] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="GENRE", help="Label of B, likewise.")] = None,
    seed: Seed = None,
    models: Models = None,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Walk through the latent space from a window of A to a window of B.

    The steps follow one another: the first is the reconstruction of A's window, the last that of B's.
    """
    _check(output, ".wav", [first, last])
    trained = _load(models, variant, seed, device)
    from pipeline.apply import create

    made = create.interpolate((first, last), output, trained, steps, mode, at, (source, to))
    _told([made], output, trained, quiet, as_json)


@app.command()
def sample(
    variant: Variant,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Made if it is not there.")],
    number: Annotated[int, typer.Option("-n", min=1, help="How many.")] = 8,
    label: Annotated[
        str | None, typer.Option("--label", metavar="GENRE", help="To draw, for a variant with `condition`.")
    ] = None,
    random_seed: RandomSeed = 0,
    peak_db: Annotated[
        float | None, typer.Option(min=-100, max=100, help="Level of a mel's peak; as in the data by default.")
    ] = None,
    seed: Seed = None,
    models: Models = None,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Draw windows from the prior: FOLDER/sample-0.wav and so on."""
    trained = _load(models, variant, seed, device)
    from pipeline.apply import create

    level, why = (peak_db, "as asked") if peak_db is not None else trained.peak_db()
    made = create.sample(output, trained, number, random_seed, label, level)
    if trained.representation.kind == "mel":
        made[0] = replace(made[0], notes=(f"level of the mels' peaks: {level:.1f} dB ({why})",))
    _told(made, output, trained, quiet, as_json)


def _load(models: Path | None, variant: str, seed: int | None, device: str) -> "Trained":
    from pipeline.apply.find import find

    folder = find(models or workspace.root() / workspace.MODELS, variant, seed)
    # As in the stages: the objects of imported libraries stay, and are not to be searched for garbage again and again.
    gc.set_threshold(10_000, 50, 100)
    atexit.register(gc.freeze)
    from pipeline.apply.trained import load

    return load(folder, device)


def _check(output: Path, suffix: str, inputs: list[Path]) -> None:
    """Look at what is to be read and written before torch is imported, which takes seconds."""
    from pipeline.apply import output as target
    from pipeline.apply import source

    for path in inputs:
        source.check(path)
    target.check(output, suffix, inputs)


def _convert(recording: Path, output: Path, trained: "Trained", change: "Change", quiet: bool, as_json: bool) -> None:
    """Write what `change` makes of the recording, and say so."""
    from pipeline.apply.convert import convert
    from pipeline.cli.progress import progress

    with progress(quiet) as on_read:
        made = convert(recording, output, trained, change, on_read)
    _told([made], output, trained, quiet, as_json)


def _told(made: "list[Written]", output: Path, trained: "Trained", quiet: bool, as_json: bool) -> None:
    """Say what was written, what it cannot hold, and what was done so that it does not clip."""
    first = made[0]
    number = f"{len(made)} files of " if len(made) > 1 else ""
    lines = [f"{output}: {number}{first.seconds:.2f} s at {first.rate} Hz ({_name(trained)})"]
    if first.reach_hz < first.rate / 2:
        lines.append(f"nothing above {first.reach_hz:.0f} Hz: {trained.name} hears {trained.rate} samples a second")
    turned = [f"{file.gain_db:.1f} dB" for file in made if file.gain_db < 0]
    if turned:
        lines.append(f"turned down so that nothing clips: {', '.join(turned)}")
    _tell([*lines, *first.notes], {"files": [asdict(file) for file in made]} | _about(trained), quiet, as_json)


def _name(trained: "Trained") -> str:
    return f"{trained.name}, seed {trained.seed}, {trained.device}"


def _about(trained: "Trained") -> dict[str, Any]:
    return {"variant": trained.name, "seed": trained.seed, "device": str(trained.device)}


def _tell(lines: list[str], found: dict[str, Any], quiet: bool, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    elif not quiet:
        typer.echo("\n".join(lines))
