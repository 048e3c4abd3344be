"""Trainings of a hyperparameter search: their time and energy, apart from the run that follows.

Rule: a trial never counts in the run's own figures. A trial that was pruned or that failed ends
without an event: it counts up to its last sign of life. Trials in other processes (Ray's workers)
are not seen here.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from autocard.capture.observed import TrainerView
from autocard.energy.ledger import join_hosts, ledger_files, record_legs
from autocard.record import Search
from autocard.record.gaps import Part
from autocard.totals import energy_sums

if TYPE_CHECKING:
    from autocard.record import Leg
    from autocard.runtime.run_history import RunHistory


@dataclass(frozen=True)
class Trial:
    """A training of a search."""

    leg_id: str
    book: RunHistory
    """The history with its leg."""
    folder: Path
    """Output folder, with the ledger."""
    wall_clock_s: float
    """Seconds from its begin to its end, or to its last sign of life."""
    finished: bool
    """Whether the Trainer reported its end."""


class Searching(Protocol):
    """The part of a session that a search needs."""

    family: object
    """The `Sessions` of its callback."""

    def left_trial(self) -> Trial | None:
        """Return the open trial, up to its last sign of life; None: there is none."""


@dataclass
class Trials:
    """A search in this process."""

    folder: str
    """Real path of the output folder."""
    session: weakref.ref[Searching]
    family: object
    """The `Sessions` of its callback."""
    model_init: Any = None
    """Weak reference to the function that makes its models; None: it has no such function, or weak
    references to it are impossible."""
    backend: str = ""
    """Optuna, Ray Tune, …, as transformers names it."""
    done: list[Trial] = field(default_factory=list)
    announced: bool = False
    """Whether the user has been told what its trials measure."""

    def all(self) -> list[Trial]:
        """Return the trials, including a last trial that ended without an event."""
        session = self.session()
        left = None if session is None else session.left_trial()
        return self.done if left is None else [*self.done, left]


_searches: list[Trials] = []


def of(session: Searching, folder: Path, trainer: TrainerView) -> Trials:
    """Return the trials of *session*, whose *trainer* begins a trial that writes into *folder*."""
    known = next((search for search in _searches if search.session() is session), None)
    if known is not None:
        return known
    made = _weak(trainer.model_maker())
    search = Trials(
        os.path.realpath(folder),
        weakref.ref(session),
        session.family,
        made,
        trainer.search_backend(),
    )
    _searches.append(search)
    return search


def related(session: Searching, folder: Path, trainer: TrainerView) -> list[Trials]:
    """Return the searches that a training of *session* follows.

    They have the same trainer, callback or output folder. If no search has, it is the latest search
    whose models were made by the same function.
    """
    real, made = os.path.realpath(folder), trainer.model_maker()
    found = [
        search
        for search in _searches
        if search.session() is session or search.family is session.family or search.folder == real
    ]
    if found or made is None:
        return found
    return [
        search
        for search in _searches
        if search.model_init is not None and search.model_init() is made
    ][-1:]


def part(searches: Iterable[Trials]) -> Part[Search]:
    """Return the part of the record that describes *searches*."""
    told = list(searches)
    trials = [trial for search in told for trial in search.all()]
    if not trials:
        return Part(Search())
    total_kwh, reported_kwh, why = energy_sums.of_trials([_leg(trial) for trial in trials])
    found = Search(
        backend=" and ".join(
            sorted({search.backend for search in told if search.backend and search.all()})
        ),
        trials=len(trials),
        trials_unfinished=sum(not trial.finished for trial in trials),
        wall_clock_s=sum(trial.wall_clock_s for trial in trials),
        total_kwh=total_kwh,
        reported_kwh=reported_kwh,
    )
    return Part(found, {} if why is None else {"total_kwh": why})


def _leg(trial: Trial) -> Part[Leg] | None:
    """Return the leg of *trial*; None: it is unknown."""
    entries = trial.book.entries_of(trial.leg_id)
    if not any(entry.leg.hosts for entry in entries):
        # It ended without an event: the worker has written its energy up to its end.
        written = ledger_files.of_leg(trial.book.folders_of(trial.folder).all, trial.leg_id)
        entries = [
            join_hosts.cut(entry, trial.wall_clock_s)
            for entry in written
            if entry.status != "running"
        ]
    if not entries:
        return None
    whole = record_legs.completed(entries)[-1]
    return Part(whole.leg, whole.missing)


def _weak(made: Any) -> Any:
    try:
        return None if made is None else weakref.ref(made)
    except TypeError:  # objects without weak references are not compared
        return None
