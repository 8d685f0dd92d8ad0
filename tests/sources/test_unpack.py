"""Archives: the needed files are written, and nothing outside the folder; a damaged one is refused in one line."""

import io
import stat
import tarfile
import zipfile

import numpy as np
import pytest

from pipeline.core.errors import DataError
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


@pytest.mark.parametrize("name", ["../evil.wav", "set/../../evil.wav", "/tmp/evil.wav", "..\\evil.wav", "../evil.txt"])
@pytest.mark.parametrize("mode", ["w:gz", "zip"])
def test_nothing_is_written_outside_the_folder(tmp_path, mode, name):
    archive = make(tmp_path / "a", mode, {name: b"evil"} | FILES)
    if mode == "w:gz" and name in ("../evil.wav", "set/../../evil.wav"):
        assert "evil.wav' leads out of the folder" in refusal(archive, tmp_path)
    else:
        assert unpack(archive, tmp_path / "deep" / "target", is_wav) == 6 + name.endswith(".wav")
    assert not list(tmp_path.glob("*evil*")) and not list(tmp_path.glob("deep/*evil*"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_left_out(tmp_path, kind):
    info = tarfile.TarInfo("set/x.wav")
    info.type, info.linkname = kind, "set/0.wav"
    assert unpack(make_tar(tmp_path / "a", FILES, extra=info), tmp_path / "out", is_wav) == 6
    assert read_files(tmp_path / "out") == WAVS


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_archive_is_refused(tmp_path, mode, share):
    archive = make(tmp_path / "a", mode)
    content = archive.read_bytes()
    archive.write_bytes(content[: int(share * len(content))])
    assert "cannot be unpacked (" in refusal(archive, tmp_path)


def test_a_tar_without_its_end_is_refused(tmp_path):
    archive = make(tmp_path / "a", "w")
    with tarfile.open(archive) as tar:
        *_, last = tar
    for size in (last.offset, last.offset + 100):  # before and within the header of the last file
        archive.write_bytes(archive.read_bytes()[:size])
        assert "cannot be unpacked (it ends early)" in refusal(archive, tmp_path)


@pytest.mark.parametrize("mode", MODES[1:])
def test_a_flipped_bit_is_refused(tmp_path, mode):
    archive = make(tmp_path / "a", mode)
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 4
    archive.write_bytes(content)
    assert "get another copy" in refusal(archive, tmp_path)


def test_a_text_file_is_refused(tmp_path):
    (tmp_path / "a").write_text("<html>not found</html>" * 1000)
    assert "cannot be unpacked (File is not a zip file)" in refusal(tmp_path / "a", tmp_path)


@pytest.mark.parametrize("mode", ["w:gz", "zip"])
def test_an_archive_without_a_needed_file_is_refused(tmp_path, mode):
    archive = make(tmp_path / "a", mode, {"set/read.me": b"text"})
    assert "has none of the files that this source needs" in refusal(archive, tmp_path)
