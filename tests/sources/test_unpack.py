"""Archives that nobody vouches for: good ones are unpacked, bad ones are refused and write nothing outside."""

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

NOISE = {f"set/{i}.wav": np.random.default_rng(i).bytes(30_000) for i in range(6)} | {"set/read.me": b"text"}
WAV = (lambda name: name.endswith(".wav"),)


def make_tar(path, files: dict[str, bytes], mode: str = "w:gz", extra: tuple[tarfile.TarInfo, ...] = ()):
    with tarfile.open(path, mode) as tar:
        folder = tarfile.TarInfo("set")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info in extra:
            tar.addfile(info)
    return path


def make_zip(path, files: dict[str, bytes], extra: tuple[zipfile.ZipInfo, ...] = ()):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr(zipfile.ZipInfo("set/"), b"")
        for name, content in files.items():
            opened.writestr(name, content)
        for info in extra:
            opened.writestr(info, b"/etc/passwd")
    return path


def below(folder) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(archive, tmp_path) -> str:
    """The message; nothing may have been written but inside the target."""
    before = set(tmp_path.rglob("*"))
    with pytest.raises(DataError) as caught:
        unpack(archive, tmp_path / "deep" / "target", *WAV)
    new = set(tmp_path.rglob("*")) - before - {tmp_path / "deep"}
    assert all((tmp_path / "deep" / "target") in (p, *p.parents) for p in new)
    assert str(archive) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz", "zip"])
def test_what_is_wanted_is_written_whatever_the_format(tmp_path, mode):
    archive = tmp_path / "archive.with.any.name"
    make_zip(archive, NOISE) if mode == "zip" else make_tar(archive, NOISE, mode)
    assert unpack(archive, tmp_path / "out", *WAV) == 6
    assert below(tmp_path / "out") == {k: v for k, v in NOISE.items() if k.endswith(".wav")}


def test_a_leading_dot_and_odd_modes_do_not_matter(tmp_path):
    info = tarfile.TarInfo("./set/empty.wav")
    info.mode, info.uid = 0o000, 12345
    unpack(make_tar(tmp_path / "a", {}, extra=(info,)), tmp_path / "out", *WAV)
    written = tmp_path / "out/set/empty.wav"
    assert written.stat().st_mode & stat.S_IRUSR and not written.stat().st_mode & stat.S_ISUID


@pytest.mark.parametrize("name", ["../evil.wav", "set/../../evil.wav", "/tmp/evil.wav", "..\\evil.wav", "C:/evil.wav"])
@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_a_name_that_leads_out_refuses_the_archive(tmp_path, make, name):
    archive = make(tmp_path / "a", NOISE | {name: b"evil"})
    message = refused(archive, tmp_path)
    assert repr(name) in message and "leads out of the folder" in message


def test_a_bad_name_refuses_the_archive_also_where_the_member_is_not_wanted(tmp_path):
    assert "leads out" in refused(make_tar(tmp_path / "a", NOISE | {"../evil.txt": b""}), tmp_path)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (tarfile.SYMTYPE, "is a link"),
        (tarfile.LNKTYPE, "is a link"),
        (tarfile.CHRTYPE, "is a device or pipe"),
        (tarfile.BLKTYPE, "is a device or pipe"),
        (tarfile.FIFOTYPE, "is a device or pipe"),
    ],
)
def test_links_and_devices_in_a_tar(tmp_path, kind, said):
    info = tarfile.TarInfo("set/x.wav")
    info.type, info.linkname = kind, "set/0.wav"  # also one that points inside: no data set needs it
    assert said in refused(make_tar(tmp_path / "a", NOISE, extra=(info,)), tmp_path)


@pytest.mark.parametrize(("kind", "said"), [(stat.S_IFLNK, "is a link"), (stat.S_IFCHR, "is a device or pipe")])
def test_links_and_devices_in_a_zip(tmp_path, kind, said):
    info = zipfile.ZipInfo("set/x.wav")
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    assert said in refused(make_zip(tmp_path / "a", NOISE, extra=(info,)), tmp_path)


@pytest.mark.parametrize("name", ["set/bomb.wav", "set/bomb.txt"])
@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_a_bomb_is_refused_before_it_is_written(tmp_path, make, name):
    archive = make(tmp_path / "a", {name: bytes(module.ALLOWED + 1)})
    assert archive.stat().st_size < 1_000_000
    assert "more than 100MB unpacked" in refused(archive, tmp_path)
    assert below(tmp_path / "deep" / "target") == {}


def test_a_bomb_of_many_small_members(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MEMBERS", 500)
    archive = make_tar(tmp_path / "a", {f"set/{i}.txt": b"" for i in range(600)})
    assert "more than 500 members" in refused(archive, tmp_path)


def test_a_bomb_behind_the_last_member(tmp_path):
    make_tar(tmp_path / "tar", NOISE, "w")
    archive = tmp_path / "a"
    with gzip.open(archive, "wb") as file:
        file.write((tmp_path / "tar").read_bytes())
        for _ in range(11):
            file.write(bytes(10_000_000))
    assert "there is no end after its last member" in refused(archive, tmp_path)


def test_a_zip_whose_directory_lies_about_a_size_writes_no_more_than_it_says(tmp_path):
    archive = make_zip(tmp_path / "a", {"set/a.wav": bytes(1_000_000)})
    content = archive.read_bytes()
    assert content.count(struct.pack("<L", 1_000_000)) == 2
    archive.write_bytes(content.replace(struct.pack("<L", 1_000_000), struct.pack("<L", 10)))
    assert "damaged" in refused(archive, tmp_path)
    assert sum(map(len, below(tmp_path / "deep" / "target").values())) <= 10


def test_the_disk_is_looked_at(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage(1e9, 1e9, 50_000))
    assert "60.0kB or more when unpacked, but 50.0kB are free" in refused(make_tar(tmp_path / "a", NOISE), tmp_path)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz", "zip"])
@pytest.mark.parametrize("share", [0.0, 0.0001, 0.3, 0.95, "last byte"])
def test_a_truncated_archive_is_one_line(tmp_path, mode, share):
    archive = tmp_path / "a"
    make_zip(archive, NOISE) if mode == "zip" else make_tar(archive, NOISE, mode)
    content = archive.read_bytes()
    end = len(content) - 1 if share == "last byte" else int(share * len(content))
    if mode == "w":  # padded with zeros, which do not matter; the member's own end is 512 bytes before
        end = min(end, len(content.rstrip(b"\0")))
    archive.write_bytes(content[:end])
    assert "damaged, or neither a tar nor a zip file" in refused(archive, tmp_path)


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz", "zip"])
def test_a_flipped_bit_is_noticed(tmp_path, mode):
    archive = tmp_path / "a"
    make_zip(archive, NOISE) if mode == "zip" else make_tar(archive, NOISE, mode)
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 4
    archive.write_bytes(content)
    assert "damaged" in refused(archive, tmp_path)


def test_what_the_disk_refuses_is_not_called_damage(tmp_path):
    archive = make_tar(tmp_path / "a", {"x.wav": b"1", "x.wav/y.wav": b"2"})
    with pytest.raises(OSError) as caught:
        unpack(archive, tmp_path / "out", *WAV)
    assert caught.value.errno is not None and not list(tmp_path.rglob("y.wav"))


def test_text_is_no_archive(tmp_path):
    archive = tmp_path / "a"
    archive.write_text("<html>not found</html>" * 1000)
    assert "neither a tar nor a zip file" in refused(archive, tmp_path)


def test_a_name_without_end_is_refused_before_it_is_in_memory(tmp_path):
    info = tarfile.TarInfo("a" * 50_000_000 + ".wav")  # packs to 50 kB
    assert "header of a member is too long" in refused(make_tar(tmp_path / "x.tar.gz", {}, extra=(info,)), tmp_path)


def test_names_that_break_python_s_own_reader_are_one_line(tmp_path):
    name = make_zip(tmp_path / "x.zip", {"set/12345678.wav": b"RIFF"})
    content = name.read_bytes().replace(b"12345678", b"\xff\xfe\xfd\xfc5678")
    flagged = bytearray(content)
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # says that names are UTF-8
        at = -1
        while (at := content.find(magic, at + 1)) >= 0:
            flagged[at + place + 1] |= 0x08
    name.write_bytes(bytes(flagged))
    assert "damaged" in refused(name, tmp_path)


def test_an_attribute_that_breaks_python_s_own_reader_is_one_line(tmp_path):
    sparse = tarfile.TarInfo("set/a.wav")
    sparse.pax_headers = {"GNU.sparse.map": "x,y"}
    assert "damaged" in refused(make_tar(tmp_path / "x.tar.gz", {}, extra=(sparse,)), tmp_path)
