"""The figures of the energy account: each part and the total, with the digits that are known.

One rule: a sum without one of its parts is not shown.
"""

from __future__ import annotations

from autocard import units
from autocard.record import RunRecord

PARTS = {"gpu": "GPUs", "cpu": "CPUs", "ram": "RAM"}
"""Part → its label in the table."""

NOT_MEASURED = "not measured"

_KINDS = {"measured": "measured", "modelled": "modeled", "modeled": "modeled"}
"""How the source of a figure begins → what the figure is; records of 0.1.0 have "modelled"."""

_START_UP_S = 3.0
"""Seconds that the meter takes to start, about."""
_TOO_SHORT = ("run too short", "training was over before", "training ended before")
"""What the reason has of a part that the meter had no time to read."""


def part_kwh(record: RunRecord, part: str) -> float | None:
    """Return the energy of *part*: gpu, cpu or ram."""
    energy_kwh: float | None = getattr(record.energy, f"{part}_kwh")
    return energy_kwh


def part_figure(record: RunRecord, part: str) -> str | None:
    """Return the energy of *part* in kWh, the number alone."""
    energy_kwh = part_kwh(record, part)
    return None if energy_kwh is None else units.number(energy_kwh, part_digits(record, part))


def part_digits(record: RunRecord, part: str) -> int:
    """Return the significant digits that the energy of *part* is known with."""
    return units.MEASURED if kind(record, part) == "measured" else units.MODELLED


def kind(record: RunRecord, part: str) -> str:
    """Return whether the energy of *part* is measured or modeled; "": neither, or not known."""
    beginning = record.energy.sources.get(part, "").partition(":")[0]
    return _KINDS.get(beginning, "")


def too_short(record: RunRecord) -> str | None:
    """Return that the run was too short to be measured, in words; None: it was not."""
    if any(part_kwh(record, part) for part in PARTS):
        return None
    reasons = [record.why_missing(f"energy.{part}_kwh") or "" for part in PARTS]
    if not any(words in reason for reason in reasons for words in _TOO_SHORT):
        return None
    wall_clock_s = record.time.wall_clock_s
    if wall_clock_s is not None and wall_clock_s < _START_UP_S:
        return f"{NOT_MEASURED} (run shorter than the 3 s start-up of the meter)"
    return f"{NOT_MEASURED} (the run ended before the meter had started)"


def total_places(record: RunRecord) -> int | None:
    """Return how many decimals of the total are known. None: there is no total.

    No more than its coarsest part has, and no more digits than its best known part has.
    """
    total_kwh = record.energy.total_kwh
    if total_kwh is None:
        return None
    places = []
    digits_of_parts = []
    for part in PARTS:
        energy_kwh = part_kwh(record, part)
        if energy_kwh:
            digits = part_digits(record, part)
            digits_of_parts.append(digits)
            places.append(units.decimals(energy_kwh, digits))
    best_digits = max(digits_of_parts, default=units.MODELLED)
    places.append(units.decimals(total_kwh, best_digits))
    return min(places)


def total_digits(record: RunRecord) -> int | None:
    """Return how many significant digits of the total are known. None: there is no total."""
    places, total_kwh = total_places(record), record.energy.total_kwh
    if places is None or total_kwh is None:
        return None
    return max(1, places - units.decimals(total_kwh, 1) + 1)


def total(record: RunRecord) -> str | None:
    """Return the total in kWh, the number alone."""
    places = total_places(record)
    if places is None or record.energy.total_kwh is None:
        return None
    return units.fixed(record.energy.total_kwh, places)


def unreported_part(record: RunRecord) -> str | None:
    """Return which processes did not report, in the record's words; None: all did."""
    reasons = {}
    for number, leg in enumerate(record.legs):
        reason = record.missing.get(f"legs.{number}.hosts")
        if reason and leg.hosts:
            reasons[number + 1] = reason
    if not reasons:
        return None
    if len(record.legs) == 1:
        return reasons[1]
    return "; ".join(f"in start {number} {reason}" for number, reason in reasons.items())


def why_no_total(record: RunRecord) -> str | None:
    """Return why the total is not known."""
    return unreported_part(record) or record.why_missing("energy.total_kwh")
