"""Change raw params by dotted keys, and by variants that are copies of others."""

import copy
from collections.abc import Mapping
from typing import Any

from pipeline.core.errors import ParamsError
from pipeline.core.params import suggest

NAMED_SECTIONS = ("models", "representations")  # their keys are names that the user chooses
ALL_TRAINED = "models.*."  # prefix of a key that stands for every trained variant


def replace_variants(raw: dict[str, Any], variants: Mapping[str, dict[str, Any]]) -> None:
    """Replace all variants of raw params by `variants`: name -> changes.

    A new variant is a copy of the variant `from`, or of the variant with its name, with the other changes.

    Raises:
        ParamsError: there is no such variant, or a key is below a plain value.
    """
    derived: dict[str, Any] = {}
    for name, changes in variants.items():
        source = changes.get("from", name)
        if source not in raw["models"]:
            raise ParamsError(f"models.{name}.from: no such entry; {suggest(str(source), raw['models'])}")
        derived[name] = copy.deepcopy(raw["models"][source])
        for key, value in changes.items():
            if key != "from":
                override({"models": derived}, f"models.{name}.{key}", value)
    for name in [name for name in raw["models"] if name not in derived]:
        del raw["models"][name]  # deletes in place, to keep the comments of a file
    raw["models"].update(derived)


def override(raw: dict[str, Any], key: str, value: Any) -> None:
    """Set the dotted `key` of raw params in place. The schema checks later whether its section has such a key.

    Args:
        key: as for `dvc exp run -S`; `models.*.<key>` stands for this key of every trained variant.

    Raises:
        ParamsError: the key is below an entry that does not exist, or below a plain value.
    """
    if key.startswith(ALL_TRAINED):
        for name, variant in raw["models"].items():
            if is_trained(variant):
                override(raw, f"models.{name}.{key.removeprefix(ALL_TRAINED)}", value)
        return
    *path, last = key.split(".")
    section: Any = raw
    for depth, step in enumerate(path):
        if depth == 1 and path[0] in NAMED_SECTIONS and step not in section:
            raise ParamsError(f"{path[0]}.{step}: no such entry; {suggest(step, section)}")
        if section.get(step) is None:
            section[step] = {}
        section = section[step]
        if not isinstance(section, Mapping):
            raise ParamsError(f"{key}: {'.'.join(path[: depth + 1])} holds no keys (it is {section!r})")
    section[last] = copy.deepcopy(value)


def is_trained(variant: Any) -> bool:
    """Whether the variant with these raw params is not a baseline."""
    try:
        return bool(variant["bottleneck"]["type"] != "linear")
    except (KeyError, TypeError):
        return True  # the schema reports what is wrong
