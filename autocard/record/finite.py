"""Figures that neither JSON nor a card can show: NaN, infinities, integers beyond every limit."""

from __future__ import annotations

import math
from typing import Any

from autocard.record.base import LARGEST_INTEGER
from autocard.record.run_record import RunRecord

_POINT_OF_LOG = "evaluation.history."
"""Begins the paths of what is in the trainer's log."""


def finite(record: RunRecord) -> RunRecord:
    """Return *record* without NaN and infinities, and with their reasons in `missing`.

    A diverged training reports them as losses.
    """
    missing: dict[str, str] = {}
    raw = _without(record.model_dump(), "", missing)
    if not missing:
        return record
    results = raw["evaluation"]["results"]
    raw["evaluation"]["results"] = [one for one in results if one["value"] is not None]
    raw["missing"] = {**missing, **raw["missing"]}
    return RunRecord.model_validate(raw)


def _without(value: Any, path: str, missing: dict[str, str]) -> Any:
    """Return *value* with None for figures that cannot be shown; *missing* gets their reasons."""
    if isinstance(value, dict):
        return _without_in_mapping(value, path, missing)
    if isinstance(value, list):
        return [_without(item, f"{path}.{index}", missing) for index, item in enumerate(value)]
    reason = _why_not(value)
    if reason is None:
        return value
    missing[path] = reason
    return None


def _without_in_mapping(
    value: dict[str, Any], path: str, missing: dict[str, str]
) -> dict[str, Any]:
    cleaned = {}
    for key, item in value.items():
        cleaned[key] = _without(item, f"{path}.{key}" if path else key, missing)
    if path.startswith(_POINT_OF_LOG):
        # A point of the log has no figure rather than an empty one.
        return {key: item for key, item in cleaned.items() if item is not None}
    return cleaned


def _why_not(value: Any) -> str | None:
    """Return why the figure *value* cannot be shown; None: it can, or is no figure."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"the figure was {value}, which is none"
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        return "the figure had more digits than a number can have here"
    return None
