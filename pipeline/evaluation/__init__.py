"""Scores a trained variant on the test split: `variant.score_seed` lists the metrics."""
