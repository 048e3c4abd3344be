"""Cards that libraries are writing now, perhaps in several threads at once.

Of several threads that write one card, the first reads what was there: what the others would read
may be a library's text.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from autocard.card.libraries import library_cards


class ThreadState(threading.local):
    """What one thread does: others may write cards at the same time."""

    within = False
    """Whether it writes a card: one writer calls another."""
    saves = 0
    """Saves of the model that are on their way: one calls another."""


@dataclass
class OpenWrite:
    """One card that libraries write."""

    before: library_cards.CardBefore
    """The card as it was before the first of them."""
    threads: int = 0
    """Threads in which they do."""


class OpenWrites:
    """The cards that are being written."""

    def __init__(self) -> None:
        self._open: dict[str, OpenWrite] = {}
        """By real path."""
        self._lock = threading.Lock()

    def enter(
        self, card: Path, read: Callable[[], library_cards.CardBefore | None], most_s: float
    ) -> OpenWrite | None:
        """Note that this thread writes *card*.

        Args:
            card: path of the card.
            read: reads it; only the first thread does.
            most_s: seconds to wait for another thread.

        Returns:
            None: it could not be read.
        """
        place = os.path.realpath(card)
        with held_for(self._lock, most_s):
            writing = self._open.get(place)
            if writing is None:
                before = read()
                if before is None:
                    return None
                writing = self._open[place] = OpenWrite(before)
            writing.threads += 1
        return writing

    def leave(self, writing: OpenWrite, most_s: float) -> bool:
        """Note that one thread has written; return whether no other one writes the same card."""
        with held_for(self._lock, most_s):
            writing.threads -= 1
            if writing.threads == 0:
                self._open.pop(os.path.realpath(writing.before.card), None)
            return writing.threads == 0


@contextlib.contextmanager
def held_for(lock: threading.Lock, most_s: float) -> Iterator[None]:
    """Hold *lock* in the body, or go on without it after *most_s* seconds: the copy of a forked process may be held."""
    has_it = lock.acquire(timeout=most_s)
    try:
        yield
    finally:
        if has_it:
            lock.release()
