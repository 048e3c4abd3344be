"""Cards that were written before everything was measured: completed when the rest is known, at exit at the latest.

Rule: nothing here waits while training runs; the exit of the process waits for the measuring
process `EXIT_S` seconds at most. No trainer and no model is kept alive for it.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import time
from typing import Protocol

from autocard import guard

EXIT_S = 4.0
"""Seconds that the exit of the process waits for figures; to write the cards then takes a fraction
of one."""


class Completable(Protocol):
    """A session whose card may have to be written again."""

    @property
    def incomplete(self) -> bool:
        """Whether figures are still to come."""

    def complete(self) -> bool:
        """Write the card again if figures have come; return whether it was written."""

    def take_late(self, wait_s: float = 0.0, *, last: bool = False) -> None:
        """Note the figures that have come since a leg ended."""

    def receive(self, leg_id: str) -> None:
        """Note that another session's leg has its figures now."""


_sessions: list[Completable] = []
_pid = 0


def add(session: Completable) -> None:
    """Complete the card of *session* when the process exits, if nothing has completed it by then.

    Args:
        session: one that keeps no trainer and no model alive (`Session.without_trainer`).
    """
    global _pid  # noqa: PLW0603 - a fork of this process has cards of its own
    if _pid != os.getpid():
        _sessions.clear()
        _pid = os.getpid()
        # Behind the handlers that are there already, so called before them: they end the measuring
        # processes.
        atexit.unregister(_at_exit)
        atexit.register(_at_exit)
    _sessions.append(session)


def take_up() -> None:
    """Complete the cards whose figures have come; one at a time, because a training may be about to begin."""
    if _pid != os.getpid():
        return
    next((session for session in _sessions if session.complete()), None)
    _sessions[:] = [session for session in _sessions if session.incomplete]


def note_late() -> None:
    """Note figures that have come, in the ledger too; their cards are written by `take_up` or at exit."""
    if _pid == os.getpid():
        for session in _sessions:
            session.take_late()


def publish(leg_id: str) -> None:
    """Note that a leg has its figures now: a card that has it as a trial of a search is written again."""
    for session in _sessions:
        session.receive(leg_id)


def _at_exit() -> None:
    """Complete all cards; what is not known by now gets its reason."""
    if _pid != os.getpid():
        return  # a fork that exits as a program does
    guard.exiting()
    until_s = time.monotonic() + EXIT_S
    with contextlib.suppress(KeyboardInterrupt):
        for session in _sessions:
            session.take_late(max(until_s - time.monotonic(), 0.0), last=True)
        for session in _sessions:
            session.complete()
