"""Download a file from the first mirror that has it. An interrupted download resumes; a complete one is verified."""

import hashlib
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import requests
from urllib3.exceptions import HTTPError

from pipeline.core import workspace
from pipeline.core.errors import DataError
from pipeline.core.progress import byte_progress, format_bytes

MAX_TRIES = 6  # consecutive tries without a new byte; then the next mirror
FIRST_PAUSE = 1.0  # seconds before the second try; doubles with each further one
MAX_PAUSE = 120.0  # seconds that a server may ask for
TIMEOUT = (15.0, 60.0)  # seconds to connect, and between two bytes
CHUNK_BYTES = 1 << 16


class _RefusedError(Exception):
    """The mirror does not have the file: a further request would not help."""


class _InterruptedError(Exception):
    """The transfer ended early and may resume, after the `pause` in seconds that the server asks for."""

    def __init__(self, message: str, pause: float = 0.0) -> None:
        super().__init__(message)
        self.pause = pause


def fetch(urls: Sequence[str], checksum: str, name: str, key: str) -> Path:
    """Download a file from the first of `urls` that has it to .melisma/downloads, unless an intact copy is there.

    The next call resumes an interrupted download. A second process that needs the file waits for the first.
    `checksum` is "sha256:" or "md5:" and the hex digest; `key` of params.yaml can name a local copy.

    Raises:
        DataError: all mirrors failed (the message gives the reasons), or the disk is too small.
    """
    folder = workspace.state_folder() / "downloads"
    folder.mkdir(exist_ok=True)
    name = f"{checksum.partition(':')[2][:8]}-{name}"  # mirrors may use one name for different files
    file, part = folder / name, folder / f"{name}.part"
    with workspace.hold_lock(folder / f".{name}.lock", f"downloading {name}"):
        if file.exists():
            if _compute_checksum(file, checksum) == checksum:
                return file
            workspace.say(f"{file} is damaged or does not match source.<name>.checksum; downloading it again")
            file.unlink()
        failures = []
        for url in urls:
            progress = f", resuming after {format_bytes(_size(part))}" if _size(part) else ""
            workspace.say(f"downloading {name} from {url}{progress}")
            try:
                _download(url, part, checksum)
            except _RefusedError as error:
                failures.append(f"{url}: {error}")
                workspace.say(f"  {error}")
            except (KeyboardInterrupt, SystemExit):
                workspace.say(f"{part}: kept {format_bytes(_size(part))}; the next run resumes here")
                raise
            else:
                return part.rename(file)
    raise DataError(f"no mirror gave {name}: {'; '.join(failures)}; try again later, or set {key} to a copy")


def _download(url: str, part: Path, checksum: str) -> None:
    """Complete `part` from one mirror, with growing pauses between tries without a new byte, and verify it.

    If a resumed file has a wrong checksum, its old bytes may be wrong: it is downloaded once more. If a new file has a
    wrong checksum, it is removed, and the mirror counts as refusing.
    """
    resumed, largest, tries = _size(part) > 0, _size(part), 0
    while True:
        try:
            _transfer(url, part)
            break
        except _InterruptedError as error:
            tries = 1 if _size(part) > largest else tries + 1
            largest = max(largest, _size(part))
            if tries == MAX_TRIES:
                raise _RefusedError(f"{error} ({MAX_TRIES} times in a row)") from error
            pause = max(FIRST_PAUSE * 2 ** (tries - 1), min(error.pause, MAX_PAUSE))
            workspace.say(f"  {error}; trying again in {pause:g} s")
            time.sleep(pause)
    actual = _compute_checksum(part, checksum)
    if actual == checksum:
        return
    part.unlink()
    if not resumed:
        raise _RefusedError(f"its checksum is {actual}, expected {checksum}")
    workspace.say("  the resumed file has a wrong checksum; downloading it from the start")
    _download(url, part, checksum)


def _transfer(url: str, part: Path) -> None:
    """Request the missing bytes of `part` once; DataError if the disk is too small."""
    # identity: some servers report the archive's compression as transfer compression; the client would unpack it.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={_size(part)}-"} if _size(part) else {})
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            total = _prepare(response, part)
            start = _size(part)
            if start == total:
                return
            free = shutil.disk_usage(part.parent).free
            if total is not None and total - start > free:
                sizes = f"{format_bytes(total - start)} more, but {format_bytes(free)} are free"
                raise DataError(f"{part.parent}: {part.stem} needs {sizes}; free disk space")
            with part.open("ab") as file, byte_progress(f"downloading {part.stem}", total, start) as advance:
                for chunk in response.raw.stream(CHUNK_BYTES, decode_content=False):
                    file.write(chunk)
                    file.flush()  # a killed process keeps what it has
                    advance(len(chunk))
    except (requests.exceptions.SSLError, requests.exceptions.ProxyError) as error:
        raise _RefusedError(_reason(error)) from error
    except (requests.ConnectionError, requests.Timeout) as error:
        is_unknown_host = "NameResolutionError" in repr(error)  # or the machine has no network
        raise (_RefusedError if is_unknown_host else _InterruptedError)(_reason(error)) from error
    except HTTPError as error:
        raise _InterruptedError(f"the connection was lost ({_reason(error)})") from error
    except requests.RequestException as error:  # a malformed URL, too many redirects
        raise _RefusedError(_reason(error)) from error
    except OSError as error:  # a disk error; connection errors are caught above
        size = format_bytes(_size(part))
        raise DataError(f"{part}: {_reason(error)} after {size}; the next run resumes here") from error
    if total is not None and _size(part) != total:
        raise _InterruptedError(f"the connection ended after {format_bytes(_size(part))} of {format_bytes(total)}")


def _prepare(response: requests.Response, part: Path) -> int | None:
    """The size of the complete file, if the response contains it. Remove `part` unless the response continues it."""
    status = response.status_code
    if response.ok and response.headers.get("Content-Type", "").startswith("text/html"):
        raise _RefusedError("it sends a page, not the file")  # perhaps a login page, so `part` stays
    content_range = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", ""))
    start, size = content_range.groups() if content_range else (None, None)
    total = int(size) if size and size.isdigit() else None
    is_complete = status == 416 and total and total == _size(part)  # killed between the last byte and the end
    if is_complete or (status == 206 and start == str(_size(part))):
        return total
    if status in (206, 416) and _size(part):
        part.unlink()
        raise _InterruptedError(f"HTTP {status} does not continue the kept part; downloading it from the start")
    if status == 200:
        part.unlink(missing_ok=True)
        length = response.headers.get("Content-Length", "")
        return int(length) if length.isdigit() else None
    message = f"HTTP {status} {response.reason}".strip()
    if status in (408, 429) or status >= 500:
        pause = response.headers.get("Retry-After", "")
        raise _InterruptedError(message, float(pause) if pause.isdigit() else 0.0)
    raise _RefusedError(message)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _compute_checksum(file: Path, checksum: str) -> str:
    """The file's checksum, with the algorithm and the format of `checksum`."""
    algorithm = checksum.partition(":")[0]
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with file.open("rb") as stream, byte_progress(f"verifying {file.name}", file.stat().st_size) as advance:
        while block := stream.read(1 << 20):
            digest.update(block)
            advance(len(block))
    return f"{algorithm}:{digest.hexdigest()}"


def _reason(error: BaseException) -> str:
    """The message of the innermost cause, which requests and urllib3 wrap several times."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
