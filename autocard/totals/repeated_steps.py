"""Legs of a run → which of their steps a later leg did again, and what those had cost.

Rule: where a leg was read at the checkpoint from which a later one went on, the difference to its
end is what was repeated; elsewhere the energy between two readings is shared out evenly over the
steps between them, and that is said. Pure arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autocard.record import Checkpoint, Leg
from autocard.record.gaps import Gaps, Part

WHOLE = "the whole start"
READ = "read at the checkpoint and at the end"
SHARED_OUT = "estimated: distributed evenly over the steps between two readings"
NO_STEPS = "the last step of this start, or of a later one, is not known"
NO_TIME = "the duration of this start is not known"
NO_ENERGY = "its energy was not measured in every part"


def marked(legs: Sequence[Part[Leg]]) -> list[Part[Leg]]:
    """Return *legs*, in their order, each with what later ones repeated of it.

    A leg with a gap at `repeated_steps` is returned as it is.
    """
    return [
        leg if "repeated_steps" in leg.gaps else _marked(leg, legs[number + 1 :])
        for number, leg in enumerate(legs)
    ]


def _marked(part: Part[Leg], later: Sequence[Part[Leg]]) -> Part[Leg]:
    """Return *part* with its `repeated_…` leaves."""
    leg = part.value
    begins = [other.value.step_begin for other in later]
    if not begins:
        return _with(part, {"repeated_steps": 0, "repeated_s": 0.0, "repeated_j": 0.0})
    known = [begin for begin in begins if begin is not None]
    if leg.step_begin is None or leg.step_end is None or len(known) < len(begins):
        names = ("repeated_steps", "repeated_s", "repeated_j")
        return _with(part, dict.fromkeys(names), dict.fromkeys(names, NO_STEPS))
    since = max(min(known), leg.step_begin)
    steps = max(leg.step_end - since, 0)
    if not steps:
        return _with(part, {"repeated_steps": 0, "repeated_s": 0.0, "repeated_j": 0.0})
    return _priced(part, since, steps)


def _with(part: Part[Leg], fields: Mapping[str, Any], gaps: Gaps | None = None) -> Part[Leg]:
    return Part(part.value.model_copy(update=dict(fields)), {**part.gaps, **(gaps or {})})


def _priced(part: Part[Leg], since: int, steps: int) -> Part[Leg]:
    """Return *part* with the time and energy of the steps after *since*, which were repeated."""
    leg, gaps = part.value, {}
    total_s = leg.wall_clock_s
    total_j = None if "hosts" in part.gaps else joules_of(leg)
    spent_s, spent_j, source = _until(leg, since, total_s, total_j)
    repeated_s = repeated_j = None
    if total_s is None:
        gaps["repeated_s"] = NO_TIME
    else:
        repeated_s = max(total_s - spent_s, 0.0)
    if total_j is None or total_s is None:
        gaps["repeated_j"] = NO_ENERGY
    else:
        repeated_j = max(total_j - spent_j, 0.0)
    fields = {
        "repeated_steps": steps,
        "repeated_s": repeated_s,
        "repeated_j": repeated_j,
        "repeated_source": source,
    }
    return _with(part, fields, gaps)


def _until(
    leg: Leg, step: int, total_s: float | None, total_j: float | None
) -> tuple[float, float, str]:
    """Return seconds and joules that *leg* had used at *step*, and how that is known."""
    begin, end = leg.step_begin or 0, leg.step_end or 0
    if step <= begin:
        return 0.0, 0.0, WHOLE
    inside = [point for point in leg.checkpoints if begin < point.step < end]
    exact = next((point for point in inside if point.step == step), None)
    if exact is not None:
        return exact.wall_clock_s, exact.energy_j, READ
    ends = [
        Checkpoint(step=begin, wall_clock_s=0.0, energy_j=0.0),
        *inside,
        Checkpoint(step=end, wall_clock_s=total_s or 0.0, energy_j=total_j or 0.0),
    ]
    before = max((point for point in ends if point.step <= step), key=lambda point: point.step)
    after = min((point for point in ends if point.step > step), key=lambda point: point.step)
    part = (step - before.step) / (after.step - before.step)
    return (
        before.wall_clock_s + part * (after.wall_clock_s - before.wall_clock_s),
        before.energy_j + part * (after.energy_j - before.energy_j),
        SHARED_OUT,
    )


def joules_of(leg: Leg, parts: Sequence[str] = ("cpu", "ram")) -> float | None:
    """Return all joules of a leg; None: something of it is not known.

    Args:
        leg: with its hosts.
        parts: what is known of each host besides its devices.
    """
    if not leg.hosts:
        return None
    joules = [getattr(host, f"{part}_j") for host in leg.hosts for part in parts]
    joules += [device.energy_j for host in leg.hosts for device in host.devices]
    return None if None in joules else float(sum(joules))
