"""The open leg by our own clock and step counter, which need no measurement."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass, field

from autocard.energy.ledger.ledger_entry import utc_now
from autocard.record import Batch, Leg, Status
from autocard.runtime.clock import STEP_S, later, running_s


@dataclass
class StartedLeg:
    """A leg that has begun."""

    step: int = 0
    """Global step at its begin."""
    at: str = ""
    """Begin, ISO 8601 in UTC."""
    at_s: float = 0.0
    """Begin in monotonic seconds."""
    running_s: float = field(default_factory=running_s)
    """Begin in seconds of a clock that is never set."""
    id: str = ""
    """Id of the leg."""
    last_s: float = 0.0
    """Monotonic seconds of its last sign of life."""
    reached: int = 0
    """Global step that it has reached."""
    batch: Batch | None = None
    """Batch of its optimizer steps; None: not known."""

    def as_leg(self, step: int, status: Status | None, at_s: float) -> Leg:
        """Return the leg up to *at_s* (monotonic seconds), without measurements."""
        return Leg(
            id=self.id,
            started_at=self.at,
            ended_at=self._ended_at(at_s),
            wall_clock_s=at_s - self.at_s,
            step_begin=self.step,
            step_end=step,
            status=status,
        )

    def _ended_at(self, at_s: float) -> str:
        """Return the moment *at_s* (monotonic seconds), by the machine's clock.

        That is now, except for a leg that was broken off earlier. If the clock was set during the
        leg, the elapsed time is added to its begin.
        """
        now = utc_now()
        if not self.at:
            return now
        if time.monotonic() - at_s > STEP_S:
            return later(self.at, at_s - self.at_s)
        expected = later(self.at, running_s() - self.running_s)
        apart = dt.datetime.fromisoformat(now[:-1]) - dt.datetime.fromisoformat(expected[:-1])
        return expected if abs(apart.total_seconds()) > STEP_S else now
