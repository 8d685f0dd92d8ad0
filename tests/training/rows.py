"""The plainest watcher of a training."""


class Rows:
    """Keeps what it is told."""

    def __init__(self):
        self.rows, self.made, self.terms, self.told = [], 0, [], {}

    def begin(self, history, step, batches):
        self.begun = (len(history), step, batches)

    def step(self, terms):
        self.made += 1
        if terms:
            self.terms.append(terms)

    def epoch(self, row):
        self.rows.append(row)

    def steps(self, first, rows):
        self.told |= {first + n: row for n, row in enumerate(rows)}
