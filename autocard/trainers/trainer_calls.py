"""Which trainers there are, and which of their calls are running.

Trainers make themselves known when one of their wrapped methods is called (`hub.hosts` says which).
They are referred to weakly, and nothing is read off the call stack.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from autocard.weak_identity import WeakIdentityMap

TRAIN = "train"
PUSH = "push_to_hub"
SEARCH = "hyperparameter_search"
_KEPT = ("token", "revision", "resume_from_checkpoint")
"""Arguments of a call that are kept while it runs; none of them is a large object."""


@dataclass(eq=False)
class Call:
    """One call of a trainer's method.

    Attributes:
        name: of the method.
        given: what was passed, of those arguments that are asked for.
        thread: the thread's identifier.
        running: False once it has returned or raised.
        when_over: called then, before the caller gets the result or the exception.
    """

    name: str
    given: dict[str, Any]
    thread: int = field(default_factory=threading.get_ident)
    running: bool = True
    when_over: Callable[[], None] | None = None


_trainers: WeakIdentityMap[list[Call]] = WeakIdentityMap()
_searched_until_s = float("-inf")
"""Monotonic seconds when the latest search of this process ended."""


def note(trainer: Any) -> list[Call]:
    """Make *trainer* known, and return its running calls.

    Raises:
        TypeError: it cannot be referred to weakly.
    """
    with _trainers.lock():
        calls = _trainers.get(trainer)
        if calls is None:
            calls = []
            _trainers.set(trainer, calls)
        return calls


def find(args: Any, state: Any) -> Any:
    """Return the trainer whose event shows *args* and *state*; None: it is not known.

    Two trainers may have the same arguments, but each has a state of its own.
    """
    found = [trainer for trainer in _trainers.owners() if getattr(trainer, "args", None) is args]
    exact = [trainer for trainer in found if getattr(trainer, "state", None) is state]
    return next(reversed(exact or found), None)


@contextlib.contextmanager
def running(trainer: Any, name: str, given: Mapping[str, Any]) -> Iterator[None]:
    """Note that a method of *trainer* runs while the body does."""
    global _searched_until_s  # noqa: PLW0603 - of this process
    call = Call(name, {key: given.get(key) for key in _KEPT if key in given})
    calls = note(trainer)
    calls.append(call)
    try:
        yield
    finally:
        call.running = False
        calls.remove(call)
        if call.when_over is not None:
            call.when_over()
        if name == SEARCH:
            _searched_until_s = time.monotonic()


def searched_since(moment_s: float) -> bool:
    """Return whether a search of any trainer has ended after *moment_s* (monotonic seconds)."""
    return _searched_until_s > moment_s


def outermost(trainer: Any, name: str) -> Call | None:
    """Return the running call of *trainer*'s method *name* that began first, in any thread."""
    calls = None if trainer is None else _trainers.get(trainer)
    return next((call for call in calls or () if call.name == name), None)


def resumed_from(trainer: Any) -> Any:
    """Return the checkpoint passed to the running `train` of *trainer*; None: none."""
    calls = None if trainer is None else _trainers.get(trainer)
    given = [call.given.get("resume_from_checkpoint") for call in calls or () if call.name == TRAIN]
    return next((one for one in given if one is not None and not isinstance(one, bool)), None)


def trains(trainer: Any) -> bool:
    """Return whether *trainer*'s `train` is running, in any thread.

    Another thread may save the model meanwhile.
    """
    return outermost(trainer, TRAIN) is not None


def push(trainer: Any) -> dict[str, Any] | None:
    """Return what this thread passed to *trainer*'s running `push_to_hub`; None: it is in none."""
    calls = None if trainer is None else _trainers.get(trainer)
    mine = [
        call for call in calls or () if call.name == PUSH and call.thread == threading.get_ident()
    ]
    return mine[0].given if mine else None
