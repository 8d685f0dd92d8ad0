"""A recording through a model and back: length, rate, level, and what is heard where windows meet."""

import tracemalloc

import numpy as np
import pytest
import soundfile
import torch

from pipeline.apply import convert, output, synthesis, windows
from pipeline.audio import inversion
from pipeline.audio.mel import LogMel
from pipeline.audio.representation import WaveformConfig
from pipeline.audio.scale import to_unit
from pipeline.cache.plan import Piece, Row, Shard
from pipeline.cache.shard import Rows
from pipeline.core.errors import DataError, MelismaError, ParamsError
from tests.apply.variants import CONFIGS, MEL, SECONDS, WAVEFORM, Disagreeing, Diverged, Same, stand_in
from tests.recordings import chord, tone

RATE = 4000
HOP = RATE * SECONDS / 2  # from window to window


def recording(path, audio, rate=RATE, **settings):
    soundfile.write(path, audio, rate, **settings)
    return path


def through(model, config, audio):
    """The audio at RATE after the model, as long as it was."""
    trained = stand_in(model, config)
    found = np.concatenate(list(convert.through(trained, [audio], convert.reconstruct(trained))))
    assert len(found) >= len(audio)
    return found[: len(audio)]


def steps(audio):
    """Largest change of the slope where windows begin or end, and elsewhere: a click is one that stands out."""
    change = np.abs(np.diff(audio, 2))
    near = np.zeros(len(change), bool)
    for border in np.arange(0, len(change), HOP).astype(int):
        near[max(0, border - 64) : border + 64] = True
    inner = slice(RATE // 2, -RATE // 2)
    return change[inner][near[inner]].max(), change[inner][~near[inner]].max()


def test_a_click_would_be_found():
    audio = tone(4.0, RATE)
    audio[round(2 * HOP) + 3 :] *= -1  # where the tone is not at zero
    near, away = steps(audio)
    assert near > 1.5 * away


def noise(seconds, level=0.1):
    return (level * np.random.default_rng(0).standard_normal(round(seconds * RATE))).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.1, 0.3, 0.5, 0.75, 0.76, 1.25, 5.0])
def test_a_model_that_changes_nothing_gives_back_the_waveform(seconds):
    audio = chord(0, seconds, RATE)
    np.testing.assert_allclose(through(Same(), WAVEFORM, audio), audio, atol=1 / 32767)


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("signal", ["sine", "noise"])
def test_no_step_between_samples_is_larger_where_windows_meet(kind, signal, monkeypatch):
    monkeypatch.setattr(synthesis, "BLOCK_SECONDS", 3.0)  # so that blocks of a mel meet too
    audio = tone(12.0, RATE) if signal == "sine" else noise(12.0)
    found = through(Same(), CONFIGS[kind], audio)
    near, away = steps(found)
    assert near <= 1.1 * away


@pytest.mark.parametrize("kind", CONFIGS)
def test_windows_that_disagree_neither_click_nor_waver(kind):
    found = through(Disagreeing(), CONFIGS[kind], noise(60.0))[int(4 * HOP) : int(116 * HOP)]
    power = np.square(found).reshape(-1, 10, int(HOP) // 10).mean((0, 2))  # by the place between two borders
    assert np.ptp(10 * np.log10(power)) < 1.0
    near, away = steps(found)
    assert near <= 1.1 * away


def test_the_mel_of_overlapping_windows_is_that_of_the_recording():
    audio = noise(5.0)
    trained = stand_in(Same(), MEL)
    frames = MEL.shape(SECONDS)[1]
    overlap = frames // 2
    batches = windows.batches(trained, [audio], (frames - overlap) * MEL.hop_length)
    levels = [w for b in batches for w in windows.restore(b.x, b.peaks, trained)]
    found = np.concatenate(list(synthesis.join.joined(levels, overlap, synthesis.join.levels)), axis=1)
    whole = LogMel(RATE, MEL.n_fft, MEL.hop_length, MEL.bands)(audio).numpy()
    assert np.abs(found[:, : whole.shape[1]] - whole)[:, 2:-3].max() < 0.5  # dB


def test_a_mel_comes_back_as_sound_of_the_same_level_and_pitch():
    audio = tone(3.0, RATE)
    found = through(Same(), MEL, audio)[RATE:-RATE]
    assert abs(20 * np.log10(found.std() / audio.std())) < 1.5
    spectrum = np.abs(np.fft.rfft(found * np.hanning(len(found))))
    assert abs(spectrum.argmax() * RATE / len(found) - 440) < 40  # the bands are so wide


@pytest.mark.parametrize("kind", CONFIGS)
def test_windows_are_bit_for_bit_those_of_the_cache(kind):
    config, audio = CONFIGS[kind], chord(3, SECONDS, RATE)
    rows = Rows(Shard("", "test", SECONDS, ()), config, SECONDS)
    stored = rows.represent(Piece("", "", "", ()), Row(0, 0.0, SECONDS, 1), audio)
    x, peaks = windows.represent([audio, audio], config)
    expected = to_unit(torch.from_numpy(stored[kind]).float(), kind)
    assert x.shape == (2, 1, *config.shape(SECONDS))
    assert torch.equal(x[1, 0], expected)
    assert peaks[1] == stored.get("peak_db", 0)


@pytest.mark.parametrize(
    ("length", "expected"),
    [(1, [1]), (999, [999]), (1000, [1000]), (1001, [1000, 501]), (1500, [1000, 1000]), (1501, [1000, 1000, 501])],
)
def test_windows_reach_the_end_and_no_further(length, expected):
    trained = stand_in(Same(), WaveformConfig(sample_rate=1000), 1.0)
    found = list(windows.batches(trained, [np.ones(length, np.float32)], 500))
    assert np.concatenate([batch.filled for batch in found]).tolist() == expected
    assert np.concatenate([batch.starts for batch in found]).tolist() == [500 * i for i in range(len(expected))]


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize(
    ("rate", "channels", "seconds"), [(8000, 1, 0.3), (22050, 2, 0.5), (44100, 6, 1.25), (48000, 1, 1.0)]
)
def test_the_result_has_the_length_and_rate_of_the_recording(tmp_path, kind, rate, channels, seconds):
    audio = chord(0, seconds, rate)
    path = recording(tmp_path / "in.wav", np.stack([audio] * channels, axis=1), rate)
    trained = stand_in(Same(), CONFIGS[kind])
    made = convert.convert(path, tmp_path / "out.wav", trained, convert.reconstruct(trained))
    found, found_rate = soundfile.read(tmp_path / "out.wav", dtype="float32")
    assert (len(found), found_rate) == (len(audio), rate)
    assert soundfile.info(tmp_path / "out.wav").subtype == "PCM_16"
    assert (made.seconds, made.rate, made.reach_hz) == (len(audio) / rate, rate, 2000)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.wav", "out.wav"]
    if kind == "waveform":  # below the representation's own limit it is the recording, in place
        spectra = [np.fft.rfft(signal)[: int(0.85 * 2000 * seconds)] for signal in (audio, found)]
        assert np.abs(spectra[0] - spectra[1]).max() < 0.02 * np.abs(spectra[0]).max()


@pytest.mark.parametrize("suffix", ["flac", "ogg", "aiff", "mp3"])
def test_any_format(tmp_path, suffix):
    path = recording(tmp_path / f"in.{suffix}", tone(1.0, 22050), 22050)
    trained = stand_in(Same(), WAVEFORM)
    convert.convert(path, tmp_path / "out.wav", trained, convert.reconstruct(trained))
    assert abs(soundfile.info(tmp_path / "out.wav").duration - 1.0) < 0.1  # an MP3 is longer by what its encoder adds


@pytest.mark.parametrize("kind", CONFIGS)
def test_an_hour_fits_in_little_memory(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(inversion, "mel_to_audio", lambda *given: np.zeros(given[3], np.float32))
    rate, seconds = 1000, 3600
    audio = np.zeros(rate * seconds, np.float32)
    audio[rate * 1800 :][: 10 * rate] = tone(10.0, rate, 100.0)
    path = recording(tmp_path / "hour.wav", audio, rate)
    config = CONFIGS[kind].model_copy(update={"sample_rate": rate})
    trained = stand_in(Same(), config, 5.0)
    del audio
    tracemalloc.start()
    convert.convert(path, tmp_path / "out.wav", trained, convert.reconstruct(trained))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * 2**20  # the samples alone are 14 MB, and twice that was read at once
    found = soundfile.read(tmp_path / "out.wav", dtype="float32")[0]
    assert len(found) == rate * seconds
    if kind == "waveform":
        assert found[rate * 1800 :][: 10 * rate].std() > 0.3 and not found[: rate * 1790].any()


def test_what_would_clip_is_turned_down_and_said(tmp_path):
    class Louder(Same):
        def reconstruct(self, x, label):
            return 4 * x

    path = recording(tmp_path / "in.wav", tone(1.0, RATE))
    trained = stand_in(Louder(), WAVEFORM)
    made = convert.convert(path, tmp_path / "out.wav", trained, convert.reconstruct(trained))
    found = soundfile.read(tmp_path / "out.wav")[0]
    assert abs(np.abs(found).max() - output.PEAK) < 1e-3
    np.testing.assert_allclose(made.gain_db, 20 * np.log10(output.PEAK / 2), atol=0.01)
    np.testing.assert_allclose(found, tone(1.0, RATE) * 2 * output.PEAK, atol=1e-3)


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_diverged_model_is_named_and_leaves_nothing(tmp_path, kind):
    path = recording(tmp_path / "in.wav", tone(1.0, RATE))
    trained = stand_in(Diverged(), CONFIGS[kind])
    with pytest.raises(DataError, match=r"stand_in, seed 0.*not finite"):
        convert.convert(path, tmp_path / "out.wav", trained, convert.reconstruct(trained))
    assert [file.name for file in tmp_path.iterdir()] == ["in.wav"]


def test_a_file_that_cannot_be_decoded_leaves_nothing_and_what_was_there(tmp_path):
    (tmp_path / "in.wav").write_bytes(b"no audio at all")
    (tmp_path / "out.wav").write_bytes(b"older")
    trained = stand_in(Same(), WAVEFORM)
    with pytest.raises(DataError, match=r"in\.wav: undecodable"):
        convert.convert(tmp_path / "in.wav", tmp_path / "out.wav", trained, convert.reconstruct(trained))
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()}["out.wav"] == b"older"
    assert len(list(tmp_path.iterdir())) == 2


def test_targets_that_cannot_be(tmp_path):
    path = recording(tmp_path / "in.wav", tone(0.1, RATE))
    (tmp_path / "link.wav").symlink_to(path)
    (tmp_path / "folder.wav").mkdir()
    for name, reason in {
        "out.mp3": "a .wav file",
        "in.wav": "that is the input",
        "link.wav": "that is the input",
        "folder.wav": "a folder",
        "none/out.wav": "there is no folder",
    }.items():
        with pytest.raises(ParamsError, match=reason):
            output.check(tmp_path / name, ".wav", [path])
    output.check(tmp_path / "OUT.WAV", ".wav", [path])


def test_a_link_stays_one_and_its_file_is_written(tmp_path):
    path = recording(tmp_path / "in.wav", tone(0.1, RATE))
    (tmp_path / "link.wav").symlink_to(tmp_path / "real.wav")
    trained = stand_in(Same(), WAVEFORM)
    convert.convert(path, tmp_path / "link.wav", trained, convert.reconstruct(trained))
    assert (tmp_path / "link.wav").is_symlink() and soundfile.info(tmp_path / "real.wav").frames == 400


def test_a_folder_that_may_not_be_written_is_named(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    path = recording(tmp_path / "in.wav", tone(0.1, RATE))
    monkeypatch.setattr(output, "TemporaryFile", refuse)
    trained = stand_in(Same(), WAVEFORM)
    with pytest.raises(MelismaError, match=r"out\.wav: cannot be written: Permission denied"):
        convert.convert(path, tmp_path / "out.wav", trained, convert.reconstruct(trained))
