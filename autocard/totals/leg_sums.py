"""Sums of one figure over the legs of a run and their hosts.

Rule: a sum of which one part was not measured is a gap with that part's reason, never the sum of
the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from autocard.record import HostUse, Leg
from autocard.record.gaps import Gaps, Part, PartBuilder, why

J_PER_KWH = 3.6e6

NO_LEGS = "no training was measured"

Legs = Sequence[Part[Leg]]


class GapError(Exception):
    """A part of a sum is not there; its text is the reason."""


def put_sum(part: PartBuilder[Any], name: str, work: Callable[[], float]) -> None:
    """Set the field *name* of *part* to what *work* returns, or note the gap that it raises."""
    try:
        part.fields[name] = work()
    except GapError as gap:
        part.put(name, None, str(gap))


def reason_at(gaps: Gaps, path: str) -> str:
    """Return the reason for *path*, or for a part that holds it."""
    return why(gaps, path) or "not measured"


def hosts_of(leg: Part[Leg]) -> Iterator[tuple[str, HostUse]]:
    """Yield the hosts of *leg*, each with its path inside the leg.

    Raises:
        GapError: it has none, or not all of them.
    """
    if not leg.value.hosts or "hosts" in leg.gaps:
        raise GapError(reason_at(leg.gaps, "hosts"))
    for number, host in enumerate(leg.value.hosts):
        yield f"hosts.{number}", host


def require_legs(legs: Legs) -> None:
    """Raise `GapError` where there are no legs."""
    if not legs:
        raise GapError(NO_LEGS)


def require_all_devices(leg: Part[Leg], host: str) -> None:
    """Raise `GapError` if the devices of the host at the path *host* are not all that it used."""
    reason = leg.gaps.get(f"{host}.devices")
    if reason is not None:
        raise GapError(reason)


def part_j(legs: Legs, leaf: str) -> float:
    """Return the joules that all hosts have at *leaf*.

    Raises:
        GapError: one has none.
    """
    require_legs(legs)
    total_j = 0.0
    for leg in legs:
        for path, host in hosts_of(leg):
            joules: float | None = getattr(host, leaf)
            if joules is None:
                raise GapError(reason_at(leg.gaps, f"{path}.{leaf}"))
            total_j += joules
    return total_j


def gpu_j(legs: Legs) -> float:
    """Return the joules of all GPUs; 0 where none was used.

    Raises:
        GapError: one was not measured, or it is not known which ones were used.
    """
    require_legs(legs)
    total_j = 0.0
    for leg in legs:
        for path, host in hosts_of(leg):
            require_all_devices(leg, path)
            for number, device in enumerate(host.devices):
                if device.energy_j is None:
                    raise GapError(reason_at(leg.gaps, f"{path}.devices.{number}.energy_j"))
                total_j += device.energy_j
    return total_j


def all_j(legs: Legs) -> float:
    """Return the joules of GPUs, CPUs and RAM: at the devices, without PUE."""
    return gpu_j(legs) + part_j(legs, "cpu_j") + part_j(legs, "ram_j")


def sum_of(legs: Legs, leaf: str) -> float:
    """Return the sum of a leaf of the legs: what is apart from the total, or a part of it.

    Raises:
        GapError: there is no leg, or one does not have it.
    """
    require_legs(legs)
    total = 0.0
    for leg in legs:
        value: float | None = getattr(leg.value, leaf)
        if value is None:
            raise GapError(reason_at(leg.gaps, leaf))
        total += value
    return total
