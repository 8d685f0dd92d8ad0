"""Source synth: a seed determines the music, groups share motifs, and labels are neither trivial nor random."""

import hashlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import librosa
import numpy as np
import pytest
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.sources import synth
from pipeline.sources.config import SourceConfig, SynthConfig
from pipeline.sources.synth.instruments import DRUMS, INSTRUMENTS, render_note
from pipeline.sources.synth.score import Score, parse_pattern
from pipeline.sources.synth.styles import GROOVES, MODES, STYLES, Style

RATE = 22050


def compute_digest(config: SynthConfig, clip: synth.Clip) -> str:
    return hashlib.sha256(synth.render(clip, config).tobytes()).hexdigest()


@pytest.mark.parametrize(("clips", "per_group", "groups"), [(12, 2, 6), (5, 2, 3), (3, 1, 3), (2, 8, 1), (250, 1, 250)])
def test_the_plan_has_unique_clips_and_groups_of_the_given_size(clips: int, per_group: int, groups: int) -> None:
    plan = synth.plan(SynthConfig(styles=12, clips=clips, clips_per_group=per_group))
    assert len(plan) == 12 * clips
    assert len({clip.track_id for clip in plan}) == 12 * clips
    assert len({clip.group for clip in plan}) == 12 * groups
    assert max(Counter(clip.group for clip in plan).values()) == min(clips, per_group)
    for clip in plan:
        assert clip.track_id.startswith(f"{clip.label}/") and clip.group.startswith(f"{clip.label}/")
    assert len({clip.label for clip in plan}) == 12


def test_the_seed_gives_the_same_bytes_in_another_process_and_order() -> None:
    config = SynthConfig(seed=3, seconds=3)
    clips = synth.plan(config)[::17]
    digests = [compute_digest(config, clip) for clip in clips]
    code = (
        "import hashlib; from pipeline.sources import synth; from pipeline.sources.config import SynthConfig;"
        "config = SynthConfig(seed=3, seconds=3); clips = synth.plan(config)[::17];"
        "print(*reversed([hashlib.sha256(synth.render(c, config).tobytes()).hexdigest() for c in reversed(clips)]))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.split() == digests
    assert len(set(digests)) == len(digests)


def test_a_clip_does_not_depend_on_the_number_of_clips() -> None:
    few, many = SynthConfig(styles=2, clips=2, seconds=2), SynthConfig(styles=12, clips=9, seconds=2)
    by_id = {clip.track_id: clip for clip in synth.plan(many)}
    for clip in synth.plan(few):
        assert compute_digest(few, clip) == compute_digest(many, by_id[clip.track_id])


def test_different_seeds_give_different_music() -> None:
    first, second = SynthConfig(seed=0), SynthConfig(seed=1)
    for clip in synth.plan(SynthConfig(styles=12, clips=1)):
        assert synth.theme(clip, first).motifs != synth.theme(clip, second).motifs
        assert synth.score(clip, first).notes != synth.score(clip, second).notes


def test_the_table_knows_tempo_key_and_instrument_of_the_notes() -> None:
    """The notes repeat in bars of this tempo, and their pitches are in this key."""
    config = SynthConfig(styles=12, clips=2, clips_per_group=1, seconds=20)
    files = synth.list_files(SourceConfig(synth=config), Path())
    for clip, file in zip(synth.plan(config), files, strict=True):
        assert file.path == f"{clip.track_id}.wav" and file.tempo is not None and file.key is not None
        theme, score = synth.theme(clip, config), synth.score(clip, config)
        style = STYLES[clip.style]
        bass = np.array([note.start for note in score.notes if note.part == "bass"])
        per_bar = len(parse_pattern(theme.bass, style.beats))
        bars = (bass[per_bar:] - bass[:-per_bar]) * file.tempo / 60  # lengths in beats
        assert bars.mean() == pytest.approx(style.beats, rel=0.002)
        tonic, mode = file.key.split()
        steps = [(note.pitch - librosa.note_to_midi(tonic)) % 12 for note in score.notes]
        assert set(steps) <= set(theme.mode) and (3 in steps) == (mode == "minor") and (4 in steps) == (mode == "major")
        assert file.instrument in style.leads


def count_intervals(score: Score) -> Counter[str]:
    """Count each sequence of three melodic intervals, in semitones."""
    steps = np.diff([note.pitch for note in score.notes if note.part == "lead"]).tolist()
    return Counter(map(str, zip(steps, steps[1:], steps[2:], strict=False)))


def test_clips_of_a_group_share_motifs_and_groups_do_not() -> None:
    config = SynthConfig(styles=12)
    clips = synth.plan(config)
    intervals = [count_intervals(synth.score(clip, config)) for clip in clips]
    similarity = cosine_similarity(DictVectorizer(sparse=False).fit_transform(intervals))
    styles, groups = np.array([clip.style for clip in clips]), np.array([clip.group for clip in clips])
    is_other = (styles[:, None] == styles) & ~np.eye(len(clips), dtype=bool)  # another clip of the style
    is_sibling = is_other & (groups[:, None] == groups)
    nearest = np.where(is_other, similarity, -1).argmax(1)
    assert np.mean(groups[nearest] == groups) > 0.9
    assert similarity[is_sibling].mean() > 5 * similarity[is_other & ~is_sibling].mean()
    assert similarity[is_sibling].max() < 0.999  # siblings are variations, not copies


@pytest.mark.parametrize(("seconds", "rate"), [(2.0, 8000), (2.0, 48000), (7.3, 22050), (0.1, 22050), (6.0, 11025)])
def test_length_and_range_of_the_audio(seconds: float, rate: int) -> None:
    config = SynthConfig(styles=12, clips=1, seconds=seconds, sample_rate=rate)
    for clip in synth.plan(config):
        audio = synth.render(clip, config)
        assert audio.dtype == np.float32
        assert audio.shape == (round(seconds * rate),)
        assert np.isfinite(audio).all()
        assert np.abs(audio).max() <= 0.95
        assert abs(audio[0]) < 0.01 and abs(audio[-1]) < 0.01


def test_every_style_has_no_silence_and_has_a_bass() -> None:
    config = SynthConfig(styles=12, clips=3, clips_per_group=1, seconds=10)
    bass_power: dict[str, list[float]] = {style.name: [] for style in STYLES}
    loudness: list[float] = []
    for clip in synth.plan(config):
        audio = synth.render(clip, config).astype(np.float64)
        halves = audio[: 20 * (RATE // 2)].reshape(20, -1)  # a second of silence covers one of these
        assert 20 * np.log10(np.sqrt(np.mean(halves**2, axis=1)).min()) > -46, clip.track_id
        power = np.abs(np.fft.rfft(audio)) ** 2
        hertz = np.fft.rfftfreq(len(audio), 1 / RATE)
        bass_power[clip.label].append(power[(hertz > 40) & (hertz < 200)].sum() / power.sum())
        loudness.append(10 * np.log10(np.mean(audio**2)))
    assert {name: share for name, share in bass_power.items() if np.median(share) < 0.1} == {}
    assert min(loudness) > -30 and 2 < max(loudness) - min(loudness) < 14


@pytest.mark.parametrize("rate", [8000, 22050, 48000])
@pytest.mark.parametrize("name", INSTRUMENTS)
def test_a_note_has_its_pitch_and_no_partial_above_nyquist(name: str, rate: int) -> None:
    noise = np.zeros(2 * rate, dtype=np.float32)
    audio = render_note(INSTRUMENTS[name], 93, 1.0, rate, noise)  # A6, 1760 Hz
    assert audio[0] == 0 and abs(audio[-1]) < 1e-3
    power = np.abs(np.fft.rfft(audio * np.hanning(len(audio)))) ** 2
    hertz = np.fft.rfftfreq(len(audio), 1 / rate)
    cents = 1200 * np.log2(np.maximum(hertz, 1) / 1760)
    nearest = np.maximum(np.round(hertz / 1760), 1)
    harmonic = np.abs(hertz - 1760 * nearest) < 0.03 * 1760 * nearest  # wide enough for vibrato and detune
    assert power[harmonic].sum() > 0.999 * power.sum()
    near = np.abs(cents) < 50
    centre = np.average(cents[near], weights=power[near])
    assert abs(centre) < 8


def test_parse_pattern() -> None:
    assert parse_pattern("1-5.", 4) == [("1", 0, 2), ("5", 2, 1)]
    assert parse_pattern(".x-x-x", 3) == [("x", 0.5, 1.0), ("x", 1.5, 1.0), ("x", 2.5, 0.5)]


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_the_names_in_a_style_exist(style: Style) -> None:
    assert {*style.leads, *style.chords, *style.basses} <= INSTRUMENTS.keys()
    assert set(style.modes) <= MODES.keys()
    assert {drum for groove in style.grooves for drum in GROOVES[groove]} <= DRUMS.keys()
    assert all(len(progression) == 4 and set(progression) <= set("1234567") for progression in style.progressions)
    for pattern in style.comping + style.bass:
        assert set(pattern) <= set("12345678x-.") and pattern[0] != "-"
    assert all("x" not in pattern for pattern in style.bass)
    assert style.tempo[0] < style.tempo[1]


def test_a_linear_probe_finds_the_style_of_most_unseen_groups() -> None:
    """It reads mean and standard deviation of mel bands in 5 s. The default data set scores alike; chance is 0.1."""
    config = SynthConfig(seconds=5)
    clips = synth.plan(config)
    rows = []
    for clip in clips:
        mel = librosa.feature.melspectrogram(y=synth.render(clip, config), sr=RATE, n_mels=128)
        decibels = librosa.power_to_db(mel, ref=np.max)
        rows.append(np.concatenate([decibels.mean(axis=1), decibels.std(axis=1)]))
    x, y, groups = np.array(rows), np.array([clip.style for clip in clips]), [clip.group for clip in clips]
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    unseen = cross_val_predict(probe, x, y, groups=groups, cv=GroupKFold(3))
    leaky = cross_val_predict(probe, x, y, cv=StratifiedKFold(3, shuffle=True, random_state=0))
    accuracy = np.mean(unseen == y)
    assert 0.5 <= accuracy <= 0.95
    assert np.mean(leaky == y) > accuracy + 0.05  # so windows must not be split at random
