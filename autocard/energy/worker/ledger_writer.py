"""Writes the ledger of one leg: in the worker, at each tick.

Rule: if an entry cannot be written, that is a reason in the leg, and nothing else fails.
"""

from __future__ import annotations

import time
from pathlib import Path

from autocard.energy.ledger import ledger_files, shared_storage
from autocard.energy.ledger.ledger_entry import LedgerEntry, ProcessRole, Status, utc_now
from autocard.energy.ledger.ledger_lock import LedgerLock
from autocard.energy.ledger.leg_readings import LegReadings
from autocard.energy.worker.protocol import WorkerOrder
from autocard.errors import NotWrittenError
from autocard.record import Leg

SHARED_S = 60.0
"""Seconds between two writings of a file on storage that machines share, whatever the tick."""


class LedgerWriter:
    """The ledger of one leg."""

    def __init__(self, order: WorkerOrder, run_id: str, role: ProcessRole | None = None) -> None:
        """Write nothing yet.

        Args:
            order: folders and pseudonyms.
            run_id: of the run that the leg belongs to.
            role: which process of the training measures the leg.
        """
        self._order = order
        self._run_id = run_id
        self._role = role or ProcessRole()
        self._host_id = ledger_files.host_id()
        self._lock: LedgerLock | None = None
        self._next_s: dict[Path, float] = {}
        """Folder → monotonic seconds before which it is not written again; below 0: it lies on this
        machine."""
        self.reason: str | None = None
        """Why the last entry could not be written; None: it was, or there is no place for it."""
        self.entry: LedgerEntry | None = None
        """The last entry, written or not."""

    def open(self, leg_id: str) -> None:
        """Show other processes that the leg is open."""
        if self._order.ticks_folder is not None:
            self._lock = LedgerLock(self._order.ticks_folder, leg_id, self._role.part)

    def close(self) -> None:
        """Show other processes that the leg is over."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def rename(self, run_id: str, leg_id: str) -> None:
        """Give the open leg another name; remove what was written under the old one."""
        before = self.entry
        self.close()
        self._run_id = run_id
        self.open(leg_id)
        for folder in (self._order.ticks_folder, self._order.shared_folder):
            if before is not None and folder is not None:
                ledger_files.remove(folder, before)
        self._next_s = {folder: min(next_s, 0.0) for folder, next_s in self._next_s.items()}

    def note(
        self,
        leg: Leg,
        missing: dict[str, str],
        readings: LegReadings,
        *,
        status: Status,
        uuids: list[str],
        max_steps: int | None,
    ) -> LedgerEntry:
        """Make the entry of the leg as of now."""
        order, role = self._order, self._role
        self.entry = LedgerEntry(
            run_id=self._run_id,
            host_id=self._host_id,
            process_id=order.process_id,
            output_id=order.output_id,
            job_id=order.job_id,
            board_ids=[ledger_files.pseudonym(uuid) for uuid in uuids],
            rank=role.rank,
            part=role.part,
            ranks=role.ranks,
            apart=role.apart,
            expects=role.expects,
            status=status,
            written_at=utc_now(),
            tick_s=order.tick_s,
            locked=self._lock is not None and self._lock.held,
            max_steps=max_steps,
            leg=leg,
            missing=missing,
            readings=readings.without_boards(),
        )
        return self.entry

    def write(self, *, shared: bool, last: bool = False) -> None:
        """Write the entry where ticks go.

        Args:
            shared: into the output folder too.
            last: the leg is over; before that, a file on storage that machines share is written
                once a minute at most.
        """
        ticks = self._order.ticks_folder
        if self.entry is None or ticks is None:
            return
        folders = [ticks]
        if shared and self._order.shared_folder not in (None, ticks):
            folders.append(self._order.shared_folder)
        reasons = [self._put(folder, self.entry) for folder in folders if last or self._may(folder)]
        if reasons:
            self.reason = next(filter(None, reasons), None)

    def _may(self, folder: Path) -> bool:
        """Return whether it is time to write into *folder* again."""
        if folder not in self._next_s:
            self._next_s[folder] = -1.0 if shared_storage.is_local(folder) else 0.0
        next_s = self._next_s[folder]
        if next_s < 0:
            return True
        if time.monotonic() < next_s:
            return False
        self._next_s[folder] = time.monotonic() + SHARED_S
        return True

    @staticmethod
    def _put(folder: Path, entry: LedgerEntry) -> str | None:
        """Write *entry*; return why that failed."""
        try:
            ledger_files.write(folder, entry)
        except NotWrittenError as exc:
            return str(exc)
        return None
