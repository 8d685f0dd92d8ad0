"""Melisma: a reproducible bench for variational autoencoders of music audio."""
