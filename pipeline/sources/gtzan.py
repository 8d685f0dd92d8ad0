"""GTZAN: ten genres of a hundred clips, in any of the layouts in which it goes round.

The lists of clips without the data set's faults (replicas, repeated artists, distortions) are those that torchaudio
ships; see Sturm, "The GTZAN dataset" (2013), and Kereliuk, Sturm and Larsen (2015).
"""

import re
from pathlib import Path

from pipeline.core import workspace
from pipeline.core.errors import DataError
from pipeline.sources.config import GtzanConfig
from pipeline.sources.files import audio_files, is_audio
from pipeline.sources.obtain import obtain
from pipeline.sources.tracks import AudioFile

KAGGLE = "andradaolteanu/gtzan-dataset-music-genre-classification"
GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
CLIP = re.compile(rf"(({'|'.join(GENRES)})\.\d{{5}})\.(wav|au)", re.IGNORECASE)


def entries(config: GtzanConfig, audio: Path) -> list[AudioFile]:
    """Every clip, known by its file's name `<genre>.<5 digits>.wav` or `.au`; label genre, group the clip itself.

    Args:
        config: where it is, and its split: `filtered` takes the published lists and excludes the other clips, `all`
            leaves the other clips without a split, `random` leaves all of them without.
        audio: the folder for files that are not read where they are.

    Raises:
        ParamsError, DataError: as `obtain`; or there is no clip in it.
    """
    folder = obtain(config, "gtzan", KAGGLE, audio, is_audio)
    lists = {} if config.split == "random" else _lists()
    found: dict[str, AudioFile] = {}
    copies: list[AudioFile] = []
    strays = []
    for path in audio_files(folder):
        match = CLIP.fullmatch(path.rsplit("/", 1)[-1])
        if match is None:
            strays.append(path)
            continue
        clip, genre = match[1].lower(), match[2].lower()
        if clip in found:
            copies.append(AudioFile(path, genre, clip, excluded=f"the same clip as {found[clip].path}"))
            continue
        excluded = "not in the fault-filtered lists" if config.split == "filtered" and clip not in lists else None
        found[clip] = AudioFile(path, genre, clip, lists.get(clip), excluded)
    if not found:
        raise DataError(f"{folder.absolute()}: no GTZAN clips (<genre>.<5 digits>.wav or .au); see docs/data.md")
    if strays:
        workspace.say(f"{len(strays)} files are no GTZAN clips by their names and are not used, such as {strays[0]}")
    return sorted([*found.values(), *copies], key=lambda entry: entry.path)


def _lists() -> dict[str, str]:
    """The split of each clip in the fault-filtered lists."""
    from torchaudio.datasets import gtzan  # takes seconds

    lists = {"train": gtzan.filtered_train, "valid": gtzan.filtered_valid, "test": gtzan.filtered_test}
    return {clip: split for split, clips in lists.items() for clip in clips}
