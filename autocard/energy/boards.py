"""Energy counters of GPUs → running totals that survive a counter's absence and its reset.

Rule: the counter where there is one; power samples (integrated between their moments) where there is none, or while it
is reset; and which of them is said. Lives in the meter's child process.
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
        self._last: dict[str, Reading] = self._counters.read()
        self._last_s = at_s
        self.joules: dict[str, float] = {
            uuid: 0.0 for uuid, reading in self._last.items() if reading.energy_j is not None or reading.power_w is not None
        }
        """UUID → joules since the first reading; a board that says nothing is not in it."""
        self.sampled: set[str] = {uuid for uuid, reading in self._last.items() if reading.energy_j is None} & set(self.joules)
        """Boards whose total comes, in part or in whole, from power samples."""
        self.reset: set[str] = set()
        """Boards whose counter went back."""
        self.silent: dict[str, str] = {}
        """Boards that stopped answering → why."""

    @property
    def need_samples(self) -> bool:
        """Whether power has to be sampled often: some board has no counter."""
        return bool(self.sampled - self.reset)

    def tick(self, at_s: float) -> None:
        """Read all boards at *at_s* (monotonic seconds) and add up."""
        seconds = at_s - self._last_s
        now = self._counters.read()
        for uuid in self.joules:
            before, after = self._last[uuid], now[uuid]
            added = self._added(uuid, before, after, seconds)
            if added is None:
                self.silent[uuid] = after.reason or "NVML: no reading"
                now[uuid] = before  # the next difference then spans the silence
            else:
                self.silent.pop(uuid, None)
                self.joules[uuid] += added
        self._last, self._last_s = now, at_s

    def _added(self, uuid: str, before: Reading, after: Reading, seconds: float) -> float | None:
        """Return the joules between two readings; None: they do not tell."""
        if before.energy_j is not None and after.energy_j is not None:
            if after.energy_j >= before.energy_j:
                return after.energy_j - before.energy_j
            self.reset.add(uuid)
            power_w = self._counters.power_w(uuid)
            return None if power_w is None else power_w * seconds
        if before.power_w is not None and after.power_w is not None:
            self.sampled.add(uuid)
            return (before.power_w + after.power_w) / 2 * seconds
        return None
