"""Train rows with spans of several windows, compared with rows of single windows."""

import dataclasses

import numpy as np
import pytest
import soundfile
import torch

from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.audio.scale import below_peak, to_unit
from pipeline.dataset.loader import ResidentLoader
from pipeline.dataset.split import Split, read_split
from tests.cache.make import make_cache, make_tables
from tests.recordings import make_folder

MEL = MelConfig(sample_rate=8000, n_fft=512, hop_length=250, bands=32)  # 32 frames in a second
WAVE = WaveformConfig(sample_rate=3000)
EDGE = 2  # frames at either end of a window that contain samples beyond it: half of n_fft is 256 samples
CPU = torch.device("cpu")


@pytest.fixture
def both(tmp_path):
    """A function that makes the train split as single windows and as spans."""
    root = make_folder(tmp_path / "music", tracks=3, seconds=7.0, rate=8000)
    tables = make_tables(root)

    def make(config, span: float) -> tuple[Split, Split]:
        make_cache(root, *tables, config, tmp_path / "windows")
        make_cache(root, *tables, config.model_copy(update={"train_span_seconds": span}), tmp_path / "spans")
        for split in ("valid", "test"):
            windows, spans = (read_split(tmp_path / name, split) for name in ("windows", "spans"))
            np.testing.assert_array_equal(windows.values, spans.values)
            assert spans.windows is None
        return read_split(tmp_path / "windows", "train"), read_split(tmp_path / "spans", "train")

    return make


def crops(split: Split) -> torch.Tensor:
    return torch.cat([x for x, _ in ResidentLoader(split, CPU).batches(4)])


def first_windows(spans: Split) -> np.ndarray:
    """Numbers of the windows with which the spans begin."""
    return np.cumsum(spans.windows) - spans.windows


def test_waveform_spans_hold_all_windows_and_zeros_after_them(both):
    single, spans = both(WAVE, 3.0)
    assert spans.windows.tolist() == [3, 3, 1] * (len(single) // 7)
    assert spans.lengths.tolist() == [3000 * n for n in spans.windows]
    assert spans.values.shape == (len(spans.windows), 9000) and spans.shape == (3000,)
    assert len(spans) == len(single) == len(ResidentLoader(spans, CPU))
    np.testing.assert_array_equal(spans.window_ids, single.window_ids[first_windows(spans)])
    for values, length in zip(spans.values, spans.lengths, strict=True):
        assert not values[length:].any() and values[:length].any()


def test_crops_of_waveform_spans_are_the_windows_exactly(both):
    single, spans = both(WAVE, 60.0)
    assert spans.windows.tolist() == [7] * (len(single) // 7)
    assert torch.equal(crops(spans), to_unit(torch.from_numpy(single.values).float(), "waveform").unsqueeze(1))


@pytest.mark.parametrize("span", [2.0, 60.0])
def test_crops_of_mel_spans_are_the_windows_except_for_the_edge_frames(both, span):
    single, spans = both(MEL, span)
    assert single.shape == spans.shape == (32, 33)
    cropped, windows = crops(spans).squeeze(1), to_unit(torch.from_numpy(single.values).float(), "mel")
    assert cropped.shape == windows.shape
    # The edge frames of a window are half zeros, and those of a span half its neighbour. If the peak lies there, all
    # values of the crop differ. So both are compared relative to their peak inside the edges.
    cropped, windows = cropped[..., EDGE:-EDGE], windows[..., EDGE:-EDGE]
    is_loud = (cropped > 0.05) & (windows > 0.05)  # well above the floor of both
    assert is_loud.float().mean() > 0.7
    difference = (below_peak(80 * cropped) - below_peak(80 * windows)).abs()
    assert difference[is_loud].max() < 0.07  # float16 rounds by 0.03 dB at 80 dB below a peak


def test_the_first_window_of_a_mel_span_differs_only_in_its_last_frames(both):
    single, spans = both(MEL, 60.0)
    first = first_windows(spans)
    windows, cropped = (values[:, :, : 33 - EDGE].astype(np.float32) for values in (single.values[first], spans.values))
    difference = cropped + spans.peak_db[:, None, None] - windows - single.peak_db[first][:, None, None]
    assert np.abs(difference)[windows > -80].max() < 0.07


def test_the_padding_after_a_mel_span_is_below_every_floor(both):
    _, spans = both(MEL, 3.0)
    for values, length, windows in zip(spans.values, spans.lengths, spans.windows, strict=True):
        assert length == 1 + 32 * windows
        assert (values[:, length:] == -200).all() and values[:, :length].min() > -200 and values[:, :length].max() == 0


@pytest.mark.parametrize("config", [MEL, WAVE])
def test_spans_of_one_window_are_the_windows(both, config):
    single, spans = both(config, 0.5)  # shorter than a window: a row is one window
    assert spans.windows.tolist() == [1] * len(single)
    np.testing.assert_allclose(crops(spans), crops(single), atol=1e-3)  # also below the floor


def test_a_silent_crop_of_a_mel_span_is_silent(tmp_path):
    rate, root = 8000, make_folder(tmp_path / "music", labels=1, tracks=3, seconds=6.0, rate=8000)
    for path in root.rglob("*.wav"):  # a pause of 1.5 s, shorter than a window of 2 s
        audio, _ = soundfile.read(path)
        audio[int(1.2 * rate) : int(2.7 * rate)] = 0
        soundfile.write(path, audio, rate)
    windows, tracks = make_tables(root, 2.0)
    assert len(windows) == 9
    make_cache(root, windows, tracks, MEL.model_copy(update={"train_span_seconds": 6.0}), tmp_path / "spans")
    split = dataclasses.replace(read_split(tmp_path / "spans", "train"), shape=(32, 8))  # windows of 0.25 s
    loader = ResidentLoader(split, CPU)
    flat = torch.cat([x for seed in range(40) for x, _ in loader.epoch(8, seed, 1)]).flatten(1)
    assert (flat.amax(1) < 1).any(), "no crop fell into the pause"
    assert (flat[flat.amax(1) < 1] == 0).all() and flat.min() == 0
