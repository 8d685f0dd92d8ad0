"""Find audio files in a folder, and read CSV tables that describe them."""

import codecs
import csv
import io
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pandas as pd

from pipeline.core import workspace
from pipeline.core.errors import DataError, ParamsError
from pipeline.core.params import PARAMS_FILE, suggest
from pipeline.core.text import normalise, normalise_path, printable

# What FFmpeg reads as sound and people have in music folders. Samples without a header (.raw, .pcm) are not among them.
UNCOMPRESSED = "wav wave bwf rf64 w64 aif aiff aifc au snd caf voc dsf dff"
LOSSLESS = "flac alac ape wv tta tak shn"
LOSSY = (
    "mp3 mp2 mp1 mpa mpga ogg oga ogx opus spx aac adts m4a m4b m4p m4r mpc mpp wma ac3 eac3 ec3 dts dtshd thd mlp "
    "ra rm amr awb 3ga at3 oma aa3 mka weba"
)
VIDEO = (
    "mp4 m4v mov qt 3gp 3g2 mkv webm avi wmv asf flv f4v f4a ogv ogm mpg mpeg vob m2ts mts rmvb"  # its sound is used
)
SUFFIXES = frozenset(f".{name}" for kind in (UNCOMPRESSED, LOSSLESS, LOSSY, VIDEO) for name in kind.split())
# Other programs fill these folders with deleted files, earlier versions of files, thumbnails and indexes.
SYSTEM_FOLDER = re.compile(
    r"\.git|\.hg|\.svn|\.dvc|\.trash(es|-\d+)?|\$recycle\.bin|[#@.]recycle|lost\+found|\.stversions|\.snapshots?|\.zfs|"
    r"\.thumbnails|@eadir|\.appledouble|\.spotlight-v100|\.fseventsd|\.temporaryitems|system volume information",
    re.IGNORECASE,
)
APPLE_FOLDER = "__MACOSX"  # of a zip file; it holds AppleDouble files alone
APPLE_DOUBLE = b"\x00\x05\x16\x07"  # the first bytes of `._name`, which holds attributes of the file `name` on macOS
SEPARATORS = ",;\t|"


class Tree(NamedTuple):
    """What lies below a folder, as paths relative to it, each list sorted."""

    audio: list[str]
    others: list[str]  # files without an audio suffix
    links: list[str]  # to folders
    system: list[str]  # folders of SYSTEM_FOLDER


def is_audio(path: str) -> bool:
    """Whether a file of a published data set is audio, by its name. macOS's `._name` files are not."""
    parts = PurePosixPath(path).parts
    return _suffix(path) in SUFFIXES and not parts[-1].startswith("._") and APPLE_FOLDER not in parts


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.strip().lower()


def walk(folder: Path) -> Tree:
    """The files below `folder`, without those that macOS adds: AppleDouble, .DS_Store and __MACOSX.

    A broken link or a pipe with the suffix of a recording counts as audio: stage windows rejects it with a reason. In a
    name that is not UTF-8, which no table can hold, \\xNN replaces each wrong byte. As in DVC, links to folders are not
    followed.

    Raises:
        DataError: a folder is not readable.
    """

    def fail(error: OSError) -> None:
        raise DataError(f"{error.filename}: {error.strerror}; make it readable, or move it elsewhere")

    tree = Tree([], [], [], [])
    for parent, folders, names in os.walk(folder, onerror=fail):
        for name in list(folders):
            path = Path(parent, name)
            if path.is_symlink():
                tree.links.append(_relative(path, folder))
            elif SYSTEM_FOLDER.fullmatch(name):
                tree.system.append(_relative(path, folder))
            elif name != APPLE_FOLDER:
                continue
            folders.remove(name)
        for name in names:
            path = Path(parent, name)
            if name != ".DS_Store" and not _is_apple_double(path):
                (tree.audio if _suffix(name) in SUFFIXES else tree.others).append(_relative(path, folder))
    for paths in tree:
        paths[:] = sorted(set(paths))
    return tree


def _relative(path: Path, folder: Path) -> str:
    return os.fsencode(path.relative_to(folder)).decode("utf-8", "backslashreplace")


def _is_apple_double(path: Path) -> bool:
    """By its content, since a recording may be called `._Intro.wav`."""
    if not path.name.startswith("._") or not path.is_file():  # opening a pipe would wait for ever
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(APPLE_DOUBLE)) == APPLE_DOUBLE
    except OSError:
        return False


def find_audio(folder: Path) -> list[str]:
    """The paths of all audio files below `folder`, as `walk` lists them; a line for each kind that is left out."""
    tree = walk(folder)
    if tree.others:
        counts = Counter(_suffix(path) or "without any" for path in tree.others).most_common()
        kinds = [f"{n} {printable(suffix)}" for suffix, n in counts[:5]]
        kinds += [f"{sum(n for _, n in counts[5:])} of other kinds"] * (len(counts) > 5)
        _say_left_out(f"files without an audio suffix ({', '.join(kinds)})", tree.others)
    if tree.links:
        _say_left_out("links to folders", tree.links)
    if tree.system:
        _say_left_out("folders of the system (trash, versions, thumbnails)", tree.system)
    return tree.audio


def _say_left_out(what: str, paths: list[str]) -> None:
    workspace.say(f"  left out, {what}: {len(paths)}, such as {printable(paths[0])}")


def match_audio(folder: Path, pattern: re.Pattern[str], kind: str) -> list[re.Match[str]]:
    """Matches of the audio files below `folder` whose path fits `pattern`; DataError if there are no such files."""
    paths = [path for path in find_audio(folder) if is_audio(path)]
    matches = {path: match for path in paths if (match := pattern.fullmatch(path))}
    if not matches:
        raise DataError(f"{folder.absolute()}: no {kind}; see docs/data.md")
    if strays := [path for path in paths if path not in matches]:
        workspace.say(f"skipped {len(strays)} files that are no {kind}, such as {printable(strays[0])}")
    return list(matches.values())


class PathFinder:
    """Finds the file below `folder` that a table means, also if the table spells its path in another way."""

    def __init__(self, folder: Path, paths: list[str]) -> None:
        """`paths` are those of `walk`."""
        self._root = f"{os.path.realpath(folder).rstrip('/')}/"
        self._paths = set(paths)
        self._by_key: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, str] = {}
        for path in paths:
            self._by_key[_key(path)].append(path)
            self._by_stem.setdefault(_key(PurePosixPath(path).stem), path)

    def find(self, text: str) -> str:
        """The path of the file relative to the folder, as the disk spells it.

        `text` may be absolute, have `./` or `//`, backslashes as on Windows, another normal form, or another case on a
        disk that ignores case. An exact spelling wins.

        Raises:
            DataError: there is no such file, or the path leads out of the folder. The message does not name the table.
        """
        if text in self._paths:
            return text
        for spelling in dict.fromkeys((text, text.replace("\\", "/"))):
            if (relative := self._inside(spelling)) is None:
                raise DataError(f"'{printable(text)}' leads out of {self._root}; move the file into it")
            if path := self._on_disk(relative):
                return path
        name = PurePosixPath(text.replace("\\", "/"))
        with suppress(OSError):  # a name that is too long
            if Path(self._root, text).is_dir():
                raise DataError(f"'{printable(text)}' is a folder; list its files")
        same_case = next(iter(self._by_key.get(_key(str(name)), [])), None)
        similar = same_case or self._by_stem.get(_key(name.stem)) or self._by_stem.get(_key(name.name))  # no suffix
        hint = f"did you mean '{printable(similar)}'?" if similar else "correct the path"
        raise DataError(f"there is no file '{printable(text)[:200]}' below {self._root}; {hint}")

    def _inside(self, text: str) -> str | None:
        """`text` relative to the folder, with all links to folders resolved; None if it is outside."""
        typed = Path(self._root, text)
        path = os.path.normpath(Path(os.path.realpath(typed.parent), typed.name))
        for full, root in ((path, self._root), (normalise_path(path), normalise_path(self._root))):
            if f"{full}/".startswith(root):
                return full.removeprefix(root)
        return None

    def _on_disk(self, relative: str) -> str | None:
        if relative in self._paths:
            return relative
        for other in self._by_key.get(_key(relative), []):
            # On a disk that ignores case, and only there, both spellings open the file.
            if normalise_path(other) == normalise_path(relative) or self._is_same(other, relative):
                return other
        with suppress(OSError):  # a name that is too long
            return relative if Path(self._root, relative).is_file() else None
        return None

    def _is_same(self, path: str, other: str) -> bool:
        with suppress(OSError):
            return Path(self._root, path).samefile(Path(self._root, other))
        return False


def _key(path: str) -> str:
    return normalise_path(path).casefold()


def read_csv(
    path: Path, key: str, columns: Iterable[str], optional: Iterable[str] = (), ignored: Iterable[str] = ()
) -> pd.DataFrame:
    """A table of strings without white space at their ends; an empty cell is "". The index is the line in the file.

    The table is UTF-8, or UTF-16 as Excel writes it. Commas, semicolons, tabs or bars separate its cells. Its first
    line names the columns; upper case, spaces and quotes in these names do not matter. Empty lines are left out. A
    message names the columns that are in none of `columns`, `optional` and `ignored`.

    Raises:
        ParamsError: the file, which `key` of params.yaml names, cannot be opened.
        DataError: it is no such table, or lacks one of `columns`.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ParamsError(f"{PARAMS_FILE}: {key}: {path.absolute()}: {error.strerror}; correct the path") from error
    needed, used = list(columns), [*columns, *optional]
    text = _decode(path, content)
    separator = _find_separator(text, used)
    header, rows, problems = _parse(path, text, separator)
    if missing := [name for name in needed if name not in header]:
        raise DataError(
            f"{path}: needs a column '{missing[0]}' in its first line, which has: {printable(', '.join(header))}"
        )
    if double := [name for name, n in Counter(header).items() if n > 1]:
        raise DataError(f"{path}: has the column '{printable(double[0])}' twice; rename or remove one")
    refuse_lines(path, problems)
    if unused := [name for name in header if name not in {*used, *ignored}]:
        free = [name for name in used if name not in header]
        names = ", ".join(printable(name) + _hint(name, free) for name in unused)
        workspace.say(f"  {path.name}: columns not used: {names}" + (f"; it has no {', '.join(free)}" if free else ""))
    return pd.DataFrame(list(rows.values()), index=list(rows), columns=header, dtype=str)


def _hint(name: str, known: list[str]) -> str:
    text = suggest(name, known)
    return f" ({text})" if text.startswith("did") else ""


def refuse_lines(path: Path, problems: list[tuple[int, str]]) -> None:
    """DataError that names the first of these lines of a table, and how many more are wrong, if there are any."""
    if problems:
        line, problem = min(problems)
        others = len({number for number, _ in problems}) - 1
        raise DataError(f"{path} line {line}: {problem}" + (f" ({others} more lines are wrong)" if others else ""))


def _decode(path: Path, content: bytes) -> str:
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path} line {line}: not UTF-8 text; save the table as UTF-8 (Excel: CSV UTF-8)") from error
    text = text.rstrip("\x1a")  # DOS programs mark the end of a text
    text = re.sub(r"^sep=(.)\r?\n", "\n", text)  # Excel names the separator; an empty line keeps the numbers of lines
    if "\0" in text:
        raise DataError(f"{path}: not UTF-8 text, since it has zero bytes; save the table as UTF-8 (Excel: CSV UTF-8)")
    return text


def _find_separator(text: str, known: list[str]) -> str:
    """The separator that makes the most known columns of the first line, or else the most columns."""
    first = next((line for line in re.split("[\r\n]+", text) if line.strip(SEPARATORS + ' "')), "")

    def rate(separator: str) -> tuple[int, int]:
        names = [_column_name(cell) for cell in next(_reader(first, separator, strict=False), [])]
        return sum(name in known for name in names), len(names)

    return max(SEPARATORS, key=rate)


def _reader(text: str, separator: str, strict: bool = True) -> Any:
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=strict)


def _column_name(cell: str) -> str:
    return normalise(cell).strip("'\"").strip().casefold().replace(" ", "_")


def _parse(path: Path, text: str, separator: str) -> tuple[list[str], dict[int, list[str]], list[tuple[int, str]]]:
    """The names of the columns, the cells by line, and the lines with too few or too many cells."""
    header: list[str] = []
    rows: dict[int, list[str]] = {}
    problems = []
    reader, line = _reader(text, separator), 1
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            while len(cells) > len(header) and not cells[-1]:  # a separator at the end of the line
                cells.pop()
            if not header:
                header = [_column_name(cell) or f"column_{n}" for n, cell in enumerate(cells, start=1)]
            elif any(cells) and len(cells) != len(header):
                is_longer = len(cells) > len(header)
                quote = f"put a cell that holds '{printable(separator)}' in double quotes"
                cure = quote if is_longer else "add the missing ones, which may be empty"
                problems.append((line, f"has {len(cells)} cells, but the first line has {len(header)}; {cure}"))
            elif any(cells):
                rows[line] = cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path} line {line}: not a readable CSV table: {error}; correct the line") from error
    if not header:
        raise DataError(f"{path}: not a readable CSV table, since it is empty; its first line must name the columns")
    return header, rows, problems
