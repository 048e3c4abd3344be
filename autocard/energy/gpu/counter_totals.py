"""Energy counters of GPUs → running totals that survive a counter's absence and its reset.

Rule: the counter where there is one; power samples where there is none, or for the interval in
which it was reset; and which of them is said. A board that does not answer adds nothing until it
does, and that is said too. Lives in the meter's child process, where a thread of its own reads
often enough that an interval is short: whatever else that process waits for.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Iterable

from autocard.energy.gpu import backends
from autocard.energy.gpu.base import CounterReading

COUNTER_S = 1.0
"""Seconds between readings: of a counter that is set back, no more than this comes from its power.
"""
SAMPLE_S = 0.05
"""Seconds between readings where a board has no counter; such boards (before Volta) renew their
power as often."""
HANG_S = 2.0
"""Seconds that one thread waits for the other's reading."""
KEPT_S = 60.0
"""Seconds for which totals can be asked for afterwards."""


def counted_j(begin_j: float | None, end_j: float | None) -> float | None:
    """Return what a counter has counted; None: a reading is missing, or the counter was reset."""
    if begin_j is None or end_j is None or end_j < begin_j:
        return None
    return end_j - begin_j


class CounterTotals:
    """Running totals of some boards."""

    def __init__(self, uuids: Iterable[str], at_s: float) -> None:
        """Open the boards and take the first reading at *at_s* (monotonic seconds).

        Raises:
            UnavailableError: no driver, or it does not answer.
        """
        self._counters = backends.counters(uuids)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._last = {
            uuid: (at_s, reading)
            for uuid, reading in self._counters.read().items()
            if reading.energy_j is not None or reading.power_w is not None
        }
        self.joules: dict[str, float] = dict.fromkeys(self._last, 0.0)
        """UUID → joules since the first reading; a board that said nothing then is not in it."""
        self.sampled: set[str] = {
            uuid for uuid, (_, reading) in self._last.items() if reading.energy_j is None
        }
        """Boards without a counter: their total comes from power samples."""
        self.reset: set[str] = set()
        """Boards whose counter went back: one interval of theirs comes from power."""
        self.silent: dict[str, str] = {}
        """Boards that do not answer now → why."""
        self.shared: set[str] = set()
        """Boards on which several processes computed at some reading."""
        self._past: deque[tuple[float, dict[str, float]]] = deque([(at_s, dict(self.joules))])
        self._looked_s = at_s

    def watch(self) -> None:
        """Read by itself from now on, in a thread, until `close`."""
        threading.Thread(target=self._watch, name="autocard boards", daemon=True).start()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_S if self.sampled else COUNTER_S):
            self.tick(time.monotonic())

    def close(self) -> None:
        """Read no more by itself."""
        self._ended.set()

    def tick(self, at_s: float) -> None:
        """Read all boards at *at_s* (monotonic seconds) and add up."""
        if not self._lock.acquire(timeout=HANG_S):
            return  # a driver that hangs in one thread must not take the other along
        try:
            if at_s <= self._past[-1][0]:
                return  # the other thread was faster
            for uuid, after in self._counters.read().items():
                if uuid in self._last:
                    self._take(uuid, after, at_s)
            self._past.append((at_s, dict(self.joules)))
            while self._past[0][0] < at_s - KEPT_S:
                self._past.popleft()
            if at_s - self._looked_s >= COUNTER_S / 2:
                self._looked_s = at_s
                self.shared |= self._counters.shared()
        finally:
            self._lock.release()

    def _take(self, uuid: str, after: CounterReading, at_s: float) -> None:
        since_s, before = self._last[uuid]
        added = self._added(uuid, before, after, at_s - since_s)
        if added is None:
            # The next reading that there is then spans the silence.
            self.silent[uuid] = after.reason or backends.no_reading(uuid)
            return
        self.silent.pop(uuid, None)
        self.joules[uuid] += added
        self._last[uuid] = (at_s, after)

    def _added(
        self, uuid: str, before: CounterReading, after: CounterReading, seconds: float
    ) -> float | None:
        """Return the joules between two readings; None: they do not tell."""
        counted = counted_j(before.energy_j, after.energy_j)
        if counted is not None:
            return counted
        was_reset = before.energy_j is not None and after.energy_j is not None
        watts = [reading.power_w for reading in (before, after) if reading.power_w is not None]
        if not watts:
            now_w = self._counters.power_w(uuid)
            if now_w is None:
                return None
            watts = [now_w]
        (self.reset if was_reset else self.sampled).add(uuid)
        return sum(watts) / len(watts) * seconds

    def at(self, at_s: float) -> dict[str, float] | None:
        """Return the totals at a moment of the last minute, between two readings; None: unknown."""
        for (one_s, one), (other_s, other) in itertools.pairwise(list(self._past)):
            if one_s <= at_s <= other_s and other_s > one_s:
                part = (at_s - one_s) / (other_s - one_s)
                return {uuid: one[uuid] + part * (other[uuid] - one[uuid]) for uuid in one}
        return None
