"""Energy counters of GPUs → running totals that survive a counter's absence and its reset.

Rule: the counter where there is one; power samples where there is none, or for the interval in which it was reset; and
which of them is said. A board that does not answer adds nothing until it does, and that is said too. Lives in the
meter's child process.
"""

from __future__ import annotations

from collections.abc import Iterable

from autocard.energy.nvml import Counters, Reading


class Boards:
    """Running totals of some boards."""

    def __init__(self, uuids: Iterable[str], at_s: float) -> None:
        """Open the boards and take the first reading at *at_s* (monotonic seconds).

        Raises:
            UnavailableError: no driver, or it does not answer.
        """
        self._counters = Counters(uuids)
        self._last = {
            uuid: (at_s, reading)
            for uuid, reading in self._counters.read().items()
            if reading.energy_j is not None or reading.power_w is not None
        }
        self.joules: dict[str, float] = dict.fromkeys(self._last, 0.0)
        """UUID → joules since the first reading; a board that said nothing then is not in it."""
        self.sampled: set[str] = {uuid for uuid, (_, reading) in self._last.items() if reading.energy_j is None}
        """Boards without a counter: their total comes from power samples."""
        self.reset: set[str] = set()
        """Boards whose counter went back: one interval of theirs comes from power."""
        self.silent: dict[str, str] = {}
        """Boards that do not answer now → why."""

    def tick(self, at_s: float) -> None:
        """Read all boards at *at_s* (monotonic seconds) and add up."""
        for uuid, after in self._counters.read().items():
            if uuid not in self._last:
                continue
            since_s, before = self._last[uuid]
            added = self._added(uuid, before, after, at_s - since_s)
            if added is None:
                # The next reading that there is then spans the silence.
                self.silent[uuid] = after.reason or "NVML: no reading"
                continue
            self.silent.pop(uuid, None)
            self.joules[uuid] += added
            self._last[uuid] = (at_s, after)

    def _added(self, uuid: str, before: Reading, after: Reading, seconds: float) -> float | None:
        """Return the joules between two readings; None: they do not tell."""
        counted = before.energy_j is not None and after.energy_j is not None
        if before.energy_j is not None and after.energy_j is not None and after.energy_j >= before.energy_j:
            return after.energy_j - before.energy_j
        watts = [reading.power_w for reading in (before, after) if reading.power_w is not None]
        if not watts:
            now_w = self._counters.power_w(uuid)
            if now_w is None:
                return None
            watts = [now_w]
        (self.reset if counted else self.sampled).add(uuid)
        return sum(watts) / len(watts) * seconds
