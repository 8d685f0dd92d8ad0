"""Find or render the recordings: data/raw/tracks.parquet, and data/raw/audio where they are rendered here."""

from functools import partial
from pathlib import Path

from tqdm import tqdm

from pipeline import workspace
from pipeline.audio.wav import write_wav
from pipeline.params import section
from pipeline.runtime import RuntimeConfig, ordered, pool
from pipeline.sources import folder, synth
from pipeline.sources.config import SourceConfig, SynthConfig
from pipeline.sources.tracks import Entry, inspect, root, table


def render(clip: synth.Clip, config: SynthConfig, audio: Path) -> Entry:
    """Render one clip of the synthetic source to a 16-bit WAV below `audio`."""
    path = audio / f"{clip.track_id}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_wav(path, synth.render(clip, config), config.sample_rate)
    return Entry(path.relative_to(audio).as_posix(), clip.label, clip.group)


def main() -> None:
    """Write data/raw."""
    source = section(SourceConfig, "source")
    workers = section(RuntimeConfig, "runtime").workers
    entries = folder.entries(source) if source.name == "folder" else []
    with workspace.output(workspace.RAW) as out, pool(workers) as executor:
        recordings = root(source)
        if source.name == "synth":
            recordings = out / "audio"
            clips = synth.plan(source.synth)
            task = partial(render, config=source.synth, audio=recordings)
            entries = list(tqdm(ordered(executor, task, clips), total=len(clips), desc="rendering", disable=None))
        headers = ordered(executor, partial(inspect, folder=recordings), entries)
        tracks = table(tqdm(headers, total=len(entries), desc="reading headers", disable=None))
        tracks.to_parquet(out / "tracks.parquet", index=False)
    workspace.say(f"{len(tracks)} recordings of {tracks['label'].nunique()} labels from source {source.name}")


if __name__ == "__main__":
    workspace.run(main)
