"""Commands that apply a trained variant: reconstruct, perturb, transfer, encode, interpolate, sample.

Each one loads the variant and calls the function of its name in pipeline/apply. Options that several commands share are
the `Annotated` types below; Typer reads a command's options from its own signature, so each signature lists them.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipeline.cli.base import AsJson, app
from pipeline.core import process, workspace

if TYPE_CHECKING:
    from pipeline.apply.convert import Transform
    from pipeline.apply.input import OnProgress
    from pipeline.apply.output import WrittenFile
    from pipeline.apply.variant import TrainedVariant

PROGRESS_INTERVAL = 60.0  # seconds between two lines of progress without a terminal
PROGRESS_BAR = "{desc}: {n:.0f} of {total:.0f} s |{bar}| {elapsed}<{remaining}"

Input = Annotated[Path, typer.Argument(metavar="IN", help="Audio file of any sample rate, length and channels.")]
Name = Annotated[str, typer.Option("--variant", help="Key of `models` in params.yaml; it must be trained.")]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="OUT.wav", help="WAV file to write, 16-bit mono.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of the training; by default the lowest trained one.")]
Label = Annotated[
    str | None, typer.Option("--label", metavar="LABEL", help="The recording's, for a variant with `condition`.")
]
RandomSeed = Annotated[int, typer.Option("--random-seed", min=0, help="Seed of the random draw.")]
Models = Annotated[Path | None, typer.Option("--models", help="Folder of trained variants; by default the project's.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:<n> or mps.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print only errors.")]


@app.command()
def reconstruct(
    recording: Input,
    name: Name,
    output: Output,
    label: Label = None,
    seed: Seed = None,
    models: Models = None,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Encode a recording and decode it again.

    The result has the recording's length and sample rate, and no frequencies above half the sample rate of the
    variant's input.
    """
    variant = load_variant(models, name, seed, device, [recording], output)
    from pipeline.apply import convert

    convert_recording(recording, output, variant, convert.reconstruct(variant, label), quiet, as_json)


@app.command()
def perturb(
    recording: Input,
    name: Name,
    output: Output,
    scale: Annotated[float, typer.Option(min=0, max=1000, help="How far, in standard deviations of each latent.")],
    random_seed: RandomSeed = 0,
    label: Label = None,
    seed: Seed = None,
    models: Models = None,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Move the latents in a random direction and decode them.

    The direction is the same for all windows of the recording.
    """
    variant = load_variant(models, name, seed, device, [recording], output)
    from pipeline.apply import convert

    convert_recording(recording, output, variant, convert.perturb(variant, scale, random_seed, label), quiet, as_json)


@app.command()
def transfer(
    recording: Input,
    name: Name,
    output: Output,
    target: Annotated[str, typer.Option("--to", metavar="LABEL", help="Label to decode with.")],
    source: Annotated[
        str | None, typer.Option("--from", metavar="LABEL", help="Label to encode with; by default not known.")
    ] = None,
    seed: Seed = None,
    models: Models = None,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Encode a recording with one label, decode it with another.

    The variant must have a `condition`.
    """
    variant = load_variant(models, name, seed, device, [recording], output)
    from pipeline.apply import convert

    convert_recording(recording, output, variant, convert.transfer(variant, source, target), quiet, as_json)


@app.command()
def encode(
    recordings: Annotated[list[Path], typer.Argument(metavar="IN...", help="Audio files.")],
    name: Name,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT.parquet", help="Table to write.")],
    hop: Annotated[
        float | None,
        typer.Option(min=0, max=3600, help="Seconds from window to window; by default a window's length."),
    ] = None,
    label: Label = None,
    seed: Seed = None,
    models: Models = None,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write the latents of recordings to a Parquet table.

    A row per window: path, start_seconds, seconds, latent, and codes if the variant has a codebook.
    pipeline.core.arrays.read and unpack give the arrays back.
    """
    variant = load_variant(models, name, seed, device, recordings, output, ".parquet")
    from pipeline.apply import encode

    with show_progress(quiet) as on_progress:
        table = encode.encode(recordings, output, variant, hop, label, on_progress)
    summary = f"{output}: {table.windows} windows, {table.latent_dims} numbers each ({describe(variant)})"
    print_result([summary, *table.notes], asdict(table), variant, quiet, as_json)


@app.command()
def interpolate(
    first: Annotated[Path, typer.Argument(metavar="A", help="First audio file.")],
    last: Annotated[Path, typer.Argument(metavar="B", help="Last audio file.")],
    name: Name,
    output: Output,
    steps: Annotated[int, typer.Option(min=2, max=1000, help="Number of windows, both ends included.")] = 8,
    mode: Annotated[
        Literal["linear", "slerp"], typer.Option(help="linear: a straight line. slerp: along an arc.")
    ] = "linear",
    at: Annotated[
        tuple[float, float], typer.Option(min=0, max=1e6, help="Start of the windows in A and B, in seconds.")
    ] = (0.0, 0.0),
    source: Annotated[
        str | None, typer.Option("--from", metavar="LABEL", help="Label of A, for a variant with `condition`.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--to", metavar="LABEL", help="Label of B, for a variant with `condition`.")
    ] = None,
    seed: Seed = None,
    models: Models = None,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Interpolate between a window of A and a window of B.

    The steps follow one another: the first is the reconstruction of A's window, the last of B's.
    """
    variant = load_variant(models, name, seed, device, [first, last], output)
    from pipeline.apply import generate

    file = generate.interpolate((first, last), output, variant, steps, mode, at, (source, target))
    print_files([file], output, variant, quiet, as_json)


@app.command()
def sample(
    name: Name,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Created if missing.")],
    number: Annotated[int, typer.Option("-n", min=1, help="How many.")] = 8,
    label: Annotated[
        str | None, typer.Option("--label", metavar="LABEL", help="Label to draw, for a variant with `condition`.")
    ] = None,
    random_seed: RandomSeed = 0,
    peak_db: Annotated[
        float | None, typer.Option(min=-100, max=100, help="Peak of each mel in dB; by default as in the data.")
    ] = None,
    seed: Seed = None,
    models: Models = None,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Draw windows from the prior: FOLDER/sample-0.wav and so on."""
    variant = load_variant(models, name, seed, device)
    from pipeline.apply import generate

    peak, origin = (peak_db, "from --peak-db") if peak_db is not None else variant.typical_peak_db()
    files = generate.sample(output, variant, number, random_seed, label, peak)
    if variant.representation.kind == "mel":
        files[0] = replace(files[0], notes=(f"peak of the mels: {peak:.1f} dB ({origin})",))
    print_files(files, output, variant, quiet, as_json)


def load_variant(
    models: Path | None,
    name: str,
    seed: int | None,
    device: str,
    inputs: Sequence[Path] = (),
    output: Path | None = None,
    suffix: str = ".wav",
) -> "TrainedVariant":
    """Check the files to read and to write, then find a trained variant by its name and load it."""
    from pipeline.apply import arguments

    for path in inputs:
        arguments.check_input(path)
    if output:
        arguments.check_output(output, suffix, inputs)
    folder = arguments.find_variant(models or workspace.root() / workspace.MODELS, name, seed)
    process.collect_garbage_rarely()
    from pipeline.apply.variant import load  # imports torch, which takes seconds: after the checks

    return load(folder, device)


def convert_recording(
    recording: Path, output: Path, variant: "TrainedVariant", transform: "Transform", quiet: bool, as_json: bool
) -> None:
    """Apply a transform to the windows of a recording, write the result, and describe it."""
    from pipeline.apply.convert import convert

    with show_progress(quiet) as on_progress:
        file = convert(recording, output, variant, transform, on_progress)
    print_files([file], output, variant, quiet, as_json)


@contextmanager
def show_progress(quiet: bool) -> "Iterator[OnProgress]":
    """A function that shows how much of a file was read: a bar, or a line a minute without a terminal, on stderr."""
    from tqdm import tqdm

    printed = time.monotonic()
    with tqdm(total=1.0, delay=1, leave=False, bar_format=PROGRESS_BAR, disable=True if quiet else None) as bar:

        def on_progress(path: Path, seconds_read: float, seconds: float | None) -> None:
            nonlocal printed
            if not bar.disable:
                bar.set_description_str(path.name, refresh=False)
                bar.total, bar.n = max(seconds or 0, seconds_read), seconds_read
                bar.refresh()
            elif not quiet and time.monotonic() - printed >= PROGRESS_INTERVAL:
                printed = time.monotonic()
                total = f" of {seconds:.0f}" if seconds else ""
                typer.echo(f"  {path.name}: {seconds_read:.0f}{total} s", err=True)

        yield on_progress


def print_files(
    files: "list[WrittenFile]", output: Path, variant: "TrainedVariant", quiet: bool, as_json: bool
) -> None:
    """Describe WAV files: their length and rate, the frequencies that they lack, and a gain that avoids clipping."""
    first = files[0]
    number = f"{len(files)} files of " if len(files) > 1 else ""
    way = f", audio by {variant.inversion.name}" if variant.inversion else ""
    lines = [f"{output}: {number}{first.seconds:.2f} s at {first.rate} Hz ({describe(variant)}{way})"]
    if first.bandwidth_hz < first.rate / 2:
        lines.append(f"nothing above {first.bandwidth_hz:.0f} Hz: the input of {variant.name} has {variant.rate} Hz")
    gains = [f"{file.gain_db:.1f} dB" for file in files if file.gain_db < 0]
    if gains:
        lines.append(f"turned down so that nothing clips: {', '.join(gains)}")
    print_result([*lines, *first.notes], {"files": [asdict(file) for file in files]}, variant, quiet, as_json)


def print_result(
    lines: list[str], values: dict[str, Any], variant: "TrainedVariant", quiet: bool, as_json: bool
) -> None:
    """Print `values` and the variant as JSON, or `lines` unless `quiet`."""
    if as_json:
        values |= {"variant": variant.name, "seed": variant.seed, "device": str(variant.device)}
        typer.echo(json.dumps(values, indent=2))
    elif not quiet:
        typer.echo("\n".join(lines))


def describe(variant: "TrainedVariant") -> str:
    """A variant's name, seed and device."""
    return f"{variant.name}, seed {variant.seed}, {variant.device}"
