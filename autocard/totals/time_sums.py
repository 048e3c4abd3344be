"""The time of a run: sums over its legs, of seconds and of seconds × GPUs."""

from __future__ import annotations

from autocard.record import Leg, Time
from autocard.record.gaps import Part, PartBuilder
from autocard.totals.leg_sums import (
    GapError,
    Legs,
    hosts_of,
    put_sum,
    reason_at,
    require_all_devices,
    require_legs,
    sum_of,
)

OTHER_ALLOCATIONS = (
    "the starts used different numbers of GPUs, and the earlier allocations are not recorded"
)


def of_legs(legs: Legs, allocated: Part[int | None]) -> Part[Time]:
    """Return the time of *legs*.

    Args:
        legs: of a run.
        allocated: GPUs that the workload manager gave to the job.
    """
    part = PartBuilder(Time, "time")
    put_sum(part, "wall_clock_s", lambda: _total_s(legs))
    put_sum(part, "gpu_s", lambda: _gpu_s(legs))
    put_sum(part, "allocated_gpu_s", lambda: _allocated_gpu_s(legs, allocated))
    put_sum(part, "repeated_s", lambda: sum_of(legs, "repeated_s"))
    put_sum(part, "repeated_steps", lambda: int(sum_of(legs, "repeated_steps")))
    return part.build()


def _total_s(legs: Legs) -> float:
    require_legs(legs)
    total_s = 0.0
    for leg in legs:
        total_s += _wall_clock_s(leg)
    return total_s


def _wall_clock_s(leg: Part[Leg]) -> float:
    seconds = leg.value.wall_clock_s
    if seconds is None:
        raise GapError(reason_at(leg.gaps, "wall_clock_s"))
    return seconds


def _gpu_s(legs: Legs) -> float:
    """Return the seconds of all GPUs together."""
    require_legs(legs)
    for leg in legs:
        for path, _ in hosts_of(leg):
            require_all_devices(leg, path)
    total_s = 0.0
    for leg in legs:
        total_s += _wall_clock_s(leg) * _devices_of(leg)
    return total_s


def _devices_of(leg: Part[Leg]) -> int:
    """Return how many devices *leg* used."""
    return sum(len(host.devices) for host in leg.value.hosts)


def _allocated_gpu_s(legs: Legs, allocated: Part[int | None]) -> float:
    if allocated.value is None:
        raise GapError(allocated.gaps[""])
    if len({_devices_of(leg) for leg in legs}) > 1:
        raise GapError(OTHER_ALLOCATIONS)
    return _total_s(legs) * allocated.value
