"""What finished shards are kept under."""

import pandas as pd

from pipeline.audio.representation import WaveformConfig
from pipeline.cache.build import fingerprint
from pipeline.cache.plan import plan


def test_spans_of_one_extent_cut_into_windows_of_other_lengths_are_kept_apart():
    """Their rows are the same, but not the statistics of the windows in them."""
    config = WaveformConfig(train_span_seconds=10.0)
    tracks = pd.DataFrame({"track_id": ["a"], "path": ["a.wav"], "frames": [80000], "sha256": ["0"]})
    fixed = {"window_id": [0, 1], "track_id": "a", "label": "l", "split": "train"}
    found = {}
    for seconds, second in ((5.0, 5.0), (8.0, 2.0)):
        windows = pd.DataFrame({**fixed, "start_seconds": [0.0, second], "seconds": seconds})
        found[seconds] = plan(windows, tracks, config)
    assert found[5.0] == found[8.0]
    assert fingerprint(found[5.0], config, 5.0, tracks) != fingerprint(found[8.0], config, 8.0, tracks)
