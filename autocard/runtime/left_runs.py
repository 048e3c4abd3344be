"""The runs in a folder that were broken off: their working files, their ledger, their checkpoints.

Reads only. A run was broken off if its working file is there: the process that writes a run's
record removes it. Where no run has one, and there is no record either, the newest checkpoint shows
the run.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from autocard import files, process_mark
from autocard.card import card_files
from autocard.energy.ledger import earlier_legs, ledger_files, ledger_lock, shared_storage
from autocard.energy.ledger.ledger_entry import LedgerEntry
from autocard.record import RECORD_NAME, RunRecord
from autocard.runtime import checkpoint_run, unfinished_run
from autocard.runtime.unfinished_run import UnfinishedRun
from autocard.trainers import checkpoint_folder

POLL_S = 0.05
KEEPS_FACTS = 2
"""Version of ledger entries from which on runs keep a working file until they have a record."""


@dataclass(frozen=True)
class LeftRun:
    """A run that began and has no record of its end."""

    output: Path
    """The output folder."""
    folders: list[Path]
    """Where its legs' entries lie."""
    entries: list[LedgerEntry]
    """Of all its legs and hosts, the oldest leg first."""
    unfinished: UnfinishedRun

    @property
    def run_id(self) -> str:
        """Of the run."""
        return self.unfinished.run_id

    @property
    def newest(self) -> list[LedgerEntry]:
        """The entries of its newest leg, one for each host."""
        return [entry for entry in self.entries if entry.leg.id == self.newest_id]

    @property
    def newest_id(self) -> str:
        """Id of its newest leg; "": no leg is known."""
        return self.entries[-1].leg.id if self.entries else ""

    @property
    def step(self) -> int:
        """The last step that is known."""
        steps = [entry.leg.step_end for entry in self.newest if entry.leg.step_end is not None]
        return max([*steps, self.unfinished.record.run.global_step or 0])

    @property
    def card(self) -> Path:
        """Path of its card."""
        given, was = self.unfinished.card.path, self.unfinished.output
        if given is None:
            return self.output / "README.md"
        if was is not None and Path(given).is_relative_to(was):  # the folder may have been moved
            return self.output / Path(given).relative_to(was)
        return Path(given)

    def is_in(self, record: RunRecord | None) -> bool:
        """Return whether *record* holds all that is known of it."""
        if record is None or record.run.id != self.run_id or record.run.status is None:
            return False
        last = record.legs[-1:]
        if not last or not self.entries:
            return not self.entries
        ends = [entry.leg.ended_at or "" for entry in self.newest]
        return last[0].id == self.newest_id and max(ends) <= (last[0].ended_at or "")

    @property
    def has_ended(self) -> bool:
        """Whether its newest leg ended; then it has a record, unless its working file is there."""
        return newest_has_ended(self.entries)

    @property
    def has_successor(self) -> bool:
        """Whether a training of another run has begun in its output folder since."""
        own, began_at = {entry.leg.id for entry in self.entries}, self.began_at
        began_at = began_at or self.unfinished.record.run.started_at or ""
        return any(
            entry.run_id != self.run_id
            and entry.leg.id not in own
            and (entry.leg.started_at or "") > began_at
            for entry in ledger_files.read(self.output / ledger_files.FOLDER)
        )

    @property
    def began_at(self) -> str:
        """When its newest leg began: ISO 8601, UTC."""
        return (self.entries[-1].leg.started_at or "") if self.entries else ""


@dataclass(frozen=True)
class SignOfLife:
    """Why a run may be alive."""

    what: str
    """In words, for the middle of a message."""
    again_in_s: float | None = None
    """Seconds after which it counts as over without another sign; None: when its process ends."""


def find(folder: Path) -> list[LeftRun]:
    """Return the runs that were broken off in *folder*, the newest first.

    Args:
        folder: an output folder, or a checkpoint. A checkpoint stands for its run if the run's
            output folder is still around it.
    """
    if checkpoint_folder.is_checkpoint(folder):
        return _of_checkpoint(folder)
    found = [_left(folder, run) for run in unfinished_run.read(folder)]
    if found:
        return sorted(found, key=lambda left: left.began_at, reverse=True)
    checkpoint = checkpoint_folder.newest(folder)
    if checkpoint is None or files.exists(folder / RECORD_NAME):
        return []
    left = _left(folder, checkpoint_run.read(checkpoint))
    return [] if left.has_ended or _is_ended_trial(left) else [left]


def _is_ended_trial(left: LeftRun) -> bool:
    """Return whether *left* is a trial of a search, which has no card, and has ended.

    A trial has an output folder of its own inside the search's, where its ledger is.
    """
    searches = [left.output.absolute().parent / ledger_files.FOLDER]
    return left.run_id != "" and newest_has_ended(ledger_files.of_run(searches, left.run_id))


def without_card(folder: Path) -> list[LeftRun]:
    """Return the runs in *folder* that made steps, are over and have no card, the newest first."""
    return [
        left
        for left in find(folder)
        if left.step > 0
        and not _is_checkpoint_with_card(left)
        and not left.is_in(card_files.read_record_beside(left.card).record)
        and sign_of_life(left) is None
    ]


def newest_has_ended(entries: Sequence[LedgerEntry]) -> bool:
    """Return whether what measured the newest leg of *entries* saw its end and wrote the record.

    An interrupted leg of autocard 0.1.0 does not show whether the record was written.
    """
    newest = [entry for entry in entries if entry.leg.id == entries[-1].leg.id]
    return bool(newest) and all(
        entry.status in {"finished", "stopped"}
        or (entry.status == "interrupted" and entry.version >= KEEPS_FACTS)
        for entry in newest
    )


def _is_checkpoint_with_card(left: LeftRun) -> bool:
    """Return whether *left* is a checkpoint alone, whose record says how far the training was.

    Whether the training went on elsewhere cannot be seen there.
    """
    if not checkpoint_folder.is_checkpoint(left.output):
        return False
    known = card_files.read_record_beside(left.output / "README.md").record
    return known is not None and known.run.id == left.run_id


def without_facts(folder: Path) -> list[LedgerEntry]:
    """Return the entries in the ledger of *folder*, where nothing else of a run is known."""
    return ledger_files.read(folder / ledger_files.FOLDER)


def _of_checkpoint(checkpoint: Path) -> list[LeftRun]:
    """Return the run of *checkpoint*; empty: its record is there."""
    run = checkpoint_run.read(checkpoint)
    around = checkpoint.absolute().parent
    known = card_files.read_record_beside(around / "README.md").record
    if known is not None and known.run.id == run.run_id and known.run.status is not None:
        return []
    left_there = [left for left in unfinished_run.read(around) if left.run_id == run.run_id]
    if left_there:
        return [_left(around, one) for one in left_there]
    left = _left(around, run)
    if left.has_ended or _is_ended_trial(left):
        return []
    return [_left(checkpoint, run)]


def _left(output: Path, run: UnfinishedRun) -> LeftRun:
    own = output / ledger_files.FOLDER
    folders = list(dict.fromkeys([own, *map(Path, run.ledger_folders)]))
    written = ledger_files.of_run(folders, run.run_id) if run.run_id else []
    return LeftRun(output, folders, earlier_legs.ordered([*run.entries, *written]), run)


def sign_of_life(left: LeftRun, wait_s: float = 0.0) -> SignOfLife | None:
    """Return why the run may be alive; None: it is over.

    Args:
        left: the run.
        wait_s: seconds that processes which are being killed get to end.
    """
    running = [entry for entry in left.newest if entry.status == "running"]
    if not running:
        return None  # what measured it has seen the end of training
    until_s = time.monotonic() + wait_s
    found = _process_here(left, running)
    while found is not None and time.monotonic() < until_s:
        time.sleep(POLL_S)
        found = _process_here(left, running)
    if found is not None:
        return found
    ticks = [_tick(left.folders, entry) for entry in running if _is_elsewhere(left, entry)]
    return max(filter(None, ticks), key=lambda sign: sign.again_in_s or 0.0, default=None)


def _process_here(left: LeftRun, running: Iterable[LedgerEntry]) -> SignOfLife | None:
    """Return which process of the run lives on this machine; None: none that can be seen."""
    for entry in running:
        if any(ledger_lock.is_open(folder, entry) for folder in left.folders):
            return SignOfLife("one of its processes is measuring on this machine")
    if process_mark.may_run(left.unfinished.process):
        return SignOfLife("its training process is alive on this machine")
    return None


def _is_elsewhere(left: LeftRun, entry: LedgerEntry) -> bool:
    """Return whether this machine cannot see if the process that writes *entry* lives."""
    if entry.host_id == ledger_files.host_id() and process_mark.is_from_here(
        left.unfinished.process
    ):
        return False  # the training has ended here, and its worker ends with it
    return all(ledger_lock.is_open(folder, entry) is None for folder in left.folders)


def _tick(folders: Iterable[Path], entry: LedgerEntry) -> SignOfLife | None:
    """Return the last tick of another machine as a sign of life, if it is a recent one."""
    local = all(shared_storage.is_local(folder) for folder in folders if files.exists(folder))
    interval_s = entry.tick_s if local else max(entry.tick_s, shared_storage.SHARED_S)
    written = datetime.fromisoformat(entry.written_at.replace("Z", "+00:00"))
    age_s = (datetime.now(timezone.utc) - written).total_seconds()
    left_s = earlier_legs.STALE_TICKS * interval_s - age_s
    if left_s <= 0:
        return None
    words = f"another machine measured it {max(age_s, 0.0):.0f} s ago, at an interval of "
    return SignOfLife(f"{words}{interval_s:.0f} s", left_s)
