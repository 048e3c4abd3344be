"""Complete cards that were written before all figures had arrived, at exit at the latest.

Rule: nothing here waits while training runs; the exit of the process waits for the worker at most
`EXIT_S` seconds. No trainer and no model is kept alive for it.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import time
from typing import Protocol

from autocard import guard

EXIT_S = 4.0
"""Seconds that the exit of the process waits for figures; writing the cards then takes less than a
second."""


class Completable(Protocol):
    """A session whose card may have to be written again."""

    @property
    def incomplete(self) -> bool:
        """Whether figures are still to come."""

    def complete(self) -> bool:
        """Write the card again if figures have arrived; return whether it was written."""

    def take_late(self, wait_s: float = 0.0, *, last: bool = False) -> None:
        """Note the figures that have arrived since a leg ended."""

    def receive(self, leg_id: str) -> None:
        """Note that the figures of another session's leg have arrived."""


_sessions: list[Completable] = []
_pid = 0


def add(session: Completable) -> None:
    """Complete the card of *session* when the process exits, if it is not complete by then.

    Args:
        session: keeps no trainer and no model alive (`Session.without_trainer`).
    """
    global _pid  # noqa: PLW0603 - a fork of this process has cards of its own
    if _pid != os.getpid():
        _sessions.clear()
        _pid = os.getpid()
        # Registered after the existing handlers, so called before them: they end the workers.
        atexit.unregister(_at_exit)
        atexit.register(_at_exit)
    _sessions.append(session)


def take_up() -> None:
    """Complete a single card whose figures have arrived: a training may be about to begin."""
    if _pid != os.getpid():
        return
    next((session for session in _sessions if session.complete()), None)
    _sessions[:] = [session for session in _sessions if session.incomplete]


def note_late() -> None:
    """Note arrived figures, in the ledger too; `take_up` or the exit handler writes their cards."""
    if _pid == os.getpid():
        for session in _sessions:
            session.take_late()


def publish(leg_id: str) -> None:
    """Note that a leg's figures have arrived; cards with the leg as a trial are written again."""
    for session in _sessions:
        session.receive(leg_id)


def _at_exit() -> None:
    """Complete all cards; figures that are still missing get their reason."""
    if _pid != os.getpid():
        return  # a forked process that runs exit handlers
    guard.exiting()
    until_s = time.monotonic() + EXIT_S
    with contextlib.suppress(KeyboardInterrupt):
        for session in _sessions:
            session.take_late(max(until_s - time.monotonic(), 0.0), last=True)
        for session in _sessions:
            session.complete()
