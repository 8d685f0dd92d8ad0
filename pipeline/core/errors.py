"""Errors that a user can act on: one line that says what is wrong, where, and what to do."""


class MelismaError(Exception):
    """Something failed for a reason that the message explains. Exit code 1."""

    exit_code = 1


class ParamsError(MelismaError):
    """params.yaml or a command's arguments ask for something that does not exist. Exit code 2."""

    exit_code = 2


class DataError(MelismaError):
    """The recordings, or an artefact made of them, cannot be used."""


class TrainingError(MelismaError):
    """Training cannot go on: a loss is not finite, or the model does not fit."""


class StoppedError(MelismaError):
    """A signal asked the process to end. Exit code 128 and the signal's number, as a shell has it."""

    def __init__(self, message: str, signal: int = 2) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal
