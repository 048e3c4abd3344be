"""A piece of work: when it runs, what it calls, where its result goes, why it has a deadline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeAlias

from autocard.runtime.run_state import Event, RunState

Work: TypeAlias = Callable[[RunState, Event], Any]
"""Returns a value, or a `Part` if the value has gaps."""
Condition: TypeAlias = Callable[[RunState, Event], Any]


class Stage(Enum):
    """A part of an event, whose pieces run in sequence. `Session` has the stages of each event."""

    LABELS = auto()
    MODEL_MADE = auto()
    NAMES = auto()
    HOLD = auto()
    MEET = auto()
    METER = auto()
    """The trainer was made."""
    MARK = auto()
    BROKEN_OFF = auto()
    PLACES = auto()
    SEARCH = auto()
    PAST = auto()
    TRAVELLED = auto()
    LEG = auto()
    TRAINER = auto()
    CAPTURE = auto()
    BEGUN = auto()
    REMEMBER = auto()
    CARD_BEFORE = auto()
    BEGIN_LINE = auto()
    WORKING_FILE = auto()
    """Training begins."""
    PROGRESS = auto()
    CHECKPOINT_SAVED = auto()
    LAST_STEP = auto()
    EVALUATED = auto()
    PREDICTED = auto()
    """Training runs, or an evaluation or a prediction after it ended."""
    APART = auto()
    AGAIN = auto()
    """An evaluation or a prediction after training ended."""
    LEFT_BY_OTHERS = auto()
    """Training has raised an exception."""
    STOP = auto()
    STEPS_DONE = auto()
    EARLIER = auto()
    LEDGER = auto()
    CLEARED = auto()
    REPORT = auto()
    TURN = auto()
    REPORTS = auto()
    """Training ends."""
    RESULTS = auto()
    SAVED = auto()
    ALL_NODES = auto()
    PICTURES = auto()
    RECORD = auto()
    RECORD_SO_FAR = auto()
    SAVED_ELSEWHERE = auto()
    CARD = auto()
    END_LINE = auto()
    """The record and the card are made."""
    PUSH = auto()
    """An upload begins."""
    LATE = auto()
    LATE_ELSEWHERE = auto()
    LATE_LEG = auto()
    NEWEST = auto()
    LATE_LINE = auto()
    """Figures come after training."""


LEG = "leg"
"""Fact of the pieces that measure the leg; their reasons become the leg's."""

FILES = "reads or writes files, perhaps of a network file system"
CODE = "runs code of the run's own objects: data set, model, trainer"
TENSORS = "reads tensors, which waits for their device"
DRIVER = "asks the GPU driver"
LOG = "reads the trainer's log, which may have millions of entries"
PROGRAMS = "starts other programs, or reads files"
PROCESSES = "waits for other processes of the training"
WORKER = "exchanges messages with the worker"
HUB = "asks the Hub"
TERMINAL = "writes to the terminal, which may not be read"
"""Why a piece has a deadline, and so a thread of its own."""


def always(_run: RunState, _event: Event) -> bool:
    """Return True."""
    return True


@dataclass(frozen=True)
class Piece:
    """A piece of work; if it raises, exits or hangs, only its own part of the record is missing."""

    name: str
    """Names it in the table and in the log."""
    stage: Stage
    work: Work
    """What it calls."""
    fills: str = ""
    """Where its result goes: "parts.KEY" for a part of the record, else an attribute of the run
    ("run."), of its facts ("facts.") or of the event ("event."). If the work fails, a part stays as
    it was and an attribute becomes None."""
    fact: str = ""
    """Path of the part of the record that is missing if it fails; "": it is not a part, and a
    failure is only logged."""
    adds_gaps: bool = False
    """Whether its gaps are added to the part's gaps instead of replacing them."""
    may_hang: str = ""
    """Why it has a deadline; "": it only reads attributes and memory, and needs no thread."""
    asks_s: float | None = None
    """Seconds that it may wait for other processes, outside the event's budget; None: it shares the
    budget."""
    when: Condition = always
    """Whether it applies."""

    @property
    def label(self) -> str:
        """Its name in reasons and in the log."""
        return self.fact or self.name
