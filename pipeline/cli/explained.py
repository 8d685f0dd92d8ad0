"""How `melisma params --explain` shows what it has found."""

import json
from collections.abc import Iterator
from typing import Any

from pipeline.schema import explain
from pipeline.schema.explain import File
from pipeline.schema.keys import ANY, Setting, as_yaml, below


def text(key: str) -> Iterator[str]:
    """What a key of params.yaml means, line by line.

    Raises:
        ParamsError: there is none.
    """
    file = File()
    for number, (setting, keys) in enumerate(explain.find(key, file).items()):
        if number:
            yield ""
        yield keys[0] if len(keys) == 1 else setting.key
        inner = below(setting)
        yield f"  {setting.meaning}"
        if inner:
            yield from _section(file, setting, keys, inner)
        else:
            yield from _key(file, setting, keys)
    if file.problem:
        yield f"\n(no values: {file.problem})"


def as_json(key: str) -> str:
    """The same as JSON: a list, one entry for each kind that has such a key.

    Raises:
        ParamsError: there is none.
    """
    file = File()
    found: list[dict[str, Any]] = []
    for setting, keys in explain.find(key, file).items():
        for each in below(setting) or [setting]:
            mine = keys if each == setting else [".".join((full, *each.path[len(setting.path) :])) for full in keys]
            values = file.values(each, mine)
            found.append(
                {
                    "key": each.key,
                    "meaning": each.meaning,
                    "takes": each.takes,
                    "default": each.default,
                    "given": {".".join(place): kind for place, kind in each.given},
                    "choices": dict(each.choices),
                    "values": [{"key": v.key, "value": v.value, "origin": v.origin} for v in values],
                }
            )
    return json.dumps(found, indent=2)


def _key(file: File, setting: Setting, keys: list[str]) -> Iterator[str]:
    if setting.given:
        yield f"  with     {', '.join(_kind(place, kind) for place, kind in setting.given)}"
    if setting.takes and not setting.choices:
        yield f"  takes    {setting.takes}"
    for choice, meaning in setting.choices:
        yield f"  {'takes' if choice == setting.choices[0][0] else '':9}{choice}: {_first(meaning)}"
    yield f"  default  {setting.default or 'none, it must be given'}"
    values = file.values(setting, keys)
    if not values and not file.problem:
        yield "  here     not in use"
    for number, value in enumerate(values):
        named = f"{value.key}: " if len(values) > 1 or value.key != keys[0] else ""
        yield f"  {'here' if not number else '':9}{named}{as_yaml(value.value)} ({value.origin})"


def _section(file: File, setting: Setting, keys: list[str], inner: list[Setting]) -> Iterator[str]:
    """A line per key: its value, where there is just one, and its meaning."""
    depth = len(setting.path)
    leaves = [each for each in inner if not any(other.path[:-1] == each.path for other in inner)]
    unset = len(keys) == 1 and (value := file.value(setting, keys[0])) and value.value is None
    if unset:
        yield "  here: null; it can have"
    named = ANY in {each.path[depth] for each in inner}
    if len(keys) == 1 and not named and not unset and file.filled is not None:
        rows = []
        for each in inner:
            name = ".".join(each.path[depth:])
            value = file.value(each, f"{keys[0]}.{name}")
            if value and (each in leaves or value.value is None):
                meaning = dict(each.choices).get(str(value.value), each.meaning)
                rows.append((name, _short(as_yaml(value.value)), meaning))
    else:
        kinds: dict[tuple[str, str], list[str]] = {}
        for each in leaves:
            inside = [_kind(place[depth:], kind) for place, kind in each.given if len(place) > depth]
            kinds.setdefault((".".join(each.path[depth:]), each.meaning), []).extend(inside)
        rows = [(n, "", _first(text) + (f" [{', '.join(k)}]" if k else "")) for (n, text), k in kinds.items()]
    if not rows:
        yield "  not in use here"
        return
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, shown, meaning in rows:
        yield f"  {name:{widths[0]}}  {shown:{widths[1]}}  {_first(meaning)}"
    if named:
        yield f"  here: {', '.join(file.names(setting.key))}"


def _kind(place: tuple[str, ...], kind: str) -> str:
    return f"{'.'.join(step for step in place if step not in (ANY, 'models', 'representations'))} {kind}"


def _first(meaning: str) -> str:
    """The first sentence of a docstring, without its full stop."""
    return meaning.split("\n")[0].removesuffix(".")


def _short(value: str) -> str:
    return value if len(value) <= 24 else f"{value[:21]}..."
