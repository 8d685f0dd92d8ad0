"""The rows of each shard, and the fingerprint of a plan."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.cache import plan
from pipeline.cache.build import fingerprint
from pipeline.cache.plan import join_windows, plan_shards

MEL = MelConfig(sample_rate=8000, n_fft=512, hop_length=256, bands=32)


def recording(starts: list[float], seconds: float = 5.0, first_id: int = 0) -> pd.DataFrame:
    return pd.DataFrame({"window_id": range(first_id, first_id + len(starts)), "start_seconds": starts}).assign(
        seconds=seconds
    )


def joined(starts: list[float], limit: float | None, hop: float = 5.0) -> list[tuple[int, float, float, int]]:
    rows = join_windows(recording(starts), limit, hop)
    return [(row.window_id, row.start, row.seconds, row.windows) for row in rows]


@pytest.mark.parametrize(
    ("starts", "hop", "limit", "expected"),
    [
        ([0, 5, 10], 5, None, [(0, 0, 5, 1), (1, 5, 5, 1), (2, 10, 5, 1)]),
        ([0, 5, 10, 15], 5, 60, [(0, 0, 20, 4)]),
        ([0, 5, 10, 15], 5, 10, [(0, 0, 10, 2), (2, 10, 10, 2)]),
        ([0, 5, 10, 15], 5, 14.9, [(0, 0, 10, 2), (2, 10, 10, 2)]),
        ([0, 5, 10, 15], 5, 5, [(0, 0, 5, 1), (1, 5, 5, 1), (2, 10, 5, 1), (3, 15, 5, 1)]),
        ([0, 5, 10, 15], 5, 1, [(0, 0, 5, 1), (1, 5, 5, 1), (2, 10, 5, 1), (3, 15, 5, 1)]),
        ([0, 5, 15, 20], 5, 60, [(0, 0, 10, 2), (2, 15, 10, 2)]),  # the window at 10 s was rejected
        ([0, 7, 14], 7, 60, [(0, 0, 5, 1), (1, 7, 5, 1), (2, 14, 5, 1)]),  # gaps
        ([0, 2.5, 5], 2.5, 60, [(0, 0, 10, 3)]),
        (
            [0, 5, 7.5],
            2.5,
            60,
            [(0, 0, 5, 1), (1, 5, 7.5, 2)],
        ),  # the window at 2.5 s was rejected, although 0 and 5 adjoin
    ],
)
def test_adjacent_windows_are_joined_up_to_the_limit(starts, hop, limit, expected):
    assert joined(starts, limit, hop) == expected


def dataset(sizes: list[int], splits: list[str], seconds: float = 1.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of recordings with so many windows."""
    parts = []
    for number, (size, split) in enumerate(zip(sizes, splits, strict=True)):
        frame = recording([seconds * n for n in range(size)], seconds, sum(sizes[:number]))
        parts.append(frame.assign(track_id=f"t{number}", label=f"l{number % 2}", split=split))
    tracks = pd.DataFrame({"track_id": [f"t{n}" for n in range(len(sizes))]})
    return pd.concat(parts), tracks.assign(path=tracks["track_id"] + ".wav", bytes=pd.NA)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.sampled_from(["train", "valid", "test"])), min_size=1, max_size=20),
    st.sampled_from([None, 3.0, 1000.0]),
    st.integers(1, 30),
    st.integers(1, 30),
)
def test_every_window_is_in_exactly_one_row_in_order(recordings, limit, smallest, largest):
    config = MEL.model_copy(update={"train_span_seconds": limit})
    size = 2 * 32 * config.shape(1.0)[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "MIN_SHARD_BYTES", smallest * size)
        patch.setattr(plan, "MAX_SHARD_BYTES", largest * size)
        windows, tracks = dataset(*map(list, zip(*recordings, strict=True)))
        shards = plan_shards(windows.sample(frac=1, random_state=0), tracks, config)
    by_id = windows.set_index("window_id")
    window_ids = []
    for split in ("train", "valid", "test"):
        in_split = [shard for shard in shards if shard.split == split]
        assert [shard.name for shard in in_split] == [f"{split}-{n:05d}.parquet" for n in range(len(in_split))]
        rows = [(track, row) for shard in in_split for track in shard.tracks for row in track.rows]
        for track, row in rows:
            covered = by_id.loc[row.window_id : row.window_id + row.windows - 1]
            assert (covered["track_id"] == track.track_id).all() and (covered["split"] == split).all()
            assert track.path == f"{track.track_id}.wav" and track.label == covered["label"].iloc[0]
            assert row.start == covered["start_seconds"].iloc[0] and row.seconds == len(covered) == row.windows
            assert row.seconds <= max(limit or 1.0, 1.0) and (split == "train" or row.windows == 1)
            window_ids += covered.index.tolist()
        ids = [row.window_id for _, row in rows]
        assert ids == sorted(ids)
        assert {shard.row_seconds for shard in in_split} <= {max((row.seconds for _, row in rows), default=0)}
    assert sorted(window_ids) == sorted(by_id.index)


def test_a_recording_is_cut_only_if_it_exceeds_the_largest_shard(monkeypatch):
    size = 2 * 8000
    monkeypatch.setattr(plan, "MIN_SHARD_BYTES", size)
    monkeypatch.setattr(plan, "MIN_SHARDS", 1)
    monkeypatch.setattr(plan, "MAX_SHARD_BYTES", 10 * size)
    shards = plan_shards(*dataset([25, 9, 3], ["train"] * 3), WaveformConfig(sample_rate=8000))
    assert [[(track.track_id, len(track.rows)) for track in shard.tracks] for shard in shards] == [
        [("t0", 10)],
        [("t0", 10)],
        [("t0", 5)],  # with the next track it would exceed the largest shard
        [("t1", 9)],
        [("t2", 3)],
    ]
    assert [shard.row_count for shard in shards] == [10, 10, 5, 9, 3]


def test_a_large_cache_has_many_shards_of_even_size():
    windows, tracks = dataset([60] * 600, ["train"] * 600)
    shards = plan_shards(windows, tracks, WaveformConfig(sample_rate=22050))  # 1.6 GB
    sizes = [shard.row_count * 2 * 22050 for shard in shards]
    assert len(shards) >= 60 and min(sizes[:-1]) > 20 * 2**20 and max(sizes) < plan.MAX_SHARD_BYTES


def test_equal_spans_with_windows_of_other_lengths_have_another_fingerprint():
    """The rows are the same, but not the statistics of their windows."""
    config = WaveformConfig(train_span_seconds=10.0)
    tracks = pd.DataFrame({"track_id": ["t0"], "path": ["a.wav"], "bytes": [160000], "sha256": ["0"]})
    windows = {seconds: recording([0.0, start], seconds) for seconds, start in ((5.0, 5.0), (8.0, 2.0))}
    labels = {"track_id": "t0", "label": "l0", "split": "train"}
    shards = {seconds: plan_shards(frame.assign(**labels), tracks, config) for seconds, frame in windows.items()}
    assert shards[5.0] == shards[8.0]
    assert fingerprint(shards[5.0], config, 5.0, tracks) != fingerprint(shards[8.0], config, 8.0, tracks)
