"""Find, download or render the recordings: data/raw/tracks.parquet, and data/raw/audio unless read in place."""

from functools import partial
from pathlib import Path

from tqdm import tqdm

from pipeline.audio.files import write_wav
from pipeline.core import workspace
from pipeline.core.params import RuntimeConfig, read_section
from pipeline.core.process import map_ordered, worker_pool
from pipeline.sources import folder, gtzan, musicnet, synth
from pipeline.sources.config import SourceConfig, SynthConfig
from pipeline.sources.tracks import AudioFile, audio_folder, read_track, tracks_table
from stages import run


def render(clip: synth.Clip, config: SynthConfig, audio: Path) -> AudioFile:
    """Render one clip of the synthetic source to a 16-bit WAV below `audio`."""
    path = audio / f"{clip.track_id}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_wav(path, synth.render(clip, config), config.sample_rate)
    return AudioFile(path.relative_to(audio).as_posix(), clip.label, clip.group)


def found(source: SourceConfig, audio: Path) -> list[AudioFile]:
    """The recordings of a source that has files; those that are not read in place are put into `audio`."""
    match source.name:
        case "folder":
            return folder.entries(source)
        case "gtzan":
            return gtzan.entries(source.gtzan, audio)
        case "musicnet":
            return musicnet.entries(source.musicnet, audio)
    return []


def main() -> None:
    """Write data/raw."""
    source = read_section(SourceConfig, "source")
    workers = read_section(RuntimeConfig, "runtime").workers
    with workspace.output(workspace.RAW) as out:
        audio = out / "audio"
        entries = found(source, audio)
        with worker_pool(workers) as executor:
            if source.name == "synth":
                clips = synth.plan(source.synth)
                task = partial(render, config=source.synth, audio=audio)
                entries = list(
                    tqdm(map_ordered(executor, task, clips), total=len(clips), desc="rendering", disable=None)
                )
            recordings = audio if audio.exists() else audio_folder(source)
            headers = map_ordered(executor, partial(read_track, folder=recordings), entries)
            tracks = tracks_table(tqdm(headers, total=len(entries), desc="reading headers", disable=None))
        tracks.to_parquet(out / "tracks.parquet", index=False)
    workspace.say(f"{len(tracks)} recordings of {tracks['label'].nunique()} labels from source {source.name}")
    for reason, number in tracks["excluded"].value_counts().items():
        workspace.say(f"  excluded: {number}, {reason}")


if __name__ == "__main__":
    run(main)
