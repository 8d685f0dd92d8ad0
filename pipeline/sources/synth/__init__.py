"""Source synth: music-like clips in labelled styles, composed and rendered from a seed, without download or licence.

Styles differ in metre, mode, harmony, bass, drums and melody; their tempos, instruments and timbres overlap. Clips of a
group share a theme (key, chords, motifs) and a band (instruments, balance, reverb), as the tracks of an artist do.
Groups of a style share only the style. So a model must be tested on groups that it was not trained on.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.audio.wav import write_wav
from pipeline.sources.config import SourceConfig, SynthConfig
from pipeline.sources.synth.band import draw_band, perform
from pipeline.sources.synth.instruments import Audio
from pipeline.sources.synth.score import Score, Theme, compose, draw_theme
from pipeline.sources.synth.styles import STYLES
from pipeline.sources.tracks import AudioFile

THEME, BAND, SCORE, PERFORMANCE = range(4)  # purposes of random streams


@dataclass(frozen=True)
class Clip:
    """A clip to render: its names, and the integers that seed its random streams."""

    track_id: str  # "waltz/waltz-03-1", the path of its file without the suffix
    label: str
    group: str  # "waltz/03"
    style: int  # index into STYLES
    group_index: int  # within the style
    clip_index: int  # within the group


def plan(config: SynthConfig) -> list[Clip]:
    """All `styles * clips` clips, by style and group. The last group of a style may be smaller."""
    clips = []
    for style in range(config.styles):
        name = STYLES[style].name
        for number in range(config.clips):
            group, index = divmod(number, config.clips_per_group)
            clips.append(Clip(f"{name}/{name}-{group:02}-{index}", name, f"{name}/{group:02}", style, group, index))
    return clips


def list_files(source: SourceConfig, audio: Path) -> list[AudioFile]:
    """The files of all clips, which `render_file` writes below `audio`, with what their scores know."""
    files = []
    for clip in plan(source.synth):
        music, tempo = theme(clip, source.synth), score(clip, source.synth).tempo
        file = AudioFile(f"{clip.track_id}.wav", clip.label, clip.group)
        files.append(replace(file, tempo=tempo, key=music.key, instrument=music.instruments["lead"]))
    return files


def render_file(clip: Clip, config: SynthConfig, folder: Path) -> None:
    """Render a clip to a 16-bit WAV file below `folder`."""
    path = folder / f"{clip.track_id}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_wav(path, render(clip, config), config.sample_rate)


def theme(clip: Clip, config: SynthConfig) -> Theme:
    """The theme of the clip's group."""
    return draw_theme(STYLES[clip.style], _random_stream(clip, config, THEME))


def score(clip: Clip, config: SynthConfig) -> Score:
    """The notes of a clip; they do not depend on the sample rate."""
    return compose(STYLES[clip.style], theme(clip, config), _random_stream(clip, config, SCORE), config.seconds)


def render(clip: Clip, config: SynthConfig) -> Audio:
    """The audio of a clip: (round(seconds * sample_rate),), at least one sample, float32, within [-0.95, 0.95].

    It depends only on `config` and the clip's integers, not on other calls or clips.
    """
    band = draw_band(STYLES[clip.style], theme(clip, config).instruments, _random_stream(clip, config, BAND))
    samples = max(1, round(config.seconds * config.sample_rate))
    rng = _random_stream(clip, config, PERFORMANCE)
    return perform(score(clip, config), band, rng, samples, config.sample_rate)


def _random_stream(clip: Clip, config: SynthConfig, purpose: int) -> np.random.Generator:
    """A random stream: one per group for the theme and the band, one per clip for the score and the performance."""
    index = clip.clip_index if purpose in (SCORE, PERFORMANCE) else 0
    return np.random.default_rng([config.seed, clip.style, clip.group_index, index, purpose])
