"""Notice changes of the machine's wall clock, which make the Trainer's own times wrong.

The Trainer takes its times from `time.time()`, which a clock service, an administrator or a resumed
virtual machine may set back or forward. autocard's times come from clocks that are never set.
Imports the standard library only.
"""

from __future__ import annotations

import datetime as dt
import time

STEP_S = 0.5
"""Seconds by which the wall clock must differ from the monotonic clock to count as set; clock
services that slew the clock stay far below."""


def running_s() -> float:
    """Return the seconds of a clock that is never set.

    If the system has such a clock, it also counts while the machine sleeps.
    """
    boot: int | None = getattr(time, "CLOCK_BOOTTIME", None)  # Linux
    return time.monotonic() if boot is None else time.clock_gettime(boot)


def later(started_at: str, seconds: float) -> str:
    """Return the moment *seconds* after *started_at* (ISO 8601, UTC)."""
    moment = dt.datetime.fromisoformat(started_at.replace("Z", "+00:00")) + dt.timedelta(
        seconds=seconds
    )
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class WallClock:
    """Notices that the wall clock was set."""

    def __init__(self) -> None:
        """Note the present difference of the clocks."""
        self._ahead_s = self._ahead()
        self._set_at_s: list[float] = []

    @staticmethod
    def _ahead() -> float:
        return time.time() - running_s()

    def look(self) -> None:
        """Compare the clocks; cheap enough to be called every second."""
        ahead_s = self._ahead()
        if abs(ahead_s - self._ahead_s) > STEP_S:
            self._set_at_s.append(time.monotonic())
        self._ahead_s = ahead_s

    def was_set(self, since_s: float) -> bool:
        """Return whether a change of the clock was noticed after *since_s* (monotonic seconds)."""
        self.look()
        return any(at_s >= since_s for at_s in self._set_at_s)
