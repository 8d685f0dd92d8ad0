"""Source gtzan: ten genres with a hundred clips each, in any layout in which the data set is distributed.

torchaudio has lists of the clips without the faults of the data set (replicas, repeated artists, distortions). See
Sturm, "The GTZAN dataset" (2013), and Kereliuk, Sturm and Larsen (2015).
"""

import re
from pathlib import Path

from pipeline.core import workspace
from pipeline.core.errors import DataError
from pipeline.sources.config import SourceConfig
from pipeline.sources.files import find_audio, is_audio
from pipeline.sources.published import obtain
from pipeline.sources.tracks import AudioFile

KAGGLE = "andradaolteanu/gtzan-dataset-music-genre-classification"
GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
CLIP = re.compile(rf"(({'|'.join(GENRES)})\.\d{{5}})\.(wav|au)", re.IGNORECASE)


def list_files(source: SourceConfig, audio: Path) -> list[AudioFile]:
    """All clips: files with a name `<genre>.<5 digits>.wav` or `.au`. The label is the genre; each clip is a group.

    The split `filtered` uses the fault-filtered lists and excludes all other clips. `all` keeps the other clips without
    a split, and `random` leaves all clips without a split.

    Raises:
        ParamsError, DataError: as in `obtain`, or there are no clips.
    """
    folder = obtain(source.gtzan, "gtzan", KAGGLE, audio, is_audio)
    split = source.gtzan.split
    splits = {} if split == "random" else fault_filtered_splits()
    clips: dict[str, AudioFile] = {}
    copies: list[AudioFile] = []
    strays: list[str] = []
    for path in find_audio(folder):
        match = CLIP.fullmatch(path.rsplit("/", 1)[-1])
        if match is None:
            strays.append(path)
            continue
        clip, genre = match[1].lower(), match[2].lower()
        if clip in clips:
            copies.append(AudioFile(path, genre, clip, excluded=f"the same clip as {clips[clip].path}"))
            continue
        excluded = "not in the fault-filtered lists" if split == "filtered" and clip not in splits else None
        clips[clip] = AudioFile(path, genre, clip, splits.get(clip), excluded)
    if not clips:
        raise DataError(f"{folder.absolute()}: no GTZAN clips (<genre>.<5 digits>.wav or .au); see docs/data.md")
    if strays:
        workspace.say(f"skipped {len(strays)} files without the name of a GTZAN clip, such as {strays[0]}")
    return sorted([*clips.values(), *copies], key=lambda file: file.path)


def fault_filtered_splits() -> dict[str, str]:
    """Clip -> split, for the clips in the fault-filtered lists."""
    from torchaudio.datasets import gtzan  # takes seconds

    lists = {"train": gtzan.filtered_train, "valid": gtzan.filtered_valid, "test": gtzan.filtered_test}
    return {clip: split for split, clips in lists.items() for clip in clips}
