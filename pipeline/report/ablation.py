"""Variants that differ in their loss alone: what a term of the loss does, all else equal."""

import json
from dataclasses import dataclass
from typing import Any

from pipeline.core.params import flatten
from pipeline.report.table import Row
from pipeline.training.config import variant


@dataclass(frozen=True)
class Ablation:
    """Two or more variants with equal input, network, bottleneck, condition, scaling and training.

    `keys` are the dotted keys of the loss in which they differ, each with the value that each of `rows` has.
    """

    rows: list[Row]
    keys: dict[str, list[Any]]

    @property
    def names(self) -> list[str]:
        """Of the variants."""
        return [row.variant for row in self.rows]


def ablations(found: list[Row], params: dict[str, Any]) -> list[Ablation]:
    """Every such group among the variants that have been scored, in the order of params.yaml.

    Raises:
        ParamsError: the settings of a variant are wrong.
    """
    groups: dict[str, list[tuple[Row, dict[str, Any]]]] = {}
    for row in found:
        if row.role != "variant" or not row.evaluated:
            continue
        model, training = variant(params, row.variant)
        rest = model.model_dump(mode="json", exclude={"loss", "train"})
        key = json.dumps([rest, training.model_dump(mode="json")], sort_keys=True)
        loss = model.loss.model_dump(mode="json") if model.loss else {}
        groups.setdefault(key, []).append((row, dict(flatten(loss))))
    return [_compared(group) for group in groups.values() if len(group) > 1]


def _compared(group: list[tuple[Row, dict[str, Any]]]) -> Ablation:
    losses = [loss for _, loss in group]
    keys = dict.fromkeys(key for loss in losses for key in loss)
    values = {key: [loss.get(key) for loss in losses] for key in keys}
    return Ablation([row for row, _ in group], {k: v for k, v in values.items() if any(one != v[0] for one in v)})
