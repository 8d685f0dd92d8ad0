"""Check a command's arguments without torch, so that a wrong one is reported at once: importing torch takes seconds."""

from collections.abc import Iterable
from pathlib import Path

from pipeline.core.errors import ParamsError
from pipeline.core.params import suggest


def check_input(path: Path) -> None:
    """Raise ParamsError if `path` is a folder or missing."""
    if path.is_dir():
        raise ParamsError(f"{path}: a folder; name the audio files in it")
    if not path.exists():
        raise ParamsError(f"{path}: no such file; check the path of the recording")


def check_output(path: Path, suffix: str, inputs: Iterable[Path] = ()) -> None:
    """Raise ParamsError if `path` has another suffix, is a folder or one of the inputs, or its folder is missing."""
    if path.suffix.lower() != suffix:
        raise ParamsError(f"-o {path}: the result is a {suffix} file; end its name with {suffix}")
    if path.is_dir():
        raise ParamsError(f"-o {path}: a folder; name a file in it")
    if not path.absolute().parent.is_dir():
        raise ParamsError(f"-o {path}: there is no folder {path.parent}")
    for source in inputs:
        if source.exists() and path.exists() and source.samefile(path):
            raise ParamsError(f"-o {path}: that is the input, which would be lost; choose another name")


def find_variant(models: Path, name: str, seed: int | None = None) -> Path:
    """Return models/<name>/seed-<seed>, as stage train writes it; by default the lowest seed that was trained.

    ParamsError if the variant is not trained, or not with this seed.
    """
    seeds: dict[str, list[int]] = {}
    for file in models.glob("*/seed-*/config.json"):
        number = file.parent.name.removeprefix("seed-")
        if number.isdecimal():
            seeds.setdefault(file.parent.parent.name, []).append(int(number))
    if not seeds:
        raise ParamsError(f"{models}: no trained variant; `dvc repro` trains the variants of params.yaml")
    if name not in seeds:
        raise ParamsError(f"--variant {name}: not trained in {models}; {suggest(name, seeds)}")
    if seed is not None and seed not in seeds[name]:
        raise ParamsError(f"--seed {seed}: {models / name} has the seeds {', '.join(map(str, sorted(seeds[name])))}")
    return models / name / f"seed-{min(seeds[name]) if seed is None else seed}"
