"""The plainest callback of a training."""


class Recording:
    """Keeps all that the loop hands over."""

    def __init__(self):
        self.rows, self.steps, self.terms, self.step_terms = [], 0, [], {}

    def on_start(self, history, step, steps_per_epoch):
        self.start = (len(history), step, steps_per_epoch)

    def on_step(self, terms):
        self.steps += 1
        if terms:
            self.terms.append(terms)

    def on_epoch(self, row):
        self.rows.append(row)

    def on_step_terms(self, first, rows):
        self.step_terms |= dict(enumerate(rows, first))
