"""Download a file from the first mirror that gives it: resumed where it was broken off, verified, and kept."""

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
from pipeline.sources.progress import progress, size

TRIES = 6  # in a row that bring nothing new, then the next mirror
PAUSE = 1.0  # s before the second try, doubled before each further one
LONGEST = 120.0  # s to wait where a server asks for a pause
TIMEOUT = (15.0, 60.0)  # s to connect, and without a byte
CHUNK = 1 << 16  # bytes


class _RefusedError(Exception):
    """A mirror does not give the file, and asking it again would not help."""


class _DroppedError(Exception):
    """A transfer ended early, and may go on; `wait` is the pause in seconds that the server asks for."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


def fetch(urls: Sequence[str], checksum: str, name: str, instead: str) -> Path:
    """The file `name` in .melisma/downloads, which is downloaded unless it is there and undamaged.

    What is broken off, by whatever, goes on from there the next time. One process at a time downloads a file; another
    one waits, and uses what it finds.

    Args:
        urls: mirrors of one file, tried in turn.
        checksum: "sha256:" or "md5:" and the hex digest.
        name: what the file is called, after the first digits of its checksum.
        instead: the key of params.yaml with which the user can name a copy.

    Raises:
        DataError: no mirror gave it (the message says what each did), or the disk is too small.
    """
    folder = workspace.state() / "downloads"
    folder.mkdir(exist_ok=True)
    name = f"{checksum.partition(':')[2][:8]}-{name}"  # another checksum is another file
    file, part = folder / name, folder / f"{name}.part"
    with workspace.hold_lock(folder / f".{name}.lock", f"downloading {name}"):
        if file.exists():
            if _digest(file, checksum) == checksum:
                return file
            workspace.say(f"{file} is damaged, or not what the checksum in params.yaml is of; downloading it again")
            file.unlink()
        failures = []
        for url in urls:
            workspace.say(f"downloading {name} from {url}" + (f", {size(_size(part))} are here" if _size(part) else ""))
            try:
                _download(url, part, checksum)
            except _RefusedError as error:
                failures.append(f"{url}: {error}")
                workspace.say(f"  {error}")
            except (KeyboardInterrupt, SystemExit):
                workspace.say(f"{part}: {size(_size(part))} kept; the next run goes on from there")
                raise
            else:
                return part.rename(file)
    raise DataError(f"no mirror gave {name}: {'; '.join(failures)}; try again later, or name a copy in {instead}")


def _download(url: str, part: Path, checksum: str) -> None:
    """Complete `part` from one mirror and verify it.

    A mismatch of one that was resumed may be the fault of its first bytes: then all of it is tried once more.

    Raises:
        _RefusedError: the mirror does not have it, or has something else; then `part` is gone.
    """
    resumed = part.exists()
    _complete(url, part)
    found = _digest(part, checksum)
    if found == checksum:
        return
    part.unlink()
    if not resumed:
        raise _RefusedError(f"its checksum is {found}, expected {checksum}")
    workspace.say("  the resumed file has a wrong checksum; once more from the start")
    _download(url, part, checksum)


def _complete(url: str, part: Path) -> None:
    """Go on with `part` until the mirror has no more, with growing pauses between tries that bring nothing new."""
    most, tries = _size(part), 0
    while True:
        try:
            return _transfer(url, part)
        except _DroppedError as error:
            tries = 1 if _size(part) > most else tries + 1
            most = max(most, _size(part))
            if tries == TRIES:
                raise _RefusedError(f"{error} ({TRIES} times in a row)") from error
            wait = max(PAUSE * 2 ** (tries - 1), min(error.wait, LONGEST))
            workspace.say(f"  {error}; trying again in {wait:g} s")
            time.sleep(wait)


def _transfer(url: str, part: Path) -> None:
    """One request, for what `part` lacks.

    Raises:
        _DroppedError: it ended early.
        _RefusedError: the mirror does not have it.
        DataError: the disk is too small.
    """
    have = _size(part)
    # As it is stored: some servers call an archive's own compression that of the transfer, which would be undone.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            total = _total(response, part)
            have = _size(part)
            if have == total:
                return
            _check_space(part, have, total)
            with progress(f"downloading {part.stem}", total, have) as advance:
                for chunk in response.raw.stream(CHUNK, decode_content=False):
                    _append(part, chunk)
                    advance(len(chunk))
    except (requests.exceptions.SSLError, requests.exceptions.ProxyError) as error:
        raise _RefusedError(_reason(error)) from error
    except (requests.ConnectionError, requests.Timeout) as error:
        if "NameResolutionError" in repr(error):  # no such host, or no network at all
            raise _RefusedError(_reason(error)) from error
        raise _DroppedError(_reason(error)) from error
    except HTTPError as error:
        raise _DroppedError(f"the connection was lost ({_reason(error)})") from error
    except requests.RequestException as error:  # a malformed URL, a circle of redirections
        raise _RefusedError(_reason(error)) from error
    if total is not None and _size(part) != total:
        raise _DroppedError(f"the connection ended after {size(_size(part))} of {size(total)}")


def _total(response: requests.Response, part: Path) -> int | None:
    """Size of the whole file where the answer tells it. `part` is deleted where the answer does not continue it.

    Raises:
        _DroppedError: the server is busy, or answers for other bytes than it was asked for.
        _RefusedError: it does not have the file.
    """
    code = response.status_code
    if response.ok and response.headers.get("Content-Type", "").startswith("text/html"):
        raise _RefusedError("it sends a page, not the file")  # a log-in, say: what is here is kept
    where = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", ""))
    first, total = (where[1], where[2]) if where else (None, None)
    whole = int(total) if total and total.isdigit() else None
    if code == 206 and first == str(_size(part)):
        return whole
    if code == 416 and whole and whole == _size(part):  # killed between the last byte and the end
        return whole
    if code in (206, 416) and part.exists():
        part.unlink()
        raise _DroppedError(f"HTTP {code} does not fit what is here; once more from the start")
    if code == 200:
        part.unlink(missing_ok=True)
        length = response.headers.get("Content-Length", "")
        return int(length) if length.isdigit() else None
    message = f"HTTP {code} {response.reason}".strip()
    if code in (408, 429) or code >= 500:
        after = response.headers.get("Retry-After", "")
        raise _DroppedError(message, float(after) if after.isdigit() else 0.0)
    raise _RefusedError(message)


def _check_space(part: Path, have: int, total: int | None) -> None:
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - have > free:
        raise DataError(f"{part.parent}: {part.stem} needs {size(total - have)} more, but {size(free)} are free")


def _append(part: Path, chunk: bytes) -> None:
    """Write at once, so that a process that is killed keeps what it has; a full disk is told from a lost connection."""
    try:
        with part.open("ab") as file:
            file.write(chunk)
    except OSError as error:
        hint = "what is there is kept, and the next run goes on from it"
        raise DataError(f"{part}: {error.strerror} after {size(_size(part))}; {hint}") from error


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _digest(file: Path, checksum: str) -> str:
    """The file's own checksum, of the kind that `checksum` is, and written like it."""
    kind = checksum.partition(":")[0]
    digest = hashlib.new(kind, usedforsecurity=False)
    with file.open("rb") as opened, progress(f"verifying {file.name}", file.stat().st_size) as advance:
        while block := opened.read(1 << 20):
            digest.update(block)
            advance(len(block))
    return f"{kind}:{digest.hexdigest()}"


def _reason(error: BaseException) -> str:
    """What the innermost cause says; the libraries wrap it several times."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
