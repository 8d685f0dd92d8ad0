"""The fingerprint under which finished shards are kept."""

import pandas as pd

from pipeline.audio.representation import WaveformConfig
from pipeline.cache.build import fingerprint
from pipeline.cache.plan import plan_shards


def test_equal_spans_with_windows_of_other_lengths_have_another_fingerprint():
    """The rows are the same, but not the statistics of their windows."""
    config = WaveformConfig(train_span_seconds=10.0)
    tracks = pd.DataFrame({"track_id": ["a"], "path": ["a.wav"], "frames": [80000], "sha256": ["0"]})
    fixed = {"window_id": [0, 1], "track_id": "a", "label": "l", "split": "train"}
    shards = {}
    for seconds, second in ((5.0, 5.0), (8.0, 2.0)):
        windows = pd.DataFrame({**fixed, "start_seconds": [0.0, second], "seconds": seconds})
        shards[seconds] = plan_shards(windows, tracks, config)
    assert shards[5.0] == shards[8.0]
    assert fingerprint(shards[5.0], config, 5.0, tracks) != fingerprint(shards[8.0], config, 8.0, tracks)
