"""Walks and samples."""

import numpy as np
import pytest
import soundfile

from pipeline.apply import convert, create
from pipeline.apply.trained import USUAL_PEAK_DB, load
from pipeline.audio.representation import MelConfig
from pipeline.core.errors import ParamsError
from tests.apply.variants import DENSE, GAUSSIAN, VQ, described, save
from tests.cache.dataset import cache, tables
from tests.recordings import chord, make_folder, tone

RATE = 4000


@pytest.fixture
def variant(tmp_path):
    def trained(description, name="tiny"):
        save(tmp_path / "models", name, description)
        return load(tmp_path / "models" / name / "seed-0", "cpu")

    return trained


@pytest.fixture
def songs(tmp_path):
    paths = tmp_path / "a.wav", tmp_path / "b.wav"
    for number, (path, rate) in enumerate(zip(paths, (8000, 44100), strict=True)):
        soundfile.write(path, chord(number, 2.0, rate), rate)
    return paths


@pytest.mark.parametrize("mode", ["linear", "slerp"])
@pytest.mark.parametrize("kind", ["waveform", "mel"])
def test_a_walk_is_its_steps_one_after_another(tmp_path, variant, songs, kind, mode):
    trained = variant(described(kind, GAUSSIAN, DENSE))
    made = create.interpolate(songs, tmp_path / "walk.wav", trained, 4, mode)
    audio, rate = soundfile.read(tmp_path / "walk.wav")
    assert rate == 8000
    assert abs(len(audio) / rate - (4 * 0.5 - 3 * 0.1)) < 0.05
    assert made.seconds == len(audio) / rate


def test_the_ends_of_a_walk_are_the_windows_asked_for(tmp_path, variant, songs):
    trained = variant(described("waveform"))  # gives back what it gets
    create.interpolate(songs, tmp_path / "walk.wav", trained, 3, at=(1.0, 0.5))
    audio = soundfile.read(tmp_path / "walk.wav")[0]
    for path, start, part in ((songs[0], 1.0, slice(None, 3000)), (songs[1], 0.5, slice(-3000, None))):
        own, rate = soundfile.read(path, dtype="float32")
        window = create.resample_blocks([own], rate, RATE)
        window = np.concatenate(list(window))[round(start * RATE) :][: RATE // 2]
        window = np.concatenate(list(create.resample_blocks([window], RATE, 8000)))[part]
        assert np.abs(audio[part] - window)[300:-300].max() < 0.01


def test_a_walk_from_a_recording_that_has_ended_is_refused(tmp_path, variant, songs):
    trained = variant(described("waveform"))
    with pytest.raises(ParamsError, match=r"--at 2\.5: .*a\.wav ends after 2\.00 s"):
        create.interpolate(songs, tmp_path / "walk.wav", trained, 3, at=(2.5, 0))
    assert not (tmp_path / "walk.wav").exists()


@pytest.mark.parametrize(
    ("kind", "bottleneck"),
    [("waveform", GAUSSIAN), ("mel", GAUSSIAN), ("mel", VQ), ("waveform", {"type": "linear", "latent": 3})],
)
def test_samples_are_the_same_for_the_same_random_seed(tmp_path, variant, kind, bottleneck):
    network = {"type": "identity"} if bottleneck["type"] == "linear" else DENSE
    if bottleneck is VQ:
        network = {"type": "conv2d", "channels": [4, 4]}
    trained = variant(described(kind, bottleneck, network))
    if bottleneck["type"] == "linear":
        trained.model.bottleneck.components.normal_()
        trained.model.bottleneck.std.fill_(0.05)
    number = 17 if kind == "waveform" else 2  # more than a batch
    for folder, seed in (("one", 5), ("two", 5), ("three", 6)):
        made = create.sample(tmp_path / folder, trained, number, seed, None, USUAL_PEAK_DB)
        assert [file.path for file in made] == [str(tmp_path / folder / f"sample-{i}.wav") for i in range(number)]
    found = {
        f: [(tmp_path / f / f"sample-{i}.wav").read_bytes() for i in range(number)] for f in ("one", "two", "three")
    }
    assert found["one"] == found["two"] and found["one"] != found["three"]
    assert len(set(found["one"])) > 1
    info = soundfile.info(tmp_path / "one" / "sample-0.wav")
    assert (info.samplerate, info.frames) == (8000, 4000)  # a browser plays nothing slower


def test_samples_leave_other_files_alone_and_nothing_behind(tmp_path, variant):
    trained = variant(described("waveform", GAUSSIAN, DENSE))
    (tmp_path / "out").mkdir()
    for name in ("sample-0.wav", "mine.txt"):
        (tmp_path / "out" / name).write_text("older")
    create.sample(tmp_path / "out", trained, 2)
    assert (tmp_path / "out" / "mine.txt").read_text() == "older"
    assert soundfile.info(tmp_path / "out" / "sample-0.wav").frames == 4000
    assert sorted(file.name for file in tmp_path.iterdir()) == ["models", "out"]


@pytest.mark.parametrize(("name", "reason"), [("file", "a file; name a folder"), ("none/out", "there is no folder")])
def test_a_folder_for_samples_that_cannot_be(tmp_path, variant, name, reason):
    (tmp_path / "file").write_text("")
    with pytest.raises(ParamsError, match=reason):
        create.sample(tmp_path / name, variant(described("waveform", GAUSSIAN, DENSE)), 2)


def test_samples_have_the_level_that_is_given(tmp_path, variant):
    trained = variant(described("mel", GAUSSIAN, DENSE))
    for level in (0.0, 10.0):
        create.sample(tmp_path / str(level), trained, 1, peak_db=level)
    quiet, loud = (soundfile.read(tmp_path / str(level) / "sample-0.wav")[0].std() for level in (0.0, 10.0))
    np.testing.assert_allclose(20 * np.log10(loud / quiet), 10, atol=0.2)


def test_the_level_is_that_of_the_data_where_they_are_there(tmp_path, variant):
    trained = variant(described("mel", GAUSSIAN, DENSE))
    assert trained.peak_db()[0] == USUAL_PEAK_DB and "no data" in trained.peak_db()[1]
    windows, tracks = tables(make_folder(tmp_path / "music", seconds=3.0))
    (tmp_path / "cache").mkdir()
    cache(tmp_path / "music", windows, tracks, MelConfig(sample_rate=RATE, bands=24), tmp_path / "cache" / "tiny")
    level, why = trained.peak_db()
    assert level != USUAL_PEAK_DB and -20 < level < 40 and "validation" in why


def test_a_perturbation_is_the_same_for_every_window_and_rises_with_its_scale(tmp_path, variant):
    trained = variant(described("waveform", {"type": "linear", "latent": 2000}))
    song = tmp_path / "tone.wav"
    soundfile.write(song, tone(3.0, RATE), RATE)
    found = {}
    for scale, seed in ((0.0, 0), (0.1, 0), (0.1, 1), (0.2, 0)):
        change = convert.perturb(trained, scale, seed)
        convert.convert(song, tmp_path / "out.wav", trained, change)
        found[scale, seed] = soundfile.read(tmp_path / "out.wav")[0] - tone(3.0, RATE)
    assert np.abs(found[0.0, 0]).max() < 1e-3
    moved = found[0.1, 0]
    np.testing.assert_allclose(moved[1000:2000], moved[2000:3000], atol=1e-3)  # windows begin every 1000 samples
    np.testing.assert_allclose(found[0.2, 0], 2 * moved, atol=1e-3)
    assert 0.005 < moved.std() < 0.02 and np.abs(moved - found[0.1, 1]).max() > 0.01


def test_transfer_knows_its_labels(tmp_path, variant, songs):
    trained = variant(described("mel", GAUSSIAN, DENSE, labels=("jazz", "rock")))
    trained.model.condition.offset[0], trained.model.condition.offset[1] = -0.2, 0.2
    found = []
    for source, target in (("jazz", "jazz"), ("jazz", "rock"), (None, "rock")):
        convert.convert(songs[0], tmp_path / "out.wav", trained, convert.transfer(trained, source, target))
        found.append(soundfile.read(tmp_path / "out.wav")[0].std())
    assert found[1] > 1.5 * found[0] and len(set(found)) == 3
    for options, reason in (
        ((None, "rokc"), r"--to rokc: .*did you mean 'rock'\? known are: jazz, rock"),
        (("polka", "rock"), "--from polka: .*known are: jazz, rock"),
    ):
        with pytest.raises(ParamsError, match=reason):
            convert.transfer(trained, *options)


def test_transfer_needs_a_condition_and_samples_a_latent(tmp_path, variant):
    with pytest.raises(ParamsError, match="--to rock: variant tiny knows no labels"):
        convert.transfer(variant(described("mel", GAUSSIAN, DENSE)), None, "rock")
    mean = variant(described("mel", {"type": "linear", "latent": 0}), "mean")
    for use in (
        lambda: create.sample(tmp_path / "out", mean, 1),
        lambda: create.interpolate((tmp_path, tmp_path), tmp_path / "out.wav", mean, 2),
        lambda: convert.perturb(mean, 1.0, 0),
    ):
        with pytest.raises(ParamsError, match="variant mean has no latent"):
            use()
    assert not (tmp_path / "out").exists()
