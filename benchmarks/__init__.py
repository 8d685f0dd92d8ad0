"""Benchmarks: each is a ratio against a named reference, measured in turn in the same run."""
