"""Settings of a training that was resumed with others: which steps had which."""

from __future__ import annotations

from autocard import units
from autocard.card.fact import code, escape
from autocard.card.fields.words import listed
from autocard.record import Leg, RunRecord, Scalar


def resumed_settings(record: RunRecord) -> str | None:
    """Return the settings of the steps before the last start that were not those of the steps since; None: none."""
    legs = record.legs
    parts = []
    for number, leg in enumerate(legs[:-1]):
        steps = _steps(leg, legs[number + 1 :])
        if steps and leg.other_hyperparameters:
            other = [
                f"{code(name)} {setting(value)}"
                for name, value in leg.other_hyperparameters.items()
            ]
            parts.append(f"{steps} with {listed(other)}")
    last = _steps(legs[-1], ()) if parts else None
    if last is None:
        return None
    return f"{'; '.join(parts)}; the optimizer, schedule, seed and settings listed here are those of {last}"


def setting(value: Scalar) -> str:
    """Return a setting as it was given: a float in the notation that Python shows."""
    return escape(value) if isinstance(value, str) else str(value)


def _steps(leg: Leg, later: list[Leg] | tuple[Leg, ...]) -> str | None:
    """Return the steps of *leg* that are in the weights, in words: not those that the *later* legs did again."""
    if leg.step_begin is None or leg.step_end is None:
        return None
    end = min([leg.step_end, *(one.step_begin for one in later if one.step_begin is not None)])
    if end <= leg.step_begin:
        return None
    first = leg.step_begin + 1
    return (
        f"step {units.count(end)}"
        if first == end
        else f"steps {units.count(first)} to {units.count(end)}"
    )
