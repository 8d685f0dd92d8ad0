"""Interpolations, samples, perturbations and transfers with tiny variants."""

import numpy as np
import pytest
import soundfile

from pipeline.apply import convert, generate
from pipeline.apply.variant import DEFAULT_PEAK_DB, load
from pipeline.audio.representation import MelConfig
from pipeline.audio.resample import resample
from pipeline.core.errors import ParamsError
from tests.apply.variants import CONVOLUTION, DENSE, GAUSSIAN, RATE, VQ, describe, save
from tests.cache.make import make_cache, make_tables
from tests.recordings import chord, make_folder, tone


@pytest.fixture
def load_saved(tmp_path):
    def save_and_load(description, name="tiny"):
        save(tmp_path / "models", name, description)
        return load(tmp_path / "models" / name / "seed-0", "cpu")

    return save_and_load


@pytest.fixture
def songs(tmp_path):
    paths = tmp_path / "a.wav", tmp_path / "b.wav"
    for number, (path, rate) in enumerate(zip(paths, (8000, 44100), strict=True)):
        soundfile.write(path, chord(number, 2.0, rate), rate)
    return paths


@pytest.mark.parametrize("mode", ["linear", "slerp"])
@pytest.mark.parametrize("kind", ["waveform", "mel"])
def test_an_interpolation_is_as_long_as_its_steps(tmp_path, load_saved, songs, kind, mode):
    variant = load_saved(describe(kind, GAUSSIAN, DENSE))
    file = generate.interpolate(songs, tmp_path / "out.wav", variant, 4, mode)
    audio, rate = soundfile.read(tmp_path / "out.wav")
    assert rate == 8000
    assert abs(len(audio) / rate - (4 * 0.5 - 3 * 0.1)) < 0.05
    assert file.seconds == len(audio) / rate


def test_an_interpolation_begins_and_ends_with_the_given_windows(tmp_path, load_saved, songs):
    variant = load_saved(describe("waveform"))  # returns its input
    generate.interpolate(songs, tmp_path / "out.wav", variant, 3, at=(1.0, 0.5))
    audio = soundfile.read(tmp_path / "out.wav")[0]
    for path, start, part in ((songs[0], 1.0, slice(None, 3000)), (songs[1], 0.5, slice(-3000, None))):
        recording, rate = soundfile.read(path, dtype="float32")
        window = resample(recording, rate, RATE)[round(start * RATE) :][: RATE // 2]
        expected = resample(window, RATE, 8000)[part]
        assert np.abs(audio[part] - expected)[300:-300].max() < 0.01


def test_an_interpolation_from_beyond_the_end_is_refused(tmp_path, load_saved, songs):
    with pytest.raises(ParamsError, match=r"--at 2\.5: .*a\.wav ends after 2\.00 s"):
        generate.interpolate(songs, tmp_path / "out.wav", load_saved(describe("waveform")), 3, at=(2.5, 0))
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize(
    ("kind", "bottleneck", "network"),
    [
        ("waveform", GAUSSIAN, DENSE),
        ("mel", GAUSSIAN, DENSE),
        ("mel", VQ, CONVOLUTION),
        ("waveform", {"type": "linear", "latent": 3}, None),
    ],
)
def test_the_same_random_seed_gives_the_same_samples(tmp_path, load_saved, kind, bottleneck, network):
    variant = load_saved(describe(kind, bottleneck, network))
    if bottleneck["type"] == "linear":
        variant.model.bottleneck.components.normal_()
        variant.model.bottleneck.std.fill_(0.05)
    number = 17 if kind == "waveform" else 2  # more than a batch
    contents = []
    for seed in (5, 5, 6):
        files = generate.sample(tmp_path / "out", variant, number, seed, None, DEFAULT_PEAK_DB)
        paths = [tmp_path / "out" / f"sample-{i}.wav" for i in range(number)]
        assert [file.path for file in files] == list(map(str, paths))
        contents.append([path.read_bytes() for path in paths])
    assert contents[0] == contents[1] and contents[0] != contents[2]
    assert len(set(contents[0])) > 1
    info = soundfile.info(tmp_path / "out" / "sample-0.wav")
    assert (info.samplerate, info.frames) == (8000, 4000)  # browsers play nothing slower


def test_samples_leave_other_files_alone(tmp_path, load_saved):
    variant = load_saved(describe("waveform", GAUSSIAN, DENSE))
    (tmp_path / "out").mkdir()
    for name in ("sample-0.wav", "mine.txt"):
        (tmp_path / "out" / name).write_text("older")
    generate.sample(tmp_path / "out", variant, 2)
    assert (tmp_path / "out" / "mine.txt").read_text() == "older"
    assert soundfile.info(tmp_path / "out" / "sample-0.wav").frames == 4000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["models", "out"]


@pytest.mark.parametrize(("name", "reason"), [("file", "a file; name a folder"), ("none/out", "there is no folder")])
def test_an_invalid_folder_for_samples(tmp_path, load_saved, name, reason):
    (tmp_path / "file").write_text("")
    with pytest.raises(ParamsError, match=reason):
        generate.sample(tmp_path / name, load_saved(describe("waveform", GAUSSIAN, DENSE)), 2)


def test_samples_have_the_given_peak(tmp_path, load_saved):
    variant = load_saved(describe("mel", GAUSSIAN, DENSE))
    loudness = []
    for peak_db in (0.0, 10.0):
        generate.sample(tmp_path / "out", variant, 1, peak_db=peak_db)
        loudness.append(soundfile.read(tmp_path / "out" / "sample-0.wav")[0].std())
    np.testing.assert_allclose(20 * np.log10(loudness[1] / loudness[0]), 10, atol=0.2)


def test_the_typical_peak_is_that_of_the_training_data_if_they_exist(tmp_path, load_saved):
    variant = load_saved(describe("mel", GAUSSIAN, DENSE))
    assert variant.typical_peak_db()[0] == DEFAULT_PEAK_DB and "not here" in variant.typical_peak_db()[1]
    windows, tracks = make_tables(make_folder(tmp_path / "music", seconds=3.0))
    (tmp_path / "cache").mkdir()
    make_cache(tmp_path / "music", windows, tracks, MelConfig(sample_rate=RATE, bands=24), tmp_path / "cache" / "tiny")
    peak_db, origin = variant.typical_peak_db()
    assert peak_db != DEFAULT_PEAK_DB and -20 < peak_db < 40 and "validation" in origin


def test_a_perturbation_is_equal_for_all_windows_and_grows_with_its_scale(tmp_path, load_saved):
    variant = load_saved(describe("waveform", {"type": "linear", "latent": 2000}))
    song = tmp_path / "tone.wav"
    soundfile.write(song, tone(3.0, RATE), RATE)
    change = {}
    for scale, seed in ((0.0, 0), (0.1, 0), (0.1, 1), (0.2, 0)):
        convert.convert(song, tmp_path / "out.wav", variant, convert.perturb(variant, scale, seed))
        change[scale, seed] = soundfile.read(tmp_path / "out.wav")[0] - tone(3.0, RATE)
    assert np.abs(change[0.0, 0]).max() < 1e-3
    small = change[0.1, 0]
    np.testing.assert_allclose(small[1000:2000], small[2000:3000], atol=1e-3)  # windows begin every 1000 samples
    np.testing.assert_allclose(change[0.2, 0], 2 * small, atol=1e-3)
    assert 0.005 < small.std() < 0.02 and np.abs(small - change[0.1, 1]).max() > 0.01


def test_transfer_between_labels(tmp_path, load_saved, songs):
    variant = load_saved(describe("mel", GAUSSIAN, DENSE, labels=("jazz", "rock")))
    variant.model.condition.offset[0], variant.model.condition.offset[1] = -0.2, 0.2
    loudness = []
    for source, target in (("jazz", "jazz"), ("jazz", "rock"), (None, "rock")):
        convert.convert(songs[0], tmp_path / "out.wav", variant, convert.transfer(variant, source, target))
        loudness.append(soundfile.read(tmp_path / "out.wav")[0].std())
    assert loudness[1] > 1.5 * loudness[0] and len(set(loudness)) == 3
    for labels, reason in (
        ((None, "rokc"), r"--to rokc: .*did you mean 'rock'\?"),
        (("polka", "rock"), "--from polka: .*known are: jazz, rock"),
    ):
        with pytest.raises(ParamsError, match=reason):
            convert.transfer(variant, *labels)


def test_transfer_needs_labels_and_other_commands_a_latent(tmp_path, load_saved):
    with pytest.raises(ParamsError, match="--to rock: variant tiny has no labels"):
        convert.transfer(load_saved(describe("mel", GAUSSIAN, DENSE)), None, "rock")
    mean = load_saved(describe("mel", {"type": "linear", "latent": 0}), "mean")
    for command in (
        lambda: generate.sample(tmp_path / "out", mean, 1),
        lambda: generate.interpolate((tmp_path, tmp_path), tmp_path / "out.wav", mean, 2),
        lambda: convert.perturb(mean, 1.0, 0),
    ):
        with pytest.raises(ParamsError, match="variant mean has no latent"):
            command()
    assert not (tmp_path / "out").exists()
