"""Source gtzan: ten genres with a hundred clips each, in any layout in which the data set is distributed.

torchaudio has lists of the clips without the faults of the data set (replicas, repeated artists, distortions). See
Kereliuk, Sturm and Larsen (2015). gtzan_artists.csv has the artist of each clip, of classical music the composer, as
Sturm identified them: "The GTZAN dataset: Its contents, its faults, their effects on evaluation, and its future use"
(2013, arXiv 1306.1461). 81 clips have none.
"""

import csv
import re
from collections import defaultdict
from pathlib import Path

from pipeline.sources.config import SourceConfig
from pipeline.sources.files import is_audio, match_audio
from pipeline.sources.published import obtain
from pipeline.sources.tracks import AudioFile

KAGGLE = "andradaolteanu/gtzan-dataset-music-genre-classification"
GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
CLIP = re.compile(rf"(?:.*/)?(({'|'.join(GENRES)})\.\d{{5}})\.(wav|au)", re.IGNORECASE | re.DOTALL)
ARTISTS = Path(__file__).with_name("gtzan_artists.csv")
# Two spellings of an artist, and artists who recorded a clip together, or with a common partner, are one group.
GROUPS = {
    "Aretha Franklin, Celine Dion, Mariah Carey, Shania Twain & Gloria Estefan": "Mariah Carey",
    "Celine Dion": "Mariah Carey",
    "Shania Twain": "Mariah Carey",
    "Lauryn Hill": "Bob Marley",
    "Lauryn Hill and Bob Marley": "Bob Marley",
    "Barbra Streisand and Donna Summer": "Donna Summer",
    "Michael Jackson & Janet Jackson": "Janet Jackson",
    "Peter Tosh and Mick Jagger": "Peter Tosh",
    "Rage Against the Machine": "Rage Against The Machine",
}


def list_files(source: SourceConfig, audio: Path) -> list[AudioFile]:
    """All clips: files with a name `<genre>.<5 digits>.wav` or `.au`. The label is the genre, the group the artist.

    The split `filtered` uses the fault-filtered lists and excludes all other clips. `all` adds to train those other
    clips whose artist is in no held-out list. `random` uses no lists. Three artists who recorded with others are in
    two lists: the lists stay as published, and the artist is a group of its own in each. Raises as `obtain`; DataError
    without clips.
    """
    folder = obtain(source.gtzan, "gtzan", KAGGLE, audio, is_audio)
    setting = source.gtzan.split
    lists = {} if setting == "random" else fault_filtered_splits()
    artists = artist_groups()
    lists_of: dict[str, set[str]] = defaultdict(set)
    for clip, name in lists.items():
        lists_of[artists[clip]].add(name)
    files = []
    paths: dict[str, str] = {}
    for match in match_audio(folder, CLIP, "GTZAN clips (<genre>.<5 digits>.wav or .au)"):
        path, clip, genre = match[0], match[1].lower(), match[2].lower()
        group, split, excluded = artists.get(clip, clip), lists.get(clip), None
        if paths.setdefault(clip, path) != path:
            excluded = f"the same clip as {paths[clip]}"
        elif setting == "filtered" and not split:
            excluded = "not in the fault-filtered lists"
        elif setting == "all" and not split:
            excluded = "its artist is in a held-out list" if lists_of[group] - {"train"} else None
            split = "train"
        if split and len(lists_of[group]) > 1:
            group = f"{group} ({split})"
        files.append(AudioFile(path, genre, group, None if excluded else split, excluded))
    return files


def artist_groups() -> dict[str, str]:
    """Clip -> its artist, in one spelling. The clip itself, if its artist is not known."""
    with ARTISTS.open(encoding="utf-8", newline="") as file:
        return {row["clip"]: GROUPS.get(row["artist"], row["artist"]) or row["clip"] for row in csv.DictReader(file)}


def fault_filtered_splits() -> dict[str, str]:
    """Clip -> split, for the clips in the fault-filtered lists."""
    from torchaudio.datasets import gtzan  # takes seconds

    lists = {"train": gtzan.filtered_train, "valid": gtzan.filtered_valid, "test": gtzan.filtered_test}
    return {clip: split for split, clips in lists.items() for clip in clips}
