"""Unpack an archive that nobody vouches for."""

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
from typing import IO, NamedTuple, cast

from pipeline.core.errors import DataError
from pipeline.sources.progress import progress, size

MEMBERS = 100_000  # an archive may have so many
RATIO = 20  # and unpack to so many times its own size; recorded music to about twice
ALLOWED = 100_000_000  # or to so many bytes, where that is more
HEADER = 1 << 20  # bytes of a member's name and attributes: tarfile reads them at once, whatever their size
DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, RuntimeError, ValueError, KeyError, OverflowError),  # in Python's own reading of a broken header
)


COMPRESSED: dict[bytes, Callable[[IO[bytes]], object]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}


class _Member(NamedTuple):
    """What is checked of a member, and how it is written."""

    name: str
    kind: str  # "file", "folder" or what else it is
    size: int  # bytes when unpacked; neither format gives more than its header says
    extract: Callable[[], object]
    place: Callable[[], int]  # bytes of the archive up to its end, once it is extracted


def unpack(archive: Path, target: Path, wanted: Callable[[str], bool]) -> int:
    """Write the wanted members of a tar (.gz, .bz2, .xz) or zip file below `target`, a new folder.

    When this raises, `target` is incomplete and the caller's to remove, as `workspace.output` does. Nothing is ever
    written outside of it.

    Args:
        archive: the file; its name does not matter.
        target: where to put the files.
        wanted: says of a member's path whether it is needed.

    Returns:
        How many files were written.

    Raises:
        DataError: it is damaged or no archive; a member, wanted or not, would be written outside `target`, or is
            neither a file nor a folder; or it is larger than its limits or the disk.
    """
    target.mkdir(parents=True)
    free, full = shutil.disk_usage(target).free, archive.stat().st_size
    limit = max(RATIO * full, ALLOWED)
    number = total = needed = written = place = 0
    with (
        _damage(archive),
        archive.open("rb") as file,
        progress(f"unpacking {archive.name}", full) as advance,
    ):
        opener = _zip_members if file.read(2) == b"PK" else _tar_members
        for member in opener(file, target, limit):
            number += 1
            total += member.size
            problem = _problem(member)
            if problem:
                raise DataError(f"{archive}: refused, since its member {member.name!r} {problem}; get another copy")
            if number > MEMBERS or total > limit:
                most = f"{MEMBERS:,} members" if number > MEMBERS else f"{size(limit)} unpacked"
                raise DataError(f"{archive}: refused, since it has more than {most}; get another copy")
            if member.kind == "file" and wanted(member.name):
                needed += member.size
                if needed > free:
                    raise DataError(f"{archive}: {size(needed)} or more when unpacked, but {size(free)} are free")
                member.extract()
                written += 1
            advance(max(member.place() - place, 0))
            place = max(member.place(), place)
    return written


@contextmanager
def _damage(archive: Path) -> Iterator[None]:
    """Turn what the libraries raise for a damaged archive into one line; a full disk is none."""
    try:
        yield
    except (*DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(":")[:200]
        raise DataError(f"{archive}: damaged, or neither a tar nor a zip file ({reason}); get another copy") from error


def _problem(member: _Member) -> str | None:
    """Why a member is unsafe."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or ":" in (path.parts or ("",))[0]:
        return "leads out of the folder"
    return None if member.kind in ("file", "folder") else f"is a {member.kind}"


class _Guarded:
    """A stream that refuses to give more than HEADER bytes at once; the content of a file is read in small parts."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, number: int = -1) -> bytes:
        if not 0 <= number <= HEADER:
            raise tarfile.ReadError("the header of a member is too long")
        return self._stream.read(number)


def _tar_members(file: IO[bytes], target: Path, limit: int) -> Iterator[_Member]:
    """The members in order; then the rest is read, since only the end tells whether the whole is undamaged."""
    file.seek(0)
    start = file.read(6)
    file.seek(0)
    opener = next((open_ for magic, open_ in COMPRESSED.items() if start.startswith(magic)), None)
    stream = cast(IO[bytes], opener(file)) if opener else file
    with tarfile.open(fileobj=cast(IO[bytes], _Guarded(stream)), mode="r:") as tar:
        # The second guard, after `_problem`; Python before 3.11.4 does not have it.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        for info in tar:
            kind = "link" if info.issym() or info.islnk() else "device or pipe"
            kind = "file" if info.isreg() else "folder" if info.isdir() else kind

            def extract(info: tarfile.TarInfo = info) -> None:
                tar.extract(info, target, set_attrs=False)

            yield _Member(info.name, kind, info.size, extract, file.tell)
        if opener:
            rest = 0
            while block := stream.read(1 << 20):
                rest += len(block)
                if rest > limit:
                    raise tarfile.ReadError("there is no end after its last member")
        elif file.seek(0, 2) < tar.offset + tarfile.BLOCKSIZE:
            raise tarfile.ReadError("it ends early")


def _zip_members(file: IO[bytes], target: Path, limit: int) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as opened:
        for info in opened.infolist():
            mode = stat.S_IFMT(info.external_attr >> 16)
            kind = "link" if stat.S_ISLNK(mode) else "device or pipe"
            kind = "folder" if info.is_dir() else "file" if mode in (0, stat.S_IFREG) else kind

            def extract(info: zipfile.ZipInfo = info) -> None:
                opened.extract(info, target)

            end = info.header_offset + info.compress_size
            yield _Member(info.filename, kind, info.file_size, extract, partial(int, end))
