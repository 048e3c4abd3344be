"""Facts that are not there: where they are, and whether each has its reason."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from autocard.record.base import LARGEST_INTEGER
from autocard.record.run_record import RunRecord


def empty_leaves(part: Any, path: str = "") -> Iterator[str]:
    """Yield the path of every leaf of *part* that is None; *path* stands before each."""
    if isinstance(part, BaseModel):
        names = [(name, getattr(part, name)) for name in type(part).model_fields]
    elif isinstance(part, Mapping):
        # What stands in a mapping of values (a config, hyperparameters) may be None and mean it.
        names = []
    elif isinstance(part, list):
        names = [(str(index), value) for index, value in enumerate(part)]
    else:
        if part is None:
            yield path
        return
    for name, value in names:
        yield from empty_leaves(value, f"{path}.{name}" if path else name)


def unexplained(record: RunRecord) -> list[str]:
    """Return the paths of facts that are None without a reason in `missing`."""
    return [path for path in empty_leaves(record) if record.why_missing(path) is None]


def finite(record: RunRecord) -> RunRecord:
    """Return *record* without NaN and infinities, which neither JSON nor a card can say; `missing` tells of them.

    A diverged training reports them as losses.
    """
    missing: dict[str, str] = {}
    raw = _finite(record.model_dump(), "", missing)
    if not missing:
        return record
    raw["evaluation"]["results"] = [
        one for one in raw["evaluation"]["results"] if one["value"] is not None
    ]
    raw["missing"] = {**missing, **raw["missing"]}
    return RunRecord.model_validate(raw)


def _finite(value: Any, path: str, missing: dict[str, str]) -> Any:
    """Return *value* with None for floats that are not finite, and nothing for them in a point of the trainer's log."""
    if isinstance(value, dict):
        cleaned = {
            key: _finite(item, f"{path}.{key}" if path else key, missing)
            for key, item in value.items()
        }
        if path.startswith("evaluation.history."):
            return {key: item for key, item in cleaned.items() if item is not None}
        return cleaned
    if isinstance(value, list):
        return [_finite(item, f"{path}.{index}", missing) for index, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        missing[path] = f"the figure was {value}, which is none"
        return None
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        missing[path] = "the figure had more digits than a number can have here"
        return None
    return value
