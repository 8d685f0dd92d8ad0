"""Download a file from the first mirror that has it. An interrupted download resumes; a complete one is verified."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from pipeline.core import workspace
from pipeline.core.errors import DataError
from pipeline.core.progress import byte_progress, format_bytes


class _Retry(Retry):
    """Prints a line before each pause, which may take minutes."""

    def sleep(self, response: Any = None) -> None:
        workspace.say("  that failed; trying again")
        super().sleep(response)


RETRIES = _Retry(
    5,
    connect=2,  # the host is unknown or does not answer
    other=2,  # such as errors of TLS
    status_forcelist=(408, 429, 500, 502, 503, 504),
    raise_on_status=False,
    backoff_factor=1,  # seconds; doubles with each retry
    retry_after_max=120,  # seconds that a server may ask for
)
TIMEOUT = (15.0, 60.0)  # seconds to connect, and between two bytes
CHUNK_BYTES = 1 << 16


def fetch(urls: Sequence[str], checksum: str, name: str, key: str) -> Path:
    """Download a file from the first of `urls` that has it to .melisma/downloads, unless an intact copy is there.

    The next call resumes an interrupted download. A second process that needs the file waits for the first.
    `checksum` is "sha256:" or "md5:" and the hex digest; `key` of params.yaml can name a local copy.

    Raises:
        DataError: all mirrors failed, for the reasons in the message; or the disk is full.
    """
    folder = workspace.state_folder() / "downloads"
    folder.mkdir(exist_ok=True)
    name = f"{checksum.partition(':')[2][:8]}-{name}"  # mirrors may use one name for different files
    file, part = folder / name, folder / f"{name}.part"
    with workspace.hold_lock(folder / f".{name}.lock", f"downloading {name}"), requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=RETRIES))
        if file.exists():
            if _compute_checksum(file, checksum) == checksum:
                return file
            workspace.say(f"{file} is damaged or does not match source.<name>.checksum; downloading it again")
            file.unlink()
        failures, remaining = [], list(urls)
        while remaining:
            url, resumed = remaining.pop(0), _size(part)
            progress = f", resuming after {format_bytes(resumed)}" if resumed else ""
            workspace.say(f"downloading {name} from {url}{progress}")
            try:
                _download(session, url, part)
                actual = _compute_checksum(part, checksum)
            except (requests.RequestException, HTTPError) as error:
                failure = _first_cause(error)
            except OSError as error:
                kept = f"kept {format_bytes(_size(part))}; the next run resumes here"
                raise DataError(f"{part}: {error.strerror or error}; {kept}") from error
            except (KeyboardInterrupt, SystemExit):
                workspace.say(f"{part}: kept {format_bytes(_size(part))}; the next run resumes here")
                raise
            else:
                if actual == checksum:
                    return part.rename(file)
                failure = f"its checksum is {actual}, expected {checksum}"
                part.unlink()
                if resumed:
                    remaining.insert(0, url)  # the old bytes may be wrong: once more, from the start
            workspace.say(f"  {failure}")
            failures.append(f"{url}: {failure}")
    raise DataError(f"no mirror gave {name}: {'; '.join(failures)}; try again later, or set {key} to a copy")


def _download(session: requests.Session, url: str, part: Path) -> None:
    """Complete `part`. After a lost connection the transfer goes on, if it has brought new bytes."""
    while True:
        size = _size(part)
        # identity: some servers report the archive's compression as transfer compression; the client would unpack it.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={size}-"} if size else {})
        try:
            with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
                if response.status_code == 416 and size:
                    return  # nothing is missing, or `part` is too long: the checksum shows which
                if not response.ok:
                    raise requests.HTTPError(f"HTTP {response.status_code} {response.reason}")
                if response.headers.get("Content-Type", "").startswith("text/html"):
                    raise requests.HTTPError("it sends a page, not the file")  # perhaps a login page: `part` stays
                start, missing = size if response.status_code == 206 else 0, response.raw.length_remaining
                total = None if missing is None else start + missing
                with (
                    part.open("ab" if start else "wb") as file,
                    byte_progress(f"downloading {part.stem}", total, start) as advance,
                ):
                    for chunk in response.raw.stream(CHUNK_BYTES, decode_content=False):
                        file.write(chunk)
                        file.flush()  # a killed process keeps what it has
                        advance(len(chunk))
                return
        except HTTPError:
            if _size(part) <= size:
                raise
            workspace.say(f"  the connection was lost; resuming after {format_bytes(_size(part))}")


def _first_cause(error: BaseException) -> str:
    """The message of the first error in the chain of causes, which names the reason."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return str(error) or type(error).__name__


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _compute_checksum(file: Path, checksum: str) -> str:
    """The file's checksum, with the algorithm and the format of `checksum`."""
    algorithm = checksum.partition(":")[0]
    workspace.say(f"verifying {file.name}")
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.new(algorithm, usedforsecurity=False))
    return f"{algorithm}:{digest.hexdigest()}"
