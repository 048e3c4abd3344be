"""Readings of the host's own counters: CPU time, and RAPL's joules where this user may read them.

The training process takes one when training begins and ends, the measuring process takes more in
between. From them the energy of a stretch that CodeCarbon did not see (it takes seconds to start)
is worked out with CodeCarbon's own power model. A reading costs a fraction of a millisecond. psutil
comes with codecarbon and is imported inside functions.
"""

from __future__ import annotations

import bisect
import contextlib
import itertools
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
UJ_PER_J = 1e6
MOST = 2000
"""Readings that are kept; of more, every second one of the older half is dropped."""


@dataclass(frozen=True)
class HostReading:
    """The host's counters at one moment."""

    at_s: float
    """Monotonic seconds."""
    busy_s: float | None = None
    """Seconds in which CPUs worked, summed over all CPUs since the machine was started."""
    total_s: float | None = None
    """The same with the seconds in which they idled."""
    packages_j: Mapping[str, float] = field(default_factory=dict)
    """RAPL package → joules on its counter; empty: there is none, or this user may not read it."""
    ranges_j: Mapping[str, float] = field(default_factory=dict)
    """RAPL package → joules at which its counter starts again from zero."""

    def to_json(self) -> dict[str, Any]:
        """Return what `Reading(**…)` takes."""
        return asdict(self)


@dataclass(frozen=True)
class HostInterval:
    """A piece of time between two moments."""

    seconds: float
    """How long it is."""
    share: float | None
    """Mean share (0 to 1) of the machine's CPUs that worked; None: not known."""
    cpu_j: float | None
    """Joules of all CPU packages by RAPL; None: not known."""


def read(powercap: Path = POWERCAP) -> HostReading:
    """Read the counters now. What cannot be read is left out."""
    busy_s, total_s = _cpu_times()
    packages_j, ranges_j = _packages(powercap)
    return HostReading(time.monotonic(), busy_s, total_s, packages_j, ranges_j)


def _cpu_times() -> tuple[float | None, float | None]:
    """Return the busy seconds and all seconds of all CPUs, as psutil and CodeCarbon count them."""
    try:
        import psutil  # noqa: PLC0415

        times = psutil.cpu_times()
    except (ImportError, OSError):
        return None, None
    # Linux counts the time of guests in user and nice already.
    total_s = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return total_s - times.idle - getattr(times, "iowait", 0.0), total_s


def _packages(powercap: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Return the counters of the CPU packages and their ranges, in joules."""
    packages_j, ranges_j = dict[str, float](), dict[str, float]()
    for zone in sorted(powercap.glob("intel-rapl:*")):  # those of AMD have the same name
        with contextlib.suppress(OSError, ValueError):
            if "package" in (zone / "name").read_text(encoding="ascii"):
                packages_j[zone.name] = (
                    int((zone / "energy_uj").read_text(encoding="ascii")) / UJ_PER_J
                )
                ranges_j[zone.name] = (
                    int((zone / "max_energy_range_uj").read_text(encoding="ascii")) / UJ_PER_J
                )
    return packages_j, ranges_j


class HostReadings:
    """Readings of several processes, in the order of time."""

    def __init__(self) -> None:
        """Begin without readings."""
        self._all: list[HostReading] = []

    def add(self, reading: HostReading) -> None:
        """Take a reading; it may be older than others."""
        bisect.insort(self._all, reading, key=lambda one: one.at_s)
        if len(self._all) > MOST:
            half = len(self._all) // 2
            self._all = self._all[:half:2] + self._all[half:]

    def stretches(self, begin_s: float, end_s: float) -> list[HostInterval]:
        """Return the intervals from *begin_s* to *end_s* (monotonic seconds); empty: not known.

        What lies beside the readings is given the mean of the nearest interval.
        """
        last = len(self._all) - 1
        pairs = [
            n for n in range(last) if self._all[n + 1].at_s > begin_s and self._all[n].at_s < end_s
        ]
        if not pairs or end_s <= begin_s:
            return []
        moments = [begin_s, *(self._all[n + 1].at_s for n in pairs[:-1]), end_s]
        spans = itertools.pairwise(moments)
        return [
            self._stretch(n, to_s - from_s) for n, (from_s, to_s) in zip(pairs, spans, strict=True)
        ]

    def _stretch(self, number: int, seconds: float) -> HostInterval:
        """Return *seconds* as they were between the reading with this *number* and the next one."""
        one, other = self._all[number], self._all[number + 1]
        spent_j = _spent_j(one, other)
        cpu_j = None if spent_j is None else spent_j / (other.at_s - one.at_s) * seconds
        return HostInterval(seconds, self._load(number, number + 1), cpu_j)

    def _load(self, first: int, last: int) -> float | None:
        """Return the load between two readings, or more around them if the clock is too coarse."""
        share = _share(self._all[first], self._all[last])
        if share is not None or (first == 0 and last == len(self._all) - 1):
            return share
        return self._load(max(first - 1, 0), min(last + 1, len(self._all) - 1))


def _share(one: HostReading, other: HostReading) -> float | None:
    if one.busy_s is None or one.total_s is None or other.busy_s is None or other.total_s is None:
        return None
    total_s = other.total_s - one.total_s
    return min(max((other.busy_s - one.busy_s) / total_s, 0.0), 1.0) if total_s > 0 else None


def _spent_j(one: HostReading, other: HostReading) -> float | None:
    if (
        other.at_s <= one.at_s
        or not one.packages_j
        or one.packages_j.keys() != other.packages_j.keys()
    ):
        return None
    spent_j = 0.0
    for package, begin_j in one.packages_j.items():
        counted_j = other.packages_j[package] - begin_j
        spent_j += counted_j if counted_j >= 0 else counted_j + other.ranges_j.get(package, 0.0)
    return max(spent_j, 0.0)
