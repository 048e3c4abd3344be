"""The runs in a folder that were broken off: their working files, their ledger, their checkpoints.

Reads only. A run is left here if its working file is: the process that writes a run's record
removes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from autocard import process_mark
from autocard.energy.ledger import earlier_legs, ledger_files, ledger_lock, shared_storage
from autocard.energy.ledger.ledger_entry import LedgerEntry
from autocard.runtime import unfinished_run
from autocard.runtime.unfinished_run import UnfinishedRun


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
        return [entry for entry in self.entries if entry.leg.id == self.entries[-1].leg.id]

    @property
    def began_at(self) -> str:
        """When its newest leg began: ISO 8601, UTC."""
        return self.entries[-1].leg.started_at or ""


@dataclass(frozen=True)
class SignOfLife:
    """Why a run may be alive."""

    what: str
    """In words, for the middle of a message."""
    again_in_s: float | None = None
    """Seconds after which it counts as over without another sign; None: when its process ends."""


def find(output: Path) -> list[LeftRun]:
    """Return the runs that were left in the folder *output*, the newest first."""
    found = [_left(output, run) for run in unfinished_run.read(output)]
    return sorted(found, key=lambda left: left.began_at, reverse=True)


def _left(output: Path, run: UnfinishedRun) -> LeftRun:
    own = output / ledger_files.FOLDER
    folders = list(dict.fromkeys([own, *map(Path, run.ledger_folders)]))
    written = ledger_files.of_run(folders, run.run_id)
    return LeftRun(output, folders, earlier_legs.ordered([*run.entries, *written]), run)


def sign_of_life(left: LeftRun) -> SignOfLife | None:
    """Return why the run may be alive; None: it is over."""
    running = [entry for entry in left.newest if entry.status == "running"]
    if not running:
        return None  # what measured it has seen the end of training
    for entry in running:
        if any(ledger_lock.is_open(folder, entry) for folder in left.folders):
            return SignOfLife("one of its processes is measuring on this machine")
    if process_mark.may_run(left.unfinished.process):
        return SignOfLife("its training process is alive on this machine")
    ticks = [_tick(left.folders, entry) for entry in running if _is_elsewhere(left.folders, entry)]
    return max(filter(None, ticks), key=lambda sign: sign.again_in_s or 0.0, default=None)


def _is_elsewhere(folders: Iterable[Path], entry: LedgerEntry) -> bool:
    """Return whether this machine cannot see if the process that writes *entry* lives."""
    return all(ledger_lock.is_open(folder, entry) is None for folder in folders)


def _tick(folders: Iterable[Path], entry: LedgerEntry) -> SignOfLife | None:
    """Return the last tick of another machine as a sign of life, if it is a recent one."""
    local = all(shared_storage.is_local(folder) for folder in folders)
    interval_s = entry.tick_s if local else max(entry.tick_s, shared_storage.SHARED_S)
    written = datetime.fromisoformat(entry.written_at.replace("Z", "+00:00"))
    age_s = (datetime.now(timezone.utc) - written).total_seconds()
    left_s = earlier_legs.STALE_TICKS * interval_s - age_s
    if left_s <= 0:
        return None
    words = f"another machine measured it {max(age_s, 0.0):.0f} s ago, at an interval of "
    return SignOfLife(f"{words}{interval_s:.0f} s", left_s)
