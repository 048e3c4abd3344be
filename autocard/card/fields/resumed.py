"""Settings of a training that was resumed with others: which steps had which."""

from __future__ import annotations

from collections.abc import Sequence

from autocard import units
from autocard.card.fact import code, escape
from autocard.card.fields.words import listed
from autocard.record import Leg, RunRecord, Scalar


def resumed_settings(record: RunRecord) -> str | None:
    """Return the settings of earlier steps that were not those of the last start; None: none."""
    legs = record.legs
    parts = []
    for number, leg in enumerate(legs[:-1]):
        steps = _steps(leg, legs[number + 1 :])
        if steps and leg.other_hyperparameters:
            parts.append(f"{steps} with {_settings(leg)}")
    last = _steps(legs[-1], ()) if parts else None
    if last is None:
        return None
    return (
        f"{'; '.join(parts)}; the optimizer, schedule, seed and arguments listed here are "
        f"those of {last}"
    )


def _settings(leg: Leg) -> str:
    settings = leg.other_hyperparameters or {}
    return listed(f"{code(name)} {setting(value)}" for name, value in settings.items())


def setting(value: Scalar) -> str:
    """Return a setting as it was given: a float in the notation that Python shows."""
    return escape(value) if isinstance(value, str) else str(value)


def _steps(leg: Leg, later: Sequence[Leg]) -> str | None:
    """Return the steps of *leg* that are in the weights: not those that *later* legs did again."""
    if leg.step_begin is None or leg.step_end is None:
        return None
    end = leg.step_end
    for other in later:
        if other.step_begin is not None:
            end = min(end, other.step_begin)
    first = leg.step_begin + 1
    if end < first:
        return None
    if first == end:
        return f"step {units.count(end)}"
    return f"steps {units.count(first)} to {units.count(end)}"
