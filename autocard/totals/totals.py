"""Legs of all hosts → the sums of a run: hours, kilowatt-hours, grams.

Rule: every sum is worked out in this package and nowhere else. It imports nothing heavy and
measures nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from autocard.record import Emissions, Energy, Leg, Time
from autocard.record.gaps import Part
from autocard.settings import Settings
from autocard.totals import emission_sums, energy_sums, repeated_steps, time_sums
from autocard.totals.leg_sums import GapError, Legs

NOT_ALLOCATED = "no workload manager shows how many GPUs were allocated"


@dataclass(frozen=True)
class Sums:
    """The sums over all legs and hosts."""

    time: Part[Time]
    """What legs give of it: wall_clock_s, gpu_s, allocated_gpu_s, repeated_s, repeated_steps."""
    energy: Part[Energy]
    emissions: Part[Emissions]


def sums(
    legs: Legs,
    *,
    settings: Settings,
    gpus_allocated: int | None = None,
    why_not_allocated: str = NOT_ALLOCATED,
) -> Sums:
    """Return the sums over all legs and hosts.

    Args:
        legs: of the record, in its order.
        settings: what only people can give: water usage effectiveness, market-based emissions.
        gpus_allocated: GPUs that the workload manager gave to the job.
        why_not_allocated: the reason where that is None.
    """
    allocated = Part(gpus_allocated, {"": why_not_allocated})
    return Sums(
        time_sums.of_legs(legs, allocated),
        energy_sums.of_legs(legs),
        emission_sums.of_legs(legs, settings),
    )


def with_emissions(legs: Legs) -> list[Part[Leg]]:
    """Return *legs*, each with its own grams of CO2eq."""
    return [_with_emissions(leg) for leg in legs]


def _with_emissions(leg: Part[Leg]) -> Part[Leg]:
    try:
        return replace(
            leg, value=leg.value.model_copy(update={"co2eq_g": emission_sums.co2eq_g([leg])})
        )
    except GapError as gap:
        value = leg.value.model_copy(update={"co2eq_g": None})
        return Part(value, {**leg.gaps, "co2eq_g": str(gap)})


def with_repeats(legs: Legs) -> list[Part[Leg]]:
    """Return *legs*, each with what later ones did again of it."""
    return repeated_steps.marked(legs)
