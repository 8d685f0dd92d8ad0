"""Errors for the user: one line that says what is wrong, where, and what to do."""


class MelismaError(Exception):
    """Base of all errors for the user. Exit code 1."""

    exit_code = 1


class ParamsError(MelismaError):
    """A wrong value in params.yaml or in the arguments of a command. Exit code 2."""

    exit_code = 2


class DataError(MelismaError):
    """A recording or an artefact is missing or damaged."""


class TrainingError(MelismaError):
    """Training must stop: a loss is not finite, or the model does not fit into memory."""


class StoppedError(MelismaError):
    """A signal ended the process. Exit code 128 plus the number of the signal, as in a shell."""

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal
