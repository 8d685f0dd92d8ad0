"""The table of latents."""

import os

import numpy as np
import pytest
import soundfile
import torch

from pipeline.apply import encode, windows
from pipeline.apply.variant import load
from pipeline.core import arrays
from pipeline.core.errors import DataError, ParamsError
from tests.apply.variants import CONVOLUTION, DENSE, GAUSSIAN, RATE, VQ, describe, save
from tests.recordings import chord


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "song.wav"
    soundfile.write(path, chord(0, 1.7, RATE), RATE)
    return path


def encode_table(tmp_path, sources, description, **settings):
    save(tmp_path / "models", "tiny", description)
    variant = load(tmp_path / "models" / "tiny" / "seed-0", "cpu")
    result = encode.encode(sources, tmp_path / "out.parquet", variant, **settings)
    table = arrays.read(tmp_path / "out.parquet")
    assert (len(table), variant.model.latent_dims, ()) == (result.windows, result.latent_dims, result.notes)
    return table, variant


@pytest.mark.parametrize("kind", ["waveform", "mel"])
def test_a_row_for_each_window_of_each_file(tmp_path, song, kind):
    short = tmp_path / "short.flac"
    soundfile.write(short, chord(1, 0.2, 8000), 8000)
    table, variant = encode_table(tmp_path, [song, short], describe(kind, GAUSSIAN, DENSE))
    rows = table.to_pandas()
    assert rows["path"].tolist() == [str(song)] * 4 + [str(short)]
    np.testing.assert_allclose(rows["start_seconds"], [0, 0.5, 1.0, 1.5, 0], atol=1e-9)
    np.testing.assert_allclose(rows["seconds"], [0.5, 0.5, 0.5, 0.2, 0.2], atol=1e-9)
    latents = arrays.unpack(table, "latent")
    assert latents.shape == (5, 4) and latents.dtype == np.float32
    audio = soundfile.read(song, dtype="float32")[0]
    x, peaks_db = windows.represent([audio[2000:4000]], variant.representation)
    np.testing.assert_allclose(latents[1], variant.model.encode(x).mean[0].numpy(), atol=1e-5)
    assert ("peak_db" in rows) == (kind == "mel")
    if kind == "mel":
        np.testing.assert_allclose(rows["peak_db"][1], peaks_db[0], atol=1e-4)


@pytest.mark.parametrize(("hop", "starts"), [(0.25, [0, 0.25, 0.5, 0.75, 1.0, 1.25]), (0.8, [0, 0.8, 1.6]), (2.0, [0])])
def test_hop(tmp_path, song, hop, starts):
    table, _ = encode_table(tmp_path, [song], describe("waveform", GAUSSIAN, DENSE), hop=hop)
    np.testing.assert_allclose(table["start_seconds"].to_numpy(), starts)


def test_a_file_name_that_is_not_utf8_is_escaped(tmp_path, song):
    odd = tmp_path / os.fsdecode(b"\xff.wav")
    song.rename(odd)
    table, _ = encode_table(tmp_path, [odd], describe("waveform", GAUSSIAN, DENSE))
    assert set(table["path"].to_pylist()) == {f"{tmp_path}/\\xff.wav"}


def test_codes(tmp_path, song):
    table, variant = encode_table(tmp_path, [song], describe("mel", VQ, CONVOLUTION))
    codes = arrays.unpack(table, "codes")
    assert codes.shape == (4, variant.model.bottleneck.positions) and codes.dtype == np.int32
    latents = variant.model.bottleneck.latents(torch.from_numpy(codes).long())
    np.testing.assert_allclose(latents.numpy(), arrays.unpack(table, "latent"), atol=1e-6)


def test_the_gain_of_scaled_waveforms(tmp_path, song):
    table, _ = encode_table(tmp_path, [song], describe("waveform", GAUSSIAN, DENSE, scaling="peak"))
    audio = soundfile.read(song, dtype="float32")[0]
    expected = [np.abs(part).max() for part in np.split(audio, [2000, 4000, 6000])]
    np.testing.assert_allclose(table["level"].to_numpy(), expected, atol=1e-4)


def test_one_broken_file_leaves_no_table(tmp_path, song):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"nothing")
    before = set(tmp_path.iterdir())
    with pytest.raises(DataError, match=r"broken\.wav: undecodable"):
        encode_table(tmp_path, [song, broken], describe("waveform", GAUSSIAN, DENSE))
    assert set(tmp_path.iterdir()) - before == {tmp_path / "models"}


@pytest.mark.parametrize(
    ("name", "bottleneck", "settings", "reason"),
    [
        ("song.wav", GAUSSIAN, {"hop": 1e-6}, "less than one sample"),
        ("song.wav", GAUSSIAN, {"label": "a"}, "has no labels"),
        ("song.wav", {"type": "linear", "latent": 0}, {}, "has no latent"),
        ("", GAUSSIAN, {}, "a folder; name the audio files"),
        ("none.wav", GAUSSIAN, {}, "no such file"),
    ],
)
def test_wrong_arguments(tmp_path, song, name, bottleneck, settings, reason):
    network = DENSE if bottleneck is GAUSSIAN else None
    with pytest.raises(ParamsError, match=reason):
        encode_table(tmp_path, [tmp_path / name], describe("waveform", bottleneck, network), **settings)


def test_a_diverged_model_is_named(tmp_path, song):
    save(tmp_path / "models", "tiny", describe("waveform", GAUSSIAN, DENSE))
    variant = load(tmp_path / "models" / "tiny" / "seed-0", "cpu")
    torch.nn.init.constant_(next(variant.model.bottleneck.parameters()), torch.nan)
    with pytest.raises(DataError, match=r"tiny, seed 0: its latent is not finite"):
        encode.encode([song], tmp_path / "out.parquet", variant)
    assert not (tmp_path / "out.parquet").exists()
