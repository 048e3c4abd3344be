"""Running totals at a few moments → joules between two moments.

Rule: a total is only read between readings, or beside them at the mean power of the nearest
interval, and how much of the window lay outside the readings is said. Pure arithmetic; imports the
standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SHORTEST_S = 0.05
"""Seconds. Two readings that are closer together say nothing about a mean power."""
MOST = 2000
"""Readings that a history holds: at one a second, half an hour of them."""


@dataclass(frozen=True)
class Sample:
    """Joules since some fixed moment, of every part, at one moment."""

    at_s: float
    """Seconds of the monotonic clock, which all processes of a machine share."""
    joules: Mapping[str, float]
    """Part (cpu, ram, a board's UUID, …) to joules."""


@dataclass(frozen=True)
class Used:
    """What was used in a window."""

    joules: dict[str, float] = field(default_factory=dict)
    """Part to joules; a part without enough readings is not in it."""
    before_s: float = 0.0
    """Seconds at the start of the window that no reading covers: filled in at the first interval's
    mean power."""
    after_s: float = 0.0
    """Seconds at the end of the window that no reading covers: filled in at the last interval's
    mean power."""
    reason: str | None = None
    """Why there are no joules."""
    note: str = ""
    """What has to be said of who read them."""


TOO_SHORT = "run too short for two readings"


class Track:
    """The readings of one leg: the two around its start and the last two, however long it takes."""

    def __init__(self) -> None:
        """Begin without readings."""
        self._head: list[Sample] = []
        self._tail: list[Sample] = []

    def add(self, sample: Sample) -> None:
        """Take a reading, later than those before it."""
        if len(self._head) < 2:  # noqa: PLR2004 - two ends of an interval
            if self._head and sample.at_s - self._head[0].at_s < SHORTEST_S:
                return
            self._head.append(sample)
        if len(self._tail) > 1 and sample.at_s - self._tail[-1].at_s < SHORTEST_S:
            self._tail[-1] = sample
        else:
            self._tail = [*self._tail[-1:], sample]

    @property
    def first_s(self) -> float | None:
        """Moment of the first reading (monotonic seconds); None: there is none."""
        return self._head[0].at_s if self._head else None

    def between(self, begin_s: float, end_s: float) -> Used:
        """Return what was used from *begin_s* to *end_s* (monotonic seconds)."""
        if len(self._head) < 2 or self._head[0].at_s > end_s:  # noqa: PLR2004
            return Used(reason=TOO_SHORT)
        parts = self._head[0].joules.keys() & self._head[1].joules.keys()
        joules = {
            part: max(_total(self._tail, part, end_s) - _total(self._head, part, begin_s), 0.0)
            for part in parts
            if all(part in sample.joules for sample in self._tail)
        }
        return Used(
            joules,
            before_s=max(self._head[0].at_s - begin_s, 0.0),
            after_s=max(end_s - self._tail[-1].at_s, 0.0),
        )


class SampleHistory:
    """Readings of a stretch, of which parts are looked up afterwards; thinned if there are many."""

    def __init__(self, most: int = MOST) -> None:
        """Begin without readings; keep about *most*."""
        self._most = most
        self._samples: list[Sample] = []

    def __len__(self) -> int:
        """Return how many readings there are."""
        return len(self._samples)

    def add(self, sample: Sample) -> None:
        """Take a reading, later than those before it."""
        if self._samples and sample.at_s - self._samples[-1].at_s < SHORTEST_S:
            return
        self._samples.append(sample)
        if len(self._samples) > self._most:
            half = len(self._samples) // 2
            self._samples = self._samples[:half:2] + self._samples[half:]

    def between(self, begin_s: float, end_s: float) -> Used:
        """Return what was used from *begin_s* to *end_s* (monotonic seconds)."""
        if len(self._samples) < 2:  # noqa: PLR2004 - two ends of an interval
            return Used(reason="fewer than two readings")
        parts = set.intersection(*(set(sample.joules) for sample in self._samples))
        first, last = self._samples[0], self._samples[-1]
        one, other = self._pair(begin_s), self._pair(end_s)
        return Used(
            {
                part: max(_total(other, part, end_s) - _total(one, part, begin_s), 0.0)
                for part in parts
            },
            before_s=max(first.at_s - begin_s, 0.0),
            after_s=max(end_s - last.at_s, 0.0),
        )

    def _pair(self, at_s: float) -> list[Sample]:
        """Return the two readings around *at_s*, or the two that are nearest."""
        after = next(
            (n for n, sample in enumerate(self._samples) if sample.at_s >= at_s),
            len(self._samples) - 1,
        )
        after = max(after, 1)
        return self._samples[after - 1 : after + 1]


def _total(pair: list[Sample], part: str, at_s: float) -> float:
    """Return the total of *part* at *at_s* on the straight line through two readings."""
    one, other = pair
    power_w = (other.joules[part] - one.joules[part]) / (other.at_s - one.at_s)
    return one.joules[part] + power_w * (at_s - one.at_s)
