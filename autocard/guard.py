"""Catch every failure of autocard in the training process: it becomes a reason, training goes on.

What the program raises itself (in a signal handler of its own) is not caught. Whatever autocard
does inside a training run passes through `guarded` (with a deadline) or `guard` (without). What it
cannot stop is one long call of C code that keeps the interpreter lock (comparing or copying a huge
value, a regular expression that backtracks): no thread runs then, the one that waits for the
deadline included. So whatever is read is bounded before it is parsed (`files.read_bytes`,
`card.front.yaml_reader`, `card.form.rendering`). What is swallowed here is passed to `report`,
which logs it once; the test suite replaces `report` and fails on it. Imports the standard library
only.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from autocard.errors import NotWrittenError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, MutableMapping
    from types import FrameType

T = TypeVar("T")

logger = logging.getLogger("autocard")

_EXTRA = 10
"""Pieces of work that get their least time after the event's own is used up."""
_FIRST_LOOK_S = 0.005
_LOOK_S = 0.2
"""Seconds between two checks that the working thread still lives; the first comes early."""

_local = threading.local()
_reported: set[str] = set()
_words: dict[str, str] = {}
"""Name of a piece of work → what could not be done if it fails, for the log."""
_exiting = False


def exiting() -> None:
    """Work in the calling thread from now on: an exiting Python starts no thread (3.12)."""
    global _exiting  # noqa: PLW0603 - a process exits once
    _exiting = True


class DeadlineError(Exception):
    """Our own work took too long and was abandoned."""


class ThreadEndedError(Exception):
    """The thread for our work ended first: no memory, or a trace function of the program raised."""


class AbandonedError(Exception):
    """Raised inside work whose caller has stopped waiting, so that it leaves nothing behind."""


def raised_by_program(exc: BaseException) -> bool:
    """Return whether *exc* is the program's, raised by its signal handler or another thread.

    Such an exception is how the program stops its training (preemption notices, time limits). It is
    no failure of autocard, even where it is raised inside our code.
    """
    interrupted: FrameType | None = None
    trace = exc.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code in _WAITING or _handles_signal(frame, interrupted):
            return True
        interrupted, trace = frame, trace.tb_next
    # Neither waiting nor `guarded` itself raises anything: the failures of our work are in another
    # thread.
    return interrupted is not None and interrupted.f_code is guarded.__code__


def _handles_signal(frame: FrameType, interrupted: FrameType | None) -> bool:
    """Return whether *frame* is a signal handler's: it has the interrupted frame as argument."""
    if (
        interrupted is None
        or str(frame.f_globals.get("__name__", "")).partition(".")[0] == "autocard"
    ):
        return False  # our functions take frames, too, and handle no signal
    code = frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & inspect.CO_VARARGS)
    for name in code.co_varnames[:count]:
        value = frame.f_locals.get(name)
        arguments = value if type(value) is tuple else (value,)  # a tuple may be *args
        if any(argument is interrupted for argument in arguments):
            return True
    return False


def log_warning(message: str, *arguments: object, exc_info: bool = False) -> None:
    """Log *message* as a warning; whatever the program's log handlers do, nothing is raised."""
    _log(logging.WARNING, message, arguments, exc_info=exc_info)


def log_info(message: str, *arguments: object) -> None:
    """Log *message* as information, in the same way."""
    _log(logging.INFO, message, arguments)


def _log(
    level: int, message: str, arguments: tuple[object, ...], *, exc_info: bool = False
) -> None:
    """Log *message*, also where the program's own log handlers raise or exit."""
    try:
        logger.log(level, message, *arguments, exc_info=exc_info, stacklevel=3)
    except (Exception, SystemExit) as exc:
        if raised_by_program(exc):
            raise


def name_work(words: Mapping[str, str]) -> None:
    """Set what could not be done if a piece of work fails: its name → "read the existing card"."""
    _words.update(words)


def _why(exc: BaseException) -> str:
    """Return why work failed: in plain words where the failure is no bug."""
    if isinstance(exc, DeadlineError | ThreadEndedError | NotWrittenError):
        return str(exc).rstrip(".")
    if isinstance(exc, OSError) and exc.strerror:
        where = "" if exc.filename is None else f": {os.fsdecode(exc.filename)}"
        return f"{exc.strerror}{where}"
    return f"{type(exc).__name__}: {exc}"


def report(fact: str, exc: BaseException) -> None:
    """Log once for each *fact* and kind of failure that *exc* prevented *fact*."""
    key = f"{fact}:{type(exc).__name__}"
    if key in _reported:
        _log(logging.DEBUG, "autocard: %s again: %s", (fact, exc))
        return
    _reported.add(key)
    log_warning(
        "autocard: could not %s (%s). Training is not affected.",
        _words.get(fact, f"find out {fact}"),
        _why(exc),
        exc_info=logger.isEnabledFor(logging.DEBUG),
    )


def reason_of(exc: BaseException) -> str:
    """Return the reason that a record gives for a fact that *exc* prevented."""
    if isinstance(exc, UnavailableError):
        return str(exc)
    if isinstance(exc, DeadlineError):
        return f"autocard gave up: {exc}"
    # Only the kind of failure: its message may hold a path or a host name, and records are
    # published.
    return f"autocard failed ({type(exc).__name__}); the log of the run says more"


def _note(fact: str, exc: BaseException, missing: MutableMapping[str, str]) -> None:
    missing[fact] = reason_of(exc)
    if not isinstance(exc, UnavailableError):
        report(fact, exc)


@contextlib.contextmanager
def guard(fact: str, missing: MutableMapping[str, str]) -> Iterator[None]:
    """Run the body; if it cannot get *fact*, note why in *missing* and go on."""
    try:
        yield
    except Exception as exc:
        if raised_by_program(exc):
            raise
        _note(fact, exc, missing)


class Budget:
    """The time that one event of the trainer may cost: shared by all of our work in it.

    Attributes:
        total_s: seconds for the whole event.
        least_s: seconds that a piece of work gets even when others have used up the rest: ten of
            them in all. After that a piece gets a tenth of it, which is enough where nothing hangs.
    """

    def __init__(self, total_s: float, least_s: float = 0.5) -> None:
        """Start the clock."""
        self.total_s = total_s
        self.least_s = least_s
        self._end = time.monotonic() + total_s

    def left_s(self) -> float:
        """Seconds that the next piece of work may take."""
        now_s = time.monotonic()
        least_s = (
            self.least_s if now_s < self._end + _EXTRA * self.least_s else self.least_s / _EXTRA
        )
        return max(self._end - now_s, least_s)


def _wait(done: threading.Event, thread: threading.Thread, most_s: float) -> bool:
    """Wait for *done* at most *most_s* seconds, while *thread* lives; return whether it is set."""
    until_s, look_s = time.monotonic() + most_s, _FIRST_LOOK_S
    while not done.wait(min(look_s, max(until_s - time.monotonic(), 0.0))):
        if not thread.is_alive() or time.monotonic() >= until_s:
            return done.is_set()
        look_s = min(2.0 * look_s, _LOOK_S)
    return True


_WAITING = (threading.Event.wait.__code__, _wait.__code__)


def _why_late(thread: threading.Thread, left_s: float) -> Exception:
    if thread.is_alive():
        return DeadlineError(f"it took longer than {left_s:.1f} s")
    return ThreadEndedError("its thread ended before it began")


def guarded(
    fact: str,
    missing: MutableMapping[str, str],
    work: Callable[[], T],
    budget: Budget,
) -> T | None:
    """Return what *work* returns, or None with the reason in *missing*: it may raise, exit or hang.

    The work runs in a daemon thread. When the budget is used up it is abandoned: its result is
    dropped, and `not_abandoned` (which the file writer enters before it replaces a file) raises
    inside it.
    """
    done = threading.Event()
    abandoned = threading.Event()
    lock = threading.Lock()
    outcome: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        _local.abandoned = abandoned
        _local.lock = lock
        try:
            outcome.append(work())
        except BaseException as exc:  # noqa: BLE001 - SystemExit in one of our threads must not end training either
            failure.append(exc)
        finally:
            done.set()

    left_s = budget.left_s()
    thread = threading.Thread(target=body, name=f"autocard {fact}", daemon=True)
    try:
        thread.start()
    except RuntimeError as exc:  # no more threads can be had, or the interpreter is going down
        if raised_by_program(exc):
            raise
        if not _exiting:
            _note(fact, exc, missing)
            return None
        body()
    if not _wait(done, thread, left_s):
        with lock:
            late = not done.is_set()
            if late:
                abandoned.set()
        if late:
            _note(fact, _why_late(thread, left_s), missing)
            return None
    if failure:
        # Taken out of the list: the exception's traceback leads back to the list, and so would keep
        # the objects of the work alive until the garbage collector runs.
        _note(fact, failure.pop(), missing)
        return None
    return outcome[0]


def attempted(fact: str, missing: MutableMapping[str, str], work: Callable[[], T]) -> T | None:
    """Return the result of *work*; if it raises or exits, None with the reason in *missing*.

    It runs in the calling thread, without a deadline, so it must not hang.
    """
    try:
        return work()
    except (Exception, SystemExit) as exc:
        if raised_by_program(exc):
            raise
        _note(fact, exc, missing)
        return None


@contextlib.contextmanager
def not_abandoned() -> Iterator[None]:
    """Run a short last step (replacing a file) only if its caller still waits for it.

    Raises:
        AbandonedError: the caller has given up on this piece of work.
    """
    lock: threading.Lock | None = getattr(_local, "lock", None)
    if lock is None:
        yield
        return
    with lock:
        if _local.abandoned.is_set():
            msg = "the caller stopped waiting; nothing was written"
            raise AbandonedError(msg)
        yield
