"""Untrusted archives: good ones are unpacked, bad ones are refused and write nothing outside the target."""

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from collections import namedtuple

import numpy as np
import pytest

from pipeline.core.errors import DataError
from pipeline.sources import unpack as module
from pipeline.sources.unpack import unpack

WAVS = {f"set/{i}.wav": np.random.default_rng(i).bytes(30_000) for i in range(6)}
FILES = WAVS | {"set/read.me": b"text"}
MODES = ["w", "w:gz", "w:bz2", "w:xz", "zip"]


def is_wav(name: str) -> bool:
    return name.endswith(".wav")


def make_tar(path, files: dict[str, bytes], mode: str = "w:gz", extra: tarfile.TarInfo | None = None):
    with tarfile.open(path, mode) as tar:
        folder = tarfile.TarInfo("set")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        if extra:
            tar.addfile(extra)
    return path


def make_zip(path, files: dict[str, bytes], extra: zipfile.ZipInfo | None = None):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("set/"), b"")
        for name, content in files.items():
            archive.writestr(name, content)
        if extra:
            archive.writestr(extra, b"/etc/passwd")
    return path


def make(path, mode: str, files: dict[str, bytes] = FILES):
    return make_zip(path, files) if mode == "zip" else make_tar(path, files, mode)


def read_files(folder) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(archive, tmp_path) -> str:
    """The error of unpacking to tmp_path/deep/target; checks that nothing else is written."""
    before = set(tmp_path.rglob("*"))
    with pytest.raises(DataError) as caught:
        unpack(archive, tmp_path / "deep" / "target", is_wav)
    new = set(tmp_path.rglob("*")) - before - {tmp_path / "deep"}
    assert all((tmp_path / "deep" / "target") in (path, *path.parents) for path in new)
    assert str(archive) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("mode", MODES)
def test_needed_files_are_written_from_any_format(tmp_path, mode):
    archive = make(tmp_path / "archive.with.any.name", mode)
    assert unpack(archive, tmp_path / "out", is_wav) == 6
    assert read_files(tmp_path / "out") == WAVS


def test_a_leading_dot_and_unusual_permissions_are_accepted(tmp_path):
    info = tarfile.TarInfo("./set/empty.wav")
    info.mode, info.uid = 0o000, 12345
    unpack(make_tar(tmp_path / "a", {}, extra=info), tmp_path / "out", is_wav)
    mode = (tmp_path / "out/set/empty.wav").stat().st_mode
    assert mode & stat.S_IRUSR and not mode & stat.S_ISUID


@pytest.mark.parametrize(
    "name", ["../evil.wav", "set/../../evil.wav", "/tmp/evil.wav", "..\\evil.wav", "C:/evil.wav", "../not_needed.txt"]
)
@pytest.mark.parametrize("mode", ["w:gz", "zip"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path, mode, name):
    message = refusal(make(tmp_path / "a", mode, FILES | {name: b"evil"}), tmp_path)
    assert repr(name) in message and "leads out of the folder" in message


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    info = tarfile.TarInfo("set/x.wav")
    info.type, info.linkname = kind, "set/0.wav"  # even a link inside the archive
    message = "is a link" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else "is a device or pipe"
    assert message in refusal(make_tar(tmp_path / "a", FILES, extra=info), tmp_path)


@pytest.mark.parametrize(("kind", "message"), [(stat.S_IFLNK, "is a link"), (stat.S_IFCHR, "is a device or pipe")])
def test_links_and_devices_in_a_zip_are_refused(tmp_path, kind, message):
    info = zipfile.ZipInfo("set/x.wav")
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    assert message in refusal(make_zip(tmp_path / "a", FILES, extra=info), tmp_path)


@pytest.mark.parametrize("name", ["set/bomb.wav", "set/bomb.txt"])
@pytest.mark.parametrize("mode", ["w:gz", "zip"])
def test_a_bomb_is_refused_before_it_is_written(tmp_path, mode, name):
    archive = make(tmp_path / "a", mode, {name: bytes(module.MIN_SIZE_LIMIT + 1)})
    assert archive.stat().st_size < 1_000_000
    assert "more than 100MB unpacked" in refusal(archive, tmp_path)
    assert read_files(tmp_path / "deep" / "target") == {}


def test_too_many_members_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_MEMBERS", 500)
    archive = make_tar(tmp_path / "a", {f"set/{i}.txt": b"" for i in range(600)})
    assert "more than 500 members" in refusal(archive, tmp_path)


def test_a_bomb_after_the_last_member_is_refused(tmp_path):
    make_tar(tmp_path / "tar", FILES, "w")
    archive = tmp_path / "a"
    with gzip.open(archive, "wb", compresslevel=1) as file:
        file.write((tmp_path / "tar").read_bytes())
        for _ in range(11):
            file.write(bytes(10_000_000))
    assert "the end after its last member is missing" in refusal(archive, tmp_path)


def test_a_zip_with_a_wrong_size_writes_no_more_than_that_size(tmp_path):
    archive = make_zip(tmp_path / "a", {"set/a.wav": bytes(1_000_000)})
    content = archive.read_bytes()
    assert content.count(struct.pack("<L", 1_000_000)) == 2
    archive.write_bytes(content.replace(struct.pack("<L", 1_000_000), struct.pack("<L", 10)))
    assert "damaged" in refusal(archive, tmp_path)
    assert sum(map(len, read_files(tmp_path / "deep" / "target").values())) <= 10


def test_the_free_space_is_checked(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage(1e9, 1e9, 50_000))
    assert "60.0kB or more when unpacked, but 50.0kB are free" in refusal(make_tar(tmp_path / "a", FILES), tmp_path)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("share", [0.0, 0.0001, 0.3, 0.95, 1.0])
def test_a_truncated_archive_is_refused(tmp_path, mode, share):
    archive = make(tmp_path / "a", mode)
    content = archive.read_bytes()
    content = content.rstrip(b"\0") if mode == "w" else content[:-1]  # at least one byte; a tar ends with padding
    archive.write_bytes(content[: int(share * len(content))])
    assert "damaged, or neither a tar nor a zip file" in refusal(archive, tmp_path)


@pytest.mark.parametrize("mode", MODES[1:])
def test_a_flipped_bit_is_refused(tmp_path, mode):
    archive = make(tmp_path / "a", mode)
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 4
    archive.write_bytes(content)
    assert "damaged" in refusal(archive, tmp_path)


def test_a_text_file_is_refused(tmp_path):
    (tmp_path / "a").write_text("<html>not found</html>" * 1000)
    assert "neither a tar nor a zip file" in refusal(tmp_path / "a", tmp_path)


def test_an_error_of_the_disk_is_not_called_damage(tmp_path):
    archive = make_tar(tmp_path / "a", {"x.wav": b"1", "x.wav/y.wav": b"2"})
    with pytest.raises(OSError) as caught:
        unpack(archive, tmp_path / "out", is_wav)
    assert caught.value.errno is not None and not list(tmp_path.rglob("y.wav"))


def test_a_huge_name_is_refused_before_it_is_in_memory(tmp_path):
    info = tarfile.TarInfo("a" * 50_000_000 + ".wav")  # compressed to 50 kB
    assert "header of a member is too long" in refusal(make_tar(tmp_path / "x.tar.gz", {}, extra=info), tmp_path)


def test_a_zip_name_that_is_not_utf_8_is_refused(tmp_path):
    archive = make_zip(tmp_path / "x.zip", {"set/12345678.wav": b"RIFF"})
    content = bytearray(archive.read_bytes().replace(b"12345678", b"\xff\xfe\xfd\xfc5678"))
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flags declare names as UTF-8
        start = -1
        while (start := content.find(magic, start + 1)) >= 0:
            content[start + flags + 1] |= 0x08
    archive.write_bytes(content)
    assert "damaged" in refusal(archive, tmp_path)


def test_a_tar_attribute_that_tarfile_cannot_parse_is_refused(tmp_path):
    sparse = tarfile.TarInfo("set/a.wav")
    sparse.pax_headers = {"GNU.sparse.map": "x,y"}
    assert "damaged" in refusal(make_tar(tmp_path / "x.tar.gz", {}, extra=sparse), tmp_path)
