"""Train a variant. Read in this order: `variant` (all seeds), `seed`, `loop` (epochs), `trainer` (steps)."""
