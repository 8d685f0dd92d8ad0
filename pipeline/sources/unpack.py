"""Unpack an untrusted archive."""

import bz2
import gzip
import lzma
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from tqdm.utils import CallbackIOWrapper

from pipeline.core.errors import DataError
from pipeline.core.progress import byte_progress, format_bytes

MAX_MEMBERS = 100_000
MAX_RATIO = 20  # unpacked size / archive size; about 2 for music
MIN_SIZE_LIMIT = 100_000_000  # bytes unpacked that are always allowed
MAX_HEADER_BYTES = 1 << 20  # tarfile reads a member's name and attributes at once, at any size
FORMAT_ERRORS = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)
PARSER_ERRORS = (struct.error, EOFError, RuntimeError, ValueError, KeyError, OverflowError)  # tarfile, zipfile
DECOMPRESSORS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}


class _Member(NamedTuple):
    name: str
    kind: str  # file, folder, link, or device or pipe
    size: int  # bytes when unpacked; the libraries write at most this
    extract: Callable[[], object]


def unpack(archive: Path, folder: Path, is_needed: Callable[[str], bool]) -> int:
    """Write the needed members of a zip or tar file (also .gz, .bz2, .xz) below `folder`, which must not exist.

    `is_needed` gets the path of a member. Nothing is written outside `folder`. After an error `folder` is incomplete;
    `workspace.output` removes it. Returns the number of written files.

    Raises:
        DataError: the archive is damaged, larger than its limits or the disk, or unsafe: a member, needed or not, would
            be written outside `folder`, or is neither a file nor a folder.
    """
    folder.mkdir(parents=True)
    free, archive_size = shutil.disk_usage(folder).free, archive.stat().st_size
    size_limit = max(MAX_RATIO * archive_size, MIN_SIZE_LIMIT)
    total = needed = written = 0
    progress = byte_progress(f"unpacking {archive.name}", archive_size)
    with _report_damage(archive), archive.open("rb") as file, progress as advance:
        stream: Any = CallbackIOWrapper(advance, file, "read")
        list_members = _zip_members if file.read(2) == b"PK" else _tar_members
        for count, member in enumerate(list_members(stream, folder, size_limit), start=1):
            total += member.size
            if problem := _find_problem(member):
                raise DataError(f"{archive}: refused, since its member {member.name!r} {problem}; get another copy")
            if count > MAX_MEMBERS or total > size_limit:
                limit = f"{MAX_MEMBERS:,} members" if count > MAX_MEMBERS else f"{format_bytes(size_limit)} unpacked"
                raise DataError(f"{archive}: refused, since it has more than {limit}; get another copy")
            if member.kind == "file" and is_needed(member.name):
                needed += member.size
                if needed > free:
                    sizes = f"{format_bytes(needed)} or more when unpacked, but {format_bytes(free)} are free"
                    raise DataError(f"{archive}: {sizes}; free disk space")
                member.extract()
                written += 1
    return written


@contextmanager
def _report_damage(archive: Path) -> Iterator[None]:
    """Turn the errors of a damaged archive into one line; an error of the disk has an errno and passes."""
    try:
        yield
    except (*FORMAT_ERRORS, *PARSER_ERRORS, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(":")[:200]
        raise DataError(f"{archive}: damaged, or neither a tar nor a zip file ({reason}); get another copy") from error


def _find_problem(member: _Member) -> str | None:
    """Why a member is unsafe."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or ":" in (path.parts or ("",))[0]:
        return "leads out of the folder"
    return None if member.kind in ("file", "folder") else f"is a {member.kind}"


class _LimitedReads:
    """A stream without reads of more than MAX_HEADER_BYTES; the content of files is read in small chunks."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_HEADER_BYTES:
            raise tarfile.ReadError("the header of a member is too long")
        return self._stream.read(size)


def _tar_members(file: IO[bytes], folder: Path, size_limit: int) -> Iterator[_Member]:
    """List the members, then read to the end of the archive, since only its end shows whether it is intact."""
    file.seek(0)
    magic = file.read(6)
    file.seek(0)
    decompress = next((DECOMPRESSORS[start] for start in DECOMPRESSORS if magic.startswith(start)), None)
    stream = decompress(file) if decompress else file
    reader: Any = _LimitedReads(stream)
    with tarfile.open(fileobj=reader, mode="r:") as tar:
        # A second check after `_find_problem`; Python before 3.11.4 does not have it.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        for info in tar:
            kind = "file" if info.isreg() else "folder" if info.isdir() else "device or pipe"
            kind = "link" if info.issym() or info.islnk() else kind
            yield _Member(info.name, kind, info.size, partial(tar.extract, info, folder, set_attrs=False))
        if decompress:
            rest = 0
            while block := stream.read(1 << 20):
                rest += len(block)
                if rest > size_limit:
                    raise tarfile.ReadError("the end after its last member is missing")
        elif file.seek(0, 2) < tar.offset + tarfile.BLOCKSIZE:
            raise tarfile.ReadError("it ends early")


def _zip_members(file: IO[bytes], folder: Path, size_limit: int) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            mode = stat.S_IFMT(info.external_attr >> 16)
            kind = "link" if stat.S_ISLNK(mode) else "device or pipe"
            kind = "folder" if info.is_dir() else "file" if mode in (0, stat.S_IFREG) else kind
            yield _Member(info.filename, kind, info.file_size, partial(archive.extract, info, folder))
