"""How a study changes params: by dotted keys, and by variants made of others."""

import copy
from collections.abc import Mapping
from typing import Any

from pipeline.core.errors import ParamsError
from pipeline.core.params import suggest

ENTRIES = ("models", "representations")  # sections whose keys are names
EVERY = "models.*."  # before a key of every variant that is trained


def derived(raw: dict[str, Any], name: str, changes: dict[str, Any]) -> Any:
    """The block of a variant `name` that is another one of raw params, with changes to it.

    Raises:
        ParamsError: there is no such variant, or a change is below a plain value.
    """
    base = changes.get("from", name)
    if base not in raw["models"]:
        raise ParamsError(f"models.{name}.from: no such entry; {suggest(str(base), raw['models'])}")
    made = {"models": {name: copy.deepcopy(raw["models"][base])}}
    for key, value in changes.items():
        if key != "from":
            override(made, f"models.{name}.{key}", value)
    return made["models"][name]


def remake(raw: dict[str, Any], variants: Mapping[str, dict[str, Any]]) -> None:
    """Put `variants`, each derived from one of raw params, in the place of those that are there.

    Raises:
        ParamsError: as `derived`.
    """
    made = {name: derived(raw, name, changes) for name, changes in variants.items()}
    for name in [name for name in raw["models"] if name not in made]:
        del raw["models"][name]  # in place, which keeps a file's comments
    raw["models"].update(made)


def override(raw: dict[str, Any], key: str, value: Any) -> None:
    """Set the dotted `key` of raw params in place; whether it is an option of its section, the schema says.

    Args:
        raw: params.
        key: as `dvc exp run -S` takes it; `models.*.<key>` stands for that of every variant that is trained.
        value: the new one.

    Raises:
        ParamsError: it is below an entry that is not there, or below a plain value.
    """
    if key.startswith(EVERY):
        for name, block in raw["models"].items():
            if is_trained(block):
                override(raw, f"models.{name}.{key.removeprefix(EVERY)}", value)
        return
    *path, last = key.split(".")
    place: Any = raw
    for depth, step in enumerate(path):
        if depth == 1 and path[0] in ENTRIES and step not in place:
            raise ParamsError(f"{path[0]}.{step}: no such entry; {suggest(step, place)}")
        if place.get(step) is None:
            place[step] = {}
        place = place[step]
        if not isinstance(place, Mapping):
            raise ParamsError(f"{key}: {'.'.join(path[: depth + 1])} holds no keys (it is {place!r})")
    place[last] = copy.deepcopy(value)


def is_trained(block: Any) -> bool:
    """Whether a variant is no baseline."""
    try:
        return bool(block["bottleneck"]["type"] != "linear")
    except (KeyError, TypeError):
        return True  # what is wrong with it, the schema says
