"""Rows from outside: the exported originals score as perfect, other files as what they are, odd ones are refused."""

import json
import shutil

import numpy as np
import pytest
import soundfile

from pipeline.core.errors import DataError
from pipeline.metrics.config import EvaluateConfig
from pipeline.reference.codec import through_codec, write_codec
from pipeline.reference.external import export_windows, write_external
from pipeline.reference.read import read_reference
from pipeline.reference.write import write_reference
from tests.cache.make import make_cache
from tests.reference.test_reference import MEL, make_inputs

SETTINGS = EvaluateConfig(mel="common", examples=2, audio_windows=6, bootstrap=200)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The reference of some recordings, and the folder of the exported windows."""
    root = tmp_path_factory.mktemp("external")
    folder, windows, tracks = make_inputs(root)
    make_cache(folder, windows, tracks, MEL, root / "cache")
    (root / "reference").mkdir()
    write_reference(root / "reference", windows, tracks, folder, root / "cache", MEL, SETTINGS)
    ids = np.sort(windows.loc[windows["split"] == "test", "window_id"])
    (root / "exported").mkdir()
    assert export_windows(root / "exported", windows, tracks, folder, 16000) == len(ids)
    return root, read_reference(root / "reference", ids), ids


def score(project, folder, out, **kwargs):
    _, reference, _ = project
    write_external(out, folder, reference, 1.0, SETTINGS, kwargs.get("kbps"))
    return json.loads((out / "metrics.json").read_text())


def test_the_originals_are_the_test_windows(project, tmp_path):
    root, _, ids = project
    assert sorted(int(path.stem) for path in (root / "exported").iterdir()) == ids.tolist()
    metrics = score(project, root / "exported", tmp_path / "out", kbps=256.0)
    assert metrics["mel_mse"] < 1e-5 and metrics["audio_mel_distance"] < 0.3  # resampled twice
    assert metrics["audio_si_sdr"] > 20 and metrics["audio_loudness_difference"] < 0.05
    assert metrics["kbps"] == 256 and metrics["windows"] == len(ids) and metrics["mse"] is None


def test_an_external_row_of_a_codec_equals_its_own_row(project, tmp_path):
    """At another rate and in stereo, so the external way does its own resampling and mixing."""
    root, reference, ids = project
    rate = MEL.sample_rate
    write_codec(tmp_path / "codec", reference, SETTINGS, "opus", 14)
    own = json.loads((tmp_path / "codec" / "metrics.json").read_text())
    assert own["mel_mse"] is None and own["kbps"] == pytest.approx(14, rel=0.1) and own["windows"] == 6 < len(ids)
    folder = tmp_path / "files"
    shutil.copytree(root / "exported", folder)
    for audio, window_id in zip(reference.audio, ids[reference.audio_rows], strict=True):
        decoded, _ = through_codec(audio, rate, "opus", 14)
        stereo = np.stack([decoded * 1.5, decoded * 0.5], axis=1)
        soundfile.write(folder / f"{window_id}.wav", stereo, rate, subtype="FLOAT")
    external = score(project, folder, tmp_path / "external")
    for name in ("audio_mel_distance", "audio_stft_distance", "audio_si_sdr", "audio_log_spectral_distance"):
        assert external[name] == pytest.approx(own[name], rel=1e-3), name
        assert external[f"{name}_low"] <= external[name] <= external[f"{name}_high"]
    assert external["mel_mse"] > 1e-4 and external["kbps"] is None


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda path: path.unlink(), r"\d+\.wav: missing; 1 of \d+ test windows have no file; `melisma export-test`"),
        (lambda path: path.with_name("99.wav").touch(), r"99\.wav: no such test window; after a change of the data"),
        (lambda path: path.write_bytes(b"text"), r"\d+\.wav: unreadable \("),
        (
            lambda path: soundfile.write(path, np.zeros(9000), 16000),
            r"wav: 0\.56 s, but a window has 1 s; it may differ by 0\.1 s",
        ),
        (
            lambda path: soundfile.write(path, np.full(16000, np.nan), 16000, "FLOAT"),
            r"wav: it has values that",
        ),
    ],
)
def test_unusable_files_are_named(project, tmp_path, change, error):
    root, _, ids = project
    shutil.copytree(root / "exported", tmp_path / "files")
    change(tmp_path / "files" / f"{ids[-1]}.wav")
    with pytest.raises(DataError, match=error):
        score(project, tmp_path / "files", tmp_path / "out")


def test_a_missing_folder_is_named(project, tmp_path):
    with pytest.raises(DataError, match=r"absent: no such folder; reference\.external in params\.yaml names it"):
        score(project, tmp_path / "absent", tmp_path / "out")
