"""Read results.json of several builds, and refuse what does not compare. Strangers may have written the files."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError

from pipeline.core.errors import DataError, MelismaError, ParamsError
from pipeline.core.text import printable
from pipeline.report.results import DEFAULTS, FORMAT, Results

MAX_BYTES = 20 * 2**20
MAX_DIFFERENCES = 3  # in a message


class _Format(BaseModel):
    format: int


def read_all(paths: Sequence[Path]) -> dict[str, Results]:
    """The files by the name that the table shows: its stem, or its path if two files have this stem.

    Raises:
        ParamsError: a file is missing or named twice.
        DataError: a file is no results.json, or newer than this code.
        MelismaError: a file does not compare with the first one.
    """
    stems = [path.stem for path in paths]
    files: dict[str, Results] = {}
    for path, stem in zip(paths, stems, strict=True):
        name = printable(stem if stems.count(stem) == 1 else str(path))
        if name in files:
            raise ParamsError(f"{path}: named twice; name each file once")
        files[name] = read(path)
    first = next(iter(files.values()))
    for path, results in zip(paths, files.values(), strict=True):
        if problem := find_difference(first, results):
            raise MelismaError(f"{path}: does not compare with {paths[0]}: {problem}")
    return files


def read(path: Path) -> Results:
    """A results.json; errors as `read_all`."""
    if path.is_dir():
        raise ParamsError(f"{path}: a folder; name the file results.json in it")
    if not path.exists():
        raise ParamsError(f"{path}: no such file; a build writes data/report/results.json")
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path}: more than {MAX_BYTES // 2**20} MiB; name a file results.json of a build")
    content = path.read_bytes()
    try:
        number = _Format.model_validate_json(content).format
        if number > FORMAT:
            raise DataError(
                f"{path}: its format {number} is newer than this Melisma can read ({FORMAT}); update Melisma"
            )
        return Results.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        reason = printable(f"{place}: {first['msg']}" if place else first["msg"])[:200]
        raise DataError(f"{path}: no results.json of Melisma ({reason}); name a file that a build wrote") from error


def find_difference(first: Results, other: Results) -> str | None:
    """Why the numbers of two files do not compare, and what to do; None if they do."""
    one, two = DEFAULTS | first.protocol, DEFAULTS | other.protocol
    if one.get("version") != two.get("version"):
        versions = f"{_text(one.get('version'))} and {_text(two.get('version'))}"
        return f"version of the protocol: {versions}; leave it out, or run both builds with the same version of Melisma"
    keys = [key for key in one | two if one.get(key) != two.get(key)]
    if keys:
        shown = [f"{_text(key)}: {_text(one.get(key))} and {_text(two.get(key))}" for key in keys[:MAX_DIFFERENCES]]
        more = f", and {len(keys) - MAX_DIFFERENCES} more" if len(keys) > MAX_DIFFERENCES else ""
        return f"{', '.join(shown)}{more}; leave it out, or set the same in params.yaml and run `dvc repro`"
    if first.test.fingerprint != other.test.fingerprint:
        windows = f"{_describe(first)} and {_describe(other)}"
        return f"test windows: {windows}; leave it out, or use the same recordings, labels and `windows`"
    return None


def _text(value: object) -> str:
    return "none" if value is None else printable(str(value))[:80]


def _describe(results: Results) -> str:
    test = results.test
    return f"{_text(test.fingerprint)} ({test.windows} of {test.recordings} recordings of {_text(results.source)})"
