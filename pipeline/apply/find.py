"""Which variants are trained. Without torch, so that a wrong name is known at once."""

from pathlib import Path

from pipeline.core.errors import ParamsError
from pipeline.core.params import suggest


def find(models: Path, name: str, seed: int | None = None) -> Path:
    """Folder of the variant `name`.

    Args:
        models: holds <variant>/seed-<n>/ as the stage train writes them.
        name: of the variant.
        seed: of its training; the lowest that is there by default.

    Raises:
        ParamsError: it is not trained, or not with this seed.
    """
    found: dict[str, list[int]] = {}
    for file in models.glob("*/seed-*/config.json"):
        number = file.parent.name.removeprefix("seed-")
        if number.isdecimal():
            found.setdefault(file.parent.parent.name, []).append(int(number))
    if not found:
        raise ParamsError(f"{models}: no trained variant; `dvc repro` trains those of params.yaml")
    if name not in found:
        raise ParamsError(f"--variant {name}: not trained in {models}; {named(name, sorted(found), 'trained')}")
    if seed is not None and seed not in found[name]:
        raise ParamsError(f"--seed {seed}: {models / name} has the seeds {', '.join(map(str, sorted(found[name])))}")
    return models / name / f"seed-{min(found[name]) if seed is None else seed}"


def named(name: str, there: list[str], what: str) -> str:
    """The nearest to a wrong name, and all that are `what`."""
    near = suggest(name, there)
    return f"{near if near.endswith('?') else ''} {what} are: {', '.join(there)}".strip()
