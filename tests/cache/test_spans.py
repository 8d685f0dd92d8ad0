"""Spans of several windows in a row of the train split, against windows by themselves."""

import dataclasses

import numpy as np
import pytest
import soundfile
import torch

from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.audio.scale import below_peak, to_unit
from pipeline.dataset.batches import ResidentLoader
from pipeline.dataset.split import Split, read_split
from tests.cache.dataset import cache, tables
from tests.recordings import make_folder

MEL = MelConfig(sample_rate=8000, n_fft=512, hop_length=250, bands=32)  # 32 frames in a second
WAVE = WaveformConfig(sample_rate=3000)
EDGE = 2  # frames at either end of a window that reach beyond it: 256 samples, of 250 to the next frame


def both(tmp_path, config, span: float) -> tuple[Split, Split]:
    """The train split as windows and as spans."""
    root = make_folder(tmp_path / "music", tracks=3, seconds=7.0, rate=8000)
    windows, tracks = tables(root)
    cache(root, windows, tracks, config, tmp_path / "windows")
    cache(root, windows, tracks, config.model_copy(update={"train_span_seconds": span}), tmp_path / "spans")
    for split in ("valid", "test"):
        one, other = read_split(tmp_path / "windows", split), read_split(tmp_path / "spans", split)
        np.testing.assert_array_equal(one.values, other.values)
        assert other.windows is None
    return read_split(tmp_path / "windows", "train"), read_split(tmp_path / "spans", "train")


def crops(split: Split) -> torch.Tensor:
    return torch.cat([x for x, _ in ResidentLoader(split, torch.device("cpu")).batches(4)])


def test_spans_hold_all_windows_and_their_own_length(tmp_path):
    fixed, spans = both(tmp_path, WAVE, 3.0)
    assert spans.windows.tolist() == [3, 3, 1] * (len(fixed) // 7)
    assert spans.lengths.tolist() == [3000 * n for n in spans.windows]
    assert spans.values.shape == (len(spans.windows), 9000) and spans.shape == (3000,)
    assert len(spans) == len(fixed) == len(ResidentLoader(spans, torch.device("cpu")))
    first = np.concatenate([[0], np.cumsum(spans.windows)[:-1]])
    np.testing.assert_array_equal(spans.window_ids, fixed.window_ids[first])
    for values, length in zip(spans.values, spans.lengths, strict=True):
        assert not values[length:].any() and values[:length].any()


def test_crops_of_waveform_spans_are_the_windows_exactly(tmp_path):
    fixed, spans = both(tmp_path, WAVE, 60.0)
    assert spans.windows.tolist() == [7] * (len(fixed) // 7)
    assert torch.equal(crops(spans), to_unit(torch.from_numpy(fixed.values).float(), "waveform").unsqueeze(1))


@pytest.mark.parametrize("span", [2.0, 60.0])
def test_crops_of_mel_spans_are_the_windows_but_for_the_edge_frames(tmp_path, span):
    fixed, spans = both(tmp_path, MEL, span)
    assert fixed.shape == spans.shape == (32, 33)
    ours = crops(spans).squeeze(1)
    theirs = to_unit(torch.from_numpy(fixed.values).float(), "mel")
    assert ours.shape == theirs.shape
    # At a window's ends its frames are half zeros, those of the span half its neighbour. Where the peak is there, the
    # whole crop is measured from another; so both are measured here from the peak of what they share.
    inside = slice(EDGE, -EDGE)
    levels = [below_peak(80 * x[..., inside]) for x in (ours, theirs)]
    shared = (ours[..., inside] > 0.05) & (theirs[..., inside] > 0.05)  # well above the floor of either
    assert shared.float().mean() > 0.7
    difference = (levels[0] - levels[1]).abs()[shared]
    assert difference.max() < 0.07  # float16 rounds by 0.03 dB at 80 dB below a peak


def test_a_crop_from_the_first_window_on_differs_in_no_frame_before_its_end(tmp_path):
    fixed, spans = both(tmp_path, MEL, 60.0)
    first = np.concatenate([[0], np.cumsum(spans.windows)[:-1]])
    ours = spans.values[:, :, : 33 - EDGE].astype(np.float32) + spans.peak_db[:, None, None]
    theirs = fixed.values[first][:, :, : 33 - EDGE].astype(np.float32) + fixed.peak_db[first][:, None, None]
    seen = fixed.values[first][:, :, : 33 - EDGE] > -80
    assert np.abs(ours - theirs)[seen].max() < 0.07


def test_the_room_after_a_mel_span_is_below_every_floor(tmp_path):
    _, spans = both(tmp_path, MEL, 3.0)
    for values, length, windows in zip(spans.values, spans.lengths, spans.windows, strict=True):
        assert length == 1 + 32 * windows
        assert (values[:, length:] == -200).all() and values[:, :length].min() > -200 and values[:, :length].max() == 0


@pytest.mark.parametrize("config", [MEL, WAVE])
def test_spans_of_one_window_are_the_windows(tmp_path, config):
    fixed, spans = both(tmp_path, config, 0.5)  # shorter than a window: a row is one all the same
    assert spans.windows.tolist() == [1] * len(fixed)
    np.testing.assert_allclose(crops(spans), crops(fixed), atol=1e-3)  # below the floor, too


def test_a_silent_crop_of_a_mel_span_is_silent(tmp_path):
    rate, root = 8000, tmp_path / "music"
    make_folder(root, labels=1, tracks=3, seconds=6.0, rate=rate)
    for path in root.rglob("*.wav"):  # a pause of 1.5 s, of which no window of 2 s consists
        audio, _ = soundfile.read(path)
        audio[int(1.2 * rate) : int(2.7 * rate)] = 0
        soundfile.write(path, audio, rate)
    windows, tracks = tables(root, 2.0)
    assert len(windows) == 9
    cache(root, windows, tracks, MEL.model_copy(update={"train_span_seconds": 6.0}), tmp_path / "spans")
    split = read_split(tmp_path / "spans", "train")
    short = dataclasses.replace(split, shape=(32, 8))  # 0.25 s
    data = ResidentLoader(short, torch.device("cpu"))
    shown = torch.cat([x for seed in range(40) for x, _ in data.epoch(8, seed, 1)])
    flat = shown.flatten(1)
    assert (flat.amax(1) < 1).any(), "no crop fell into the pause"
    assert (flat[flat.amax(1) < 1] == 0).all() and flat.min() == 0
