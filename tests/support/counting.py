"""Counts the steps that Python takes in a piece of work: the same number on a busy machine and on a free one.

A step is a line begun, a call, a return, or one round of a loop or comprehension. What C does
inside one call is one step, however long it takes: a slow regular expression, a search or a copy of
a long string cannot be seen here. Those are measured as ratios under benchmarks/.
"""

from __future__ import annotations

import gc
import select
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def steps(work: Callable[[], Any]) -> int:
    """Return how many steps *work* takes in this thread; what it returns is dropped."""
    counted = 0

    def lines(*_: Any) -> Any:
        nonlocal counted
        counted += 1
        return lines

    def calls(*_: Any) -> None:
        nonlocal counted
        counted += 1

    before, collects = (sys.gettrace(), sys.getprofile()), gc.isenabled()
    gc.disable()  # a collection would count too: finalizers, and what others registered to be told of it
    sys.settrace(lines)
    sys.setprofile(calls)
    try:
        work()
    finally:
        sys.settrace(before[0])
        sys.setprofile(before[1])
        if collects:
            gc.enable()
    return counted


def waits(work: Callable[[], Any]) -> int:
    """Return how often *work* sleeps, or waits for a file or socket, in this thread; what it returns is dropped."""
    counted = 0

    def calls(_: Any, event: str, called: Any) -> None:
        nonlocal counted
        if event == "c_call":
            of_poll = (
                getattr(called, "__name__", "") == "poll"
                and type(called.__self__).__name__ == "poll"
            )
            counted += called in (time.sleep, select.select) or of_poll

    before = sys.getprofile()
    sys.setprofile(calls)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted
