"""Cards that libraries are writing now, perhaps in several threads at once.

If several threads write a card, the first reads the text before it: the others might read a
library's text.
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
    """State of this thread: others may write cards at the same time."""

    within = False
    """Whether the thread writes a card: a writer may call another."""
    saves = 0
    """Number of nested saves of the model: a save may call another."""


@dataclass
class OpenWrite:
    """A card that libraries are writing."""

    before: library_cards.CardBefore
    """The card as it was before the first write."""
    threads: int = 0
    """Number of threads that write it."""


class OpenWrites:
    """The cards that are being written."""

    def __init__(self) -> None:
        self._open: dict[str, OpenWrite] = {}
        """Cards by real path."""
        self._lock = threading.Lock()

    def enter(
        self, card: Path, read: Callable[[], library_cards.CardBefore | None], most_s: float
    ) -> OpenWrite | None:
        """Note that this thread writes *card*.

        Args:
            card: path of the card.
            read: reads it; called in the first thread only.
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
        """Note that a thread has written; return whether no other thread writes the same card."""
        with held_for(self._lock, most_s):
            writing.threads -= 1
            if writing.threads == 0:
                self._open.pop(os.path.realpath(writing.before.card), None)
            return writing.threads == 0


@contextlib.contextmanager
def held_for(lock: threading.Lock, most_s: float) -> Iterator[None]:
    """Hold *lock* in the body, or go on without it after *most_s* seconds.

    A forked process inherits a copy of the lock that may never be released.
    """
    has_it = lock.acquire(timeout=most_s)
    try:
        yield
    finally:
        if has_it:
            lock.release()
