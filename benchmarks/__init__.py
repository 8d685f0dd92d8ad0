"""Speed, always as a ratio against a named reference that is measured in turn in the same run."""
