"""Music-like clips in labelled styles, composed and rendered from a seed: no download, no licence.

Styles differ in metre, mode, harmony, bass, drums and melody, and overlap in tempo, instruments and sound. The clips of
one group share a theme (key, chords, motifs) and a band (instruments, balance, room), as the tracks of one artist do;
groups of a style share only what the style prescribes. So a model must be tested on groups that it has not seen.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.sources.config import SynthConfig
from pipeline.sources.synth.band import hire, perform
from pipeline.sources.synth.instruments import Audio
from pipeline.sources.synth.score import Score, Theme, compose, draw
from pipeline.sources.synth.styles import STYLES

THEME, BAND, SCORE, SOUND = range(4)  # what a random stream is for


@dataclass(frozen=True)
class Clip:
    """One recording to be: its names, and the integers that its random streams are seeded with."""

    track_id: str  # "waltz/waltz-03-1", the path below the root without its suffix
    label: str
    group: str  # "waltz/03"
    style: int  # index into STYLES
    group_index: int  # within the style
    clip_index: int  # within the group


def plan(config: SynthConfig) -> list[Clip]:
    """All clips by style, then group: `styles * clips` of them. A style's last group may be smaller."""
    clips = []
    for style in range(config.styles):
        name = STYLES[style].name
        for number in range(config.clips):
            group, index = divmod(number, config.clips_per_group)
            clips.append(Clip(f"{name}/{name}-{group:02}-{index}", name, f"{name}/{group:02}", style, group, index))
    return clips


def theme(clip: Clip, config: SynthConfig) -> Theme:
    """What `clip` shares with its group's other clips on paper."""
    return draw(STYLES[clip.style], _stream(clip, config, THEME))


def score(clip: Clip, config: SynthConfig) -> Score:
    """The notes of `clip`; the sample rate plays no part in them."""
    return compose(STYLES[clip.style], theme(clip, config), _stream(clip, config, SCORE), config.seconds)


def render(clip: Clip, config: SynthConfig) -> Audio:
    """The sound of `clip`.

    It depends on `config` and the clip's integers only: not on the order of calls, the process, or other clips.

    Returns:
        (round(seconds * sample_rate),), at least one sample, float32, mono, within [-0.95, 0.95].
    """
    band = hire(STYLES[clip.style], theme(clip, config).instruments, _stream(clip, config, BAND))
    samples = max(1, round(config.seconds * config.sample_rate))
    return perform(score(clip, config), band, _stream(clip, config, SOUND), samples, config.sample_rate)


def _stream(clip: Clip, config: SynthConfig, purpose: int) -> np.random.Generator:
    """The random stream for one purpose: of the whole group for its theme and band, of the clip for the rest."""
    own = clip.clip_index if purpose in (SCORE, SOUND) else 0
    return np.random.default_rng([config.seed, clip.style, clip.group_index, own, purpose])
