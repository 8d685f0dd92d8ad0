"""Scores a trained variant on the test split: `variant` starts it, `seed` lists the metrics."""
