"""Trainings of a hyperparameter search: their time and energy, apart from the run that follows.

Rule: a trial never counts in the run's own figures. A trial that was pruned or that failed ends
without an event: it counts up to its last sign of life. Trials in other processes (Ray's workers)
leave their legs in the ledger, with a mark of the search.
"""

from __future__ import annotations

import os
import uuid
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from autocard import files
from autocard.capture.observed import TrainerView
from autocard.energy.ledger import join_hosts, ledger_files, record_legs, trial_marks
from autocard.energy.ledger.ledger_entry import LedgerEntry
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


@dataclass
class Origin:
    """Where a callback was made; copies of it in other processes keep that."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    """Id of the searches that are started with it."""
    home: Path = field(default_factory=lambda: files.absolute(Path()) or Path())
    """Working folder: that of a process which trains a trial may be another one."""
    folders: list[Path] = field(default_factory=list)
    """Output folders of the trainers that have the callback."""

    def note(self, output_dir: Path) -> None:
        """Note the output folder of a trainer that has the callback."""
        folder = self.folder(output_dir)
        if folder not in self.folders:
            self.folders.append(folder)

    def folder(self, output_dir: Path) -> Path:
        """Return a trial's *output_dir*, relative to the folder in which the search was started."""
        return self.home / output_dir if self.home.is_dir() else output_dir


@dataclass(frozen=True)
class WrittenTrial:
    """A trial that another process has trained."""

    backend: str
    legs: list[LedgerEntry]
    """Of all hosts, the oldest first."""

    @property
    def finished(self) -> bool:
        """Whether its last leg came to its end."""
        return self.legs[-1].leg.status in {"finished", "stopped"}


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


def written(folders: Iterable[Path], search_id: str) -> list[WrittenTrial]:
    """Return the trials of a search that other processes have left in the ledger's *folders*."""
    places, found = list(dict.fromkeys(folders)), []
    for mark in trial_marks.read(places):
        if mark.search_id != search_id:
            continue
        entries = ledger_files.of_run(places, mark.run_id)
        if any(entry.process_id == ledger_files.process_id() for entry in entries):
            continue  # this process has it in memory
        if entries:
            found.append(WrittenTrial(mark.backend, record_legs.completed(entries)))
    return found


def part(searches: Iterable[Trials], elsewhere: Sequence[WrittenTrial] = ()) -> Part[Search]:
    """Return the part of the record that describes *searches*, and trials of other processes."""
    listed = list(searches)
    trials = [trial for search in listed for trial in search.all()]
    if not trials and not elsewhere:
        return Part(Search())
    others = [Part(entry.leg, entry.missing) for trial in elsewhere for entry in trial.legs]
    total_kwh, reported_kwh, why = energy_sums.of_trials(
        [*[_leg(trial) for trial in trials], *others]
    )
    backends = {search.backend for search in listed if search.all()}
    backends |= {trial.backend for trial in elsewhere}
    seconds = [trial.wall_clock_s for trial in trials]
    seconds += [leg.value.wall_clock_s or 0.0 for leg in others]
    ends = [trial.finished for trial in trials] + [trial.finished for trial in elsewhere]
    found = Search(
        backend=" and ".join(sorted(backends - {""})),
        trials=len(trials) + len(elsewhere),
        trials_unfinished=ends.count(False),
        wall_clock_s=sum(seconds),
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
