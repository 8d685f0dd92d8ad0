"""A recording through a model and back: length, rate, loudness, and no click where windows meet."""

import tracemalloc

import numpy as np
import pytest
import soundfile
import torch

from pipeline.apply import convert, output, synthesis, windows
from pipeline.apply.arguments import check_output
from pipeline.audio import griffin_lim
from pipeline.audio.mel import LogMel
from pipeline.audio.representation import WaveformConfig
from pipeline.audio.scale import to_unit
from pipeline.cache.plan import Row, Shard, TrackRows
from pipeline.cache.shard import RowEncoder
from pipeline.core.errors import DataError, MelismaError, ParamsError
from tests.apply.variants import CONFIGS, MEL, RATE, SECONDS, WAVEFORM, Diverged, Identity, Noise, stand_in
from tests.recordings import chord, tone

HOP = RATE * SECONDS / 2  # from window to window


def reconstruct_file(tmp_path, audio, model, config=WAVEFORM, rate=RATE, seconds=SECONDS):
    """Write `audio` to in.wav, convert it to out.wav, and return the description and the samples of that file."""
    soundfile.write(tmp_path / "in.wav", audio, rate)
    variant = stand_in(model, config, seconds)
    file = convert.convert(tmp_path / "in.wav", tmp_path / "out.wav", variant, convert.reconstruct(variant))
    return file, soundfile.read(tmp_path / "out.wav", dtype="float32")[0]


def reconstruct_audio(model, config, audio):
    """The audio at RATE through the model, cut to its length."""
    variant = stand_in(model, config)
    result = np.concatenate(list(convert.transform_audio(variant, [audio], convert.reconstruct(variant))))
    assert len(result) >= len(audio)
    return result[: len(audio)]


def largest_steps(audio):
    """Largest change of the slope where windows begin or end, and elsewhere: a click stands out."""
    change = np.abs(np.diff(audio, 2))
    near = np.zeros(len(change), bool)
    for border in np.arange(0, len(change), HOP).astype(int):
        near[max(0, border - 64) : border + 64] = True
    inner = slice(RATE // 2, -RATE // 2)
    return change[inner][near[inner]].max(), change[inner][~near[inner]].max()


def white_noise(seconds):
    return (0.1 * np.random.default_rng(0).standard_normal(round(seconds * RATE))).astype(np.float32)


def test_these_tests_would_find_a_click():
    audio = tone(4.0, RATE)
    audio[round(2 * HOP) + 3 :] *= -1  # where the tone is not at zero
    near, away = largest_steps(audio)
    assert near > 1.5 * away


@pytest.mark.parametrize("seconds", [0.1, 0.5, 0.76, 5.0])
def test_the_identity_returns_the_waveform(seconds):
    audio = chord(0, seconds, RATE)
    np.testing.assert_allclose(reconstruct_audio(Identity(), WAVEFORM, audio), audio, atol=1 / 32767)


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("audio", [tone(12.0, RATE), white_noise(12.0)], ids=["sine", "noise"])
def test_windows_meet_without_a_click(kind, audio, monkeypatch):
    monkeypatch.setattr(synthesis, "MEL_BLOCK_SECONDS", 3.0)  # so that blocks of a mel meet too
    near, away = largest_steps(reconstruct_audio(Identity(), CONFIGS[kind], audio))
    assert near <= 1.1 * away


@pytest.mark.parametrize("kind", CONFIGS)
def test_unlike_windows_neither_click_nor_waver(kind):
    audio = reconstruct_audio(Noise(), CONFIGS[kind], white_noise(60.0))[int(4 * HOP) : int(116 * HOP)]
    power = np.square(audio).reshape(-1, 10, int(HOP) // 10).mean((0, 2))  # by the position between two borders
    assert np.ptp(10 * np.log10(power)) < 1.0
    near, away = largest_steps(audio)
    assert near <= 1.1 * away


def test_joined_mel_windows_equal_the_mel_of_the_recording():
    audio = white_noise(5.0)
    variant = stand_in(Identity(), MEL)
    overlap = variant.positions // 2
    batches = windows.batches(variant, [audio], (variant.positions - overlap) * MEL.hop_length)
    mels_db = [mel for batch in batches for mel in windows.restore(batch.x, batch.peaks_db, variant)]
    joined = np.concatenate(list(synthesis.join(mels_db, overlap, synthesis.crossfade_mel)), axis=1)
    expected = LogMel(MEL)(audio).numpy()
    assert np.abs(joined[:, : expected.shape[1]] - expected)[:, 2:-3].max() < 0.5  # dB


def test_an_inverted_mel_keeps_loudness_and_pitch():
    audio = tone(3.0, RATE)
    result = reconstruct_audio(Identity(), MEL, audio)[RATE:-RATE]
    assert abs(20 * np.log10(result.std() / audio.std())) < 1.5
    spectrum = np.abs(np.fft.rfft(result * np.hanning(len(result))))
    assert abs(spectrum.argmax() * RATE / len(result) - 440) < 40  # the bands are so wide


@pytest.mark.parametrize("kind", CONFIGS)
def test_windows_equal_the_cache_bit_for_bit(kind):
    config, audio = CONFIGS[kind], chord(3, SECONDS, RATE)
    encoder = RowEncoder(Shard("", "test", SECONDS, ()), config, SECONDS)
    stored = encoder.encode(TrackRows("", "", "", ()), Row(0, 0.0, SECONDS, 1), audio)
    x, peaks_db = windows.represent([audio, audio], config)
    assert x.shape == (2, 1, *config.shape(SECONDS))
    assert torch.equal(x[1, 0], to_unit(torch.from_numpy(stored[kind]).float(), kind))
    assert peaks_db[1] == stored.get("peak_db", 0)


@pytest.mark.parametrize(
    ("length", "expected"),
    [(1, [1]), (1000, [1000]), (1001, [1000, 501]), (1500, [1000, 1000]), (1501, [1000, 1000, 501])],
)
def test_windows_end_with_the_recording(length, expected):
    variant = stand_in(Identity(), WaveformConfig(sample_rate=1000), 1.0)
    batches = list(windows.batches(variant, [np.ones(length, np.float32)], 500))
    assert np.concatenate([batch.lengths for batch in batches]).tolist() == expected
    assert np.concatenate([batch.starts for batch in batches]).tolist() == [500 * i for i in range(len(expected))]


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize(("rate", "channels", "seconds"), [(8000, 1, 0.3), (22050, 2, 0.5), (44100, 6, 1.25)])
def test_the_result_has_the_length_and_rate_of_the_recording(tmp_path, kind, rate, channels, seconds):
    audio = chord(0, seconds, rate)
    file, result = reconstruct_file(tmp_path, np.stack([audio] * channels, axis=1), Identity(), CONFIGS[kind], rate)
    info = soundfile.info(tmp_path / "out.wav")
    assert (len(result), info.samplerate, info.subtype) == (len(audio), rate, "PCM_16")
    assert (file.seconds, file.rate, file.bandwidth_hz) == (len(audio) / rate, rate, 2000)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.wav", "out.wav"]
    if kind == "waveform":  # equal below the highest frequency of the representation
        spectra = [np.fft.rfft(signal)[: int(0.85 * 2000 * seconds)] for signal in (audio, result)]
        assert np.abs(spectra[0] - spectra[1]).max() < 0.02 * np.abs(spectra[0]).max()


@pytest.mark.parametrize("suffix", ["flac", "ogg", "aiff", "mp3"])
def test_any_format(tmp_path, suffix):
    soundfile.write(tmp_path / f"in.{suffix}", tone(1.0, 22050), 22050)
    variant = stand_in(Identity(), WAVEFORM)
    convert.convert(tmp_path / f"in.{suffix}", tmp_path / "out.wav", variant, convert.reconstruct(variant))
    assert abs(soundfile.info(tmp_path / "out.wav").duration - 1.0) < 0.1  # an MP3 encoder adds some samples


@pytest.mark.parametrize("kind", CONFIGS)
def test_an_hour_fits_in_little_memory(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(griffin_lim, "mel_to_audio", lambda *given: np.zeros(given[3], np.float32))
    rate, seconds = 1000, 3600
    audio = np.zeros(rate * seconds, np.float32)
    audio[rate * 1800 :][: 10 * rate] = tone(10.0, rate, 100.0)
    soundfile.write(tmp_path / "in.wav", audio, rate)
    variant = stand_in(Identity(), CONFIGS[kind].model_copy(update={"sample_rate": rate}), 5.0)
    del audio
    tracemalloc.start()
    convert.convert(tmp_path / "in.wav", tmp_path / "out.wav", variant, convert.reconstruct(variant))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * 2**20  # the samples take 14 MB, and twice that if the file is read at once
    result = soundfile.read(tmp_path / "out.wav", dtype="float32")[0]
    assert len(result) == rate * seconds
    if kind == "waveform":
        assert result[rate * 1800 :][: 10 * rate].std() > 0.3 and not result[: rate * 1790].any()


def test_audio_that_would_clip_is_turned_down(tmp_path):
    class Louder(Identity):
        def reconstruct(self, x, label):
            return 4 * x

    file, result = reconstruct_file(tmp_path, tone(1.0, RATE), Louder())
    assert abs(np.abs(result).max() - output.PEAK) < 1e-3
    np.testing.assert_allclose(file.gain_db, 20 * np.log10(output.PEAK / 2), atol=0.01)
    np.testing.assert_allclose(result, tone(1.0, RATE) * 2 * output.PEAK, atol=1e-3)


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_diverged_model_is_named_and_leaves_no_file(tmp_path, kind):
    with pytest.raises(DataError, match=r"stand_in, seed 0.*not finite"):
        reconstruct_file(tmp_path, tone(1.0, RATE), Diverged(), CONFIGS[kind])
    assert [path.name for path in tmp_path.iterdir()] == ["in.wav"]


def test_an_undecodable_input_leaves_the_old_output(tmp_path):
    (tmp_path / "in.wav").write_bytes(b"no audio at all")
    (tmp_path / "out.wav").write_bytes(b"older")
    variant = stand_in(Identity(), WAVEFORM)
    with pytest.raises(DataError, match=r"in\.wav: undecodable"):
        convert.convert(tmp_path / "in.wav", tmp_path / "out.wav", variant, convert.reconstruct(variant))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()}["out.wav"] == b"older"
    assert len(list(tmp_path.iterdir())) == 2


def test_invalid_outputs(tmp_path):
    soundfile.write(tmp_path / "in.wav", tone(0.1, RATE), RATE)
    (tmp_path / "link.wav").symlink_to(tmp_path / "in.wav")
    (tmp_path / "folder.wav").mkdir()
    for name, reason in {
        "out.mp3": "a .wav file",
        "in.wav": "that is the input",
        "link.wav": "that is the input",
        "folder.wav": "a folder",
        "none/out.wav": "there is no folder",
    }.items():
        with pytest.raises(ParamsError, match=reason):
            check_output(tmp_path / name, ".wav", [tmp_path / "in.wav"])
    check_output(tmp_path / "OUT.WAV", ".wav", [tmp_path / "in.wav"])


def test_an_output_that_is_a_link_stays_one(tmp_path):
    (tmp_path / "out.wav").symlink_to(tmp_path / "real.wav")
    reconstruct_file(tmp_path, tone(0.1, RATE), Identity())
    assert (tmp_path / "out.wav").is_symlink() and soundfile.info(tmp_path / "real.wav").frames == 400


def test_a_folder_without_permission_is_named(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(output, "TemporaryFile", refuse)
    with pytest.raises(MelismaError, match=r"out\.wav: cannot be written: Permission denied"):
        reconstruct_file(tmp_path, tone(0.1, RATE), Identity())
