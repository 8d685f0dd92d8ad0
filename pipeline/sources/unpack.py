"""Unpack the needed files of an archive."""

import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm.utils import CallbackIOWrapper

from pipeline.core.errors import DataError
from pipeline.core.progress import byte_progress


def unpack(archive: Path, folder: Path, is_needed: Callable[[str], bool]) -> int:
    """Write the needed files of a zip or tar file (also .gz, .bz2, .xz) below `folder`, and nothing outside of it.

    `is_needed` gets the path of a file in the archive. Links and devices of a tar file are left out. After an error
    `folder` is incomplete; `workspace.output` removes it. Returns the number of written files.

    Raises:
        DataError: the archive is damaged or has no needed file, the path of one leads out of `folder`, or the disk is
            full.
    """
    count = 0
    try:
        with archive.open("rb") as file, byte_progress(f"unpacking {archive.name}", archive.stat().st_size) as advance:
            stream: Any = CallbackIOWrapper(advance, file, "read")
            if tarfile.is_tarfile(archive):
                with tarfile.open(fileobj=stream) as tar:
                    for member in tar:
                        if member.isreg() and is_needed(member.name):
                            target = (folder / member.name.lstrip("/")).resolve()
                            if not target.is_relative_to(folder.resolve()):
                                raise ValueError(f"{member.name!r} leads out of the folder")
                            target.parent.mkdir(parents=True, exist_ok=True)
                            with target.open("wb") as output:
                                shutil.copyfileobj(tar.extractfile(member), output)  # type: ignore[arg-type]
                            count += 1
                    if tar.fileobj is stream:  # without compression, nothing else shows that the end is missing
                        stream.seek(tar.offset)
                        if stream.read(512) != bytes(512):
                            raise tarfile.ReadError("it ends early")
                    while tar.fileobj and tar.fileobj.read(1 << 20):
                        pass  # gzip has its checksum at the end
            else:
                with zipfile.ZipFile(stream) as zip_file:
                    for info in zip_file.infolist():
                        if not info.is_dir() and is_needed(info.filename):
                            zip_file.extract(info, folder)
                            count += 1
    except Exception as error:  # of each format and compression, of the parsers, or of the disk
        reason = str(error).partition("\n")[0] or type(error).__name__
        hint = "if the disk has space, get another copy"
        raise DataError(f"{archive} cannot be unpacked ({reason}); {hint}") from error
    if not count:
        raise DataError(f"{archive} has none of the files that this source needs; get another copy")
    return count
