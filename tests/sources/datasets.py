"""Small data sets with the layouts of the published ones."""

import csv
import hashlib
import tarfile
import zipfile
from pathlib import Path

import soundfile

from tests.recordings import chord

COLUMNS = ["id", "composer", "composition", "movement", "ensemble", "source", "transcriber", "catalog_name", "seconds"]
# (id, part, composer, composition, catalogue): O1 is in both parts, O4 only in test; O1 and O2 share a title.
MUSICNET = [
    ("1001", "train", "Alpha", "Sonata in A", "O1"),
    ("1002", "test", "Alpha", "Sonata in A", "O1"),
    ("1003", "train", "Alpha", "Sonata in A", "O2"),
    ("1004", "train", "Alpha", "Trio, for winds", "O3"),
    ("1005", "train", "Alpha", "Trio, for winds", "O3"),
    ("1006", "train", "Alpha", "Octet", "O5"),
    ("2001", "test", "Beta", "Quartet", "O4"),
    ("2002", "train", "Beta", "Quintet", "O6"),
    ("2003", "train", "Beta", "Suite", "O7"),
    ("2004", "train", "Beta", "Partita", "O8"),
]


def touch(folder: Path, *paths: str) -> Path:
    """Write one byte to each of the files."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"x")
    return folder


def make_gtzan(folder: Path, clips: list[str], layout: str = "genres/{genre}/{clip}.wav", seconds: float = 2.0) -> Path:
    """Clips such as "blues.00029", 16 bit, 22,050 Hz, mono."""
    for number, clip in enumerate(clips):
        path = folder / layout.format(genre=clip.split(".")[0], clip=clip)
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, chord(number, seconds, 22050), 22050, subtype="PCM_16")
    return folder


def make_musicnet(folder: Path, top: str = "musicnet/", metadata: str | None = None, seconds: float = 2.0) -> Path:
    """The recordings of MUSICNET, 32-bit float, 44,100 Hz, mono; the lengths differ. `metadata`: path of the CSV."""
    for number, (name, part, *_) in enumerate(MUSICNET):
        path = folder / f"{top}{part}_data/{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, chord(number, seconds + 0.3 * number, 44100), 44100, subtype="FLOAT")
        touch(folder, f"{top}{part}_labels/{name}.csv")
    if metadata is not None:
        write_metadata(folder / metadata)
    return folder


def write_metadata(path: Path, skip: tuple[str, ...] = ()) -> Path:
    """The table of MUSICNET without the recordings in `skip`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="x")
        writer.writeheader()
        for name, _, composer, composition, catalogue in MUSICNET:
            if name not in skip:
                row = {"id": name, "composer": composer, "composition": composition, "catalog_name": catalogue}
                row["ensemble"] = "Wind Trio" if composition.startswith("Trio") else ""
                writer.writerow(row)
    return path


def pack(folder: Path, archive: Path) -> Path:
    """Pack all files of `folder` as a zip or a tar.gz, depending on the archive's suffix."""
    files = [(path, path.relative_to(folder).as_posix()) for path in sorted(folder.rglob("*")) if path.is_file()]
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
            for path, name in files:
                opened.write(path, name)
    else:
        with tarfile.open(archive, "w:gz") as tar:
            for path, name in files:
                tar.add(path, name)
    return archive


def checksum(content: bytes, algorithm: str = "sha256") -> str:
    """In the format of params.yaml."""
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
