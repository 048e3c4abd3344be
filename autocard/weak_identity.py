"""A mapping from objects to values, by identity, that does not keep the objects alive.

The objects may be unhashable, or equal to each other. Imports the standard library only.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

V = TypeVar("V")


class ForkSafeLock:
    """A reentrant lock that a forked process replaces with a new lock.

    Reentrant, because the garbage collector may drop an object anywhere.
    """

    def __init__(self) -> None:
        """Make the lock."""
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self.held: AbstractContextManager[Any] = threading.RLock()


class WeakIdentityMap(Generic[V]):
    """Maps objects to values; an object's value goes when the object goes."""

    def __init__(self, gone: Callable[[V], None] = lambda _: None) -> None:
        """Begin empty.

        Args:
            gone: called with the value of an object that is gone, in any thread, with the lock
                held.
        """
        self._gone = gone
        self._entries: dict[int, tuple[weakref.ref[Any], V]] = {}
        self._lock = ForkSafeLock()

    def lock(self) -> AbstractContextManager[Any]:
        """Return the lock for reading and changing the map in a single step."""
        return self._lock.held

    def get(self, owner: Any) -> V | None:
        """Return the value of *owner*, or None."""
        entry = self._entries.get(id(owner))
        # Another object may have had the same id.
        return None if entry is None or entry[0]() is not owner else entry[1]

    def set(self, owner: Any, value: V) -> None:
        """Set the value of *owner*.

        Raises:
            TypeError: it cannot be referred to weakly.
        """
        key = id(owner)
        ref = weakref.ref(owner, lambda ref: self._drop(key, ref, value))
        with self.lock():
            self._entries[key] = ref, value

    def pop(self, owner: Any) -> None:
        """Forget *owner*."""
        with self.lock():
            if self.get(owner) is not None:
                del self._entries[id(owner)]

    def owners(self) -> list[Any]:
        """Return the objects that are alive, the latest last."""
        found = [ref() for ref, _ in list(self._entries.values())]
        return [owner for owner in found if owner is not None]

    def _drop(self, key: int, ref: weakref.ref[Any], value: V) -> None:
        with self.lock():
            entry = self._entries.get(key)
            if entry is not None and entry[0] is ref:
                del self._entries[key]
            self._gone(value)
