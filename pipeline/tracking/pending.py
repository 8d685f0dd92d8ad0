"""What is left in the outbox, while other processes may be sending from it."""

import time
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from pipeline.core.errors import MelismaError
from pipeline.tracking import outbox

T = TypeVar("T")
TRIES = 20


def count() -> tuple[int, list[str]]:
    """How many runs wait in the outbox for the present store, and a line for each other one that some wait for."""
    stores = Counter(run.store for run in settled(outbox.waiting))
    number = stores.pop(outbox.here(), 0)
    return number, [
        f"{many} run{'s' * (many > 1)} waiting for MLflow at {name}" for name, many in sorted(stores.items())
    ]


def settled(look: Callable[[], list[T]]) -> list[T]:
    """What `look` finds in the outbox, also where others send from it, so that folders vanish meanwhile.

    Raises:
        MelismaError: a file is missing there for good.
    """
    for _ in range(TRIES):
        try:
            return look()
        except FileNotFoundError as error:
            missing = error.filename
            time.sleep(0.05)
    raise MelismaError(f"{missing} is missing; remove its folder, of which MLflow cannot get any more")
