"""The table of latents."""

import numpy as np
import pytest
import soundfile
import torch

from pipeline.apply import encode, windows
from pipeline.apply.trained import load
from pipeline.core import arrays
from pipeline.core.errors import DataError, ParamsError
from tests.apply.variants import CONVOLUTION, DENSE, GAUSSIAN, VQ, described, save
from tests.recordings import chord

RATE = 4000


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "song.wav"
    soundfile.write(path, chord(0, 1.7, RATE), RATE)
    return path


def table(tmp_path, sources, description, **settings):
    save(tmp_path / "models", "tiny", description)
    trained = load(tmp_path / "models" / "tiny" / "seed-0", "cpu")
    made = encode.encode(sources, tmp_path / "out.parquet", trained, **settings)
    found = arrays.read(tmp_path / "out.parquet")
    assert (len(found), trained.model.latent_dims, ()) == (made.windows, made.latent_dims, made.notes)
    return found, trained


@pytest.mark.parametrize("kind", ["waveform", "mel"])
def test_a_row_for_each_window_of_each_file(tmp_path, song, kind):
    short = tmp_path / "short.flac"
    soundfile.write(short, chord(1, 0.2, 8000), 8000)
    found, trained = table(tmp_path, [song, short], described(kind, GAUSSIAN, DENSE))
    plain = found.to_pandas()
    assert plain["path"].tolist() == [str(song)] * 4 + [str(short)]
    np.testing.assert_allclose(plain["start_seconds"], [0, 0.5, 1.0, 1.5, 0], atol=1e-9)
    np.testing.assert_allclose(plain["seconds"], [0.5, 0.5, 0.5, 0.2, 0.2], atol=1e-9)
    latents = arrays.unpack(found, "latent")
    assert latents.shape == (5, 4) and latents.dtype == np.float32
    audio = soundfile.read(song, dtype="float32")[0]
    x, peaks = windows.represent([audio[2000:4000]], trained.representation)
    np.testing.assert_allclose(latents[1], trained.model.encode(x).mean[0].numpy(), atol=1e-5)
    assert ("peak_db" in plain) == (kind == "mel")
    if kind == "mel":
        np.testing.assert_allclose(plain["peak_db"][1], peaks[0], atol=1e-4)


@pytest.mark.parametrize(("hop", "starts"), [(0.25, [0, 0.25, 0.5, 0.75, 1.0, 1.25]), (0.8, [0, 0.8, 1.6]), (2.0, [0])])
def test_hop(tmp_path, song, hop, starts):
    found, _ = table(tmp_path, [song], described("waveform", GAUSSIAN, DENSE), hop=hop)
    np.testing.assert_allclose(found["start_seconds"].to_numpy(), starts)


def test_codes_and_level(tmp_path, song):
    found, trained = table(tmp_path, [song], described("mel", VQ, CONVOLUTION))
    codes = arrays.unpack(found, "codes")
    assert codes.shape == (4, trained.model.bottleneck.positions) and codes.dtype == np.int32
    again = trained.model.bottleneck.latents(torch.from_numpy(codes).long())
    np.testing.assert_allclose(again.numpy(), arrays.unpack(found, "latent"), atol=1e-6)


def test_the_level_by_which_waveforms_were_divided(tmp_path, song):
    found, _ = table(tmp_path, [song], described("waveform", GAUSSIAN, DENSE, scaling="peak"))
    audio = soundfile.read(song, dtype="float32")[0]
    expected = [np.abs(part).max() for part in np.split(audio, [2000, 4000, 6000])]
    np.testing.assert_allclose(found["level"].to_numpy(), expected, atol=1e-4)


def test_one_broken_file_leaves_no_table(tmp_path, song):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"nothing")
    before = set(tmp_path.iterdir())
    with pytest.raises(DataError, match=r"broken\.wav: undecodable"):
        table(tmp_path, [song, broken], described("waveform", GAUSSIAN, DENSE))
    assert set(tmp_path.iterdir()) - before == {tmp_path / "models"}


@pytest.mark.parametrize(
    ("settings", "reason"), [({"hop": 1e-6}, "less than one sample"), ({"label": "a"}, "knows no labels")]
)
def test_what_cannot_be_asked(tmp_path, song, settings, reason):
    with pytest.raises(ParamsError, match=reason):
        table(tmp_path, [song], described("waveform", GAUSSIAN, DENSE), **settings)


@pytest.mark.parametrize(("name", "reason"), [("", "a folder; name the audio files"), ("none.wav", "no such file")])
def test_a_folder_and_a_missing_file_are_refused(tmp_path, name, reason):
    with pytest.raises(ParamsError, match=reason):
        table(tmp_path, [tmp_path / name], described("waveform", GAUSSIAN, DENSE))


def test_a_variant_without_latent_is_refused(tmp_path, song):
    with pytest.raises(ParamsError, match="has no latent"):
        table(tmp_path, [song], described("waveform", {"type": "linear", "latent": 0}))


def test_a_diverged_model_is_named(tmp_path, song):
    save(tmp_path / "models", "tiny", described("waveform", GAUSSIAN, DENSE))
    trained = load(tmp_path / "models" / "tiny" / "seed-0", "cpu")
    torch.nn.init.constant_(next(trained.model.bottleneck.parameters()), torch.nan)
    with pytest.raises(DataError, match=r"tiny, seed 0: its latents are not finite"):
        encode.encode([song], tmp_path / "out.parquet", trained)
    assert not (tmp_path / "out.parquet").exists()
