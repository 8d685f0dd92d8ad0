"""Source gtzan: ten genres with a hundred clips each, in any layout in which the data set is distributed.

torchaudio has lists of the clips without the faults of the data set (replicas, repeated artists, distortions). See
Sturm, "The GTZAN dataset" (2013), and Kereliuk, Sturm and Larsen (2015).
"""

import re
from pathlib import Path

from pipeline.sources.config import SourceConfig
from pipeline.sources.files import is_audio, match_audio
from pipeline.sources.published import obtain
from pipeline.sources.tracks import AudioFile

KAGGLE = "andradaolteanu/gtzan-dataset-music-genre-classification"
GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
CLIP = re.compile(rf"(?:.*/)?(({'|'.join(GENRES)})\.\d{{5}})\.(wav|au)", re.IGNORECASE | re.DOTALL)


def list_files(source: SourceConfig, audio: Path) -> list[AudioFile]:
    """All clips: files with a name `<genre>.<5 digits>.wav` or `.au`. The label is the genre; each clip is a group.

    The split `filtered` uses the fault-filtered lists and excludes all other clips. `all` keeps the other clips without
    a split, and `random` leaves all clips without a split. Raises as `obtain`; DataError without clips.
    """
    folder = obtain(source.gtzan, "gtzan", KAGGLE, audio, is_audio)
    splits = {} if source.gtzan.split == "random" else fault_filtered_splits()
    files = []
    paths: dict[str, str] = {}
    for match in match_audio(folder, CLIP, "GTZAN clips (<genre>.<5 digits>.wav or .au)"):
        path, clip, genre = match[0], match[1].lower(), match[2].lower()
        excluded = None
        if paths.setdefault(clip, path) != path:
            excluded = f"the same clip as {paths[clip]}"
        elif source.gtzan.split == "filtered" and clip not in splits:
            excluded = "not in the fault-filtered lists"
        files.append(AudioFile(path, genre, clip, None if excluded else splits.get(clip), excluded))
    return files


def fault_filtered_splits() -> dict[str, str]:
    """Clip -> split, for the clips in the fault-filtered lists."""
    from torchaudio.datasets import gtzan  # takes seconds

    lists = {"train": gtzan.filtered_train, "valid": gtzan.filtered_valid, "test": gtzan.filtered_test}
    return {clip: split for split, clips in lists.items() for clip in clips}
