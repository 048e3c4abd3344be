"""Writes the ledger of one leg: in the worker, at each tick.

Rule: if an entry cannot be written, that is a reason in the leg, and nothing else fails. Ticks that
the node's own folder (`ledger_dir`) does not take go to the output folder, from the first failure
to the end of the leg.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from autocard import files
from autocard.energy.ledger import ledger_files, node_folder, shared_storage
from autocard.energy.ledger.ledger_entry import LedgerEntry, ProcessRole, Status, utc_now
from autocard.energy.ledger.ledger_files import LedgerFolders
from autocard.energy.ledger.ledger_lock import LedgerLock
from autocard.energy.ledger.leg_readings import LegReadings
from autocard.energy.ledger.shared_storage import SHARED_S
from autocard.energy.worker.protocol import WorkerOrder
from autocard.errors import NotWrittenError
from autocard.record import Leg

MOVED = "the folder of ledger_dir cannot be used ({why}), so readings went to the output folder"
NOT_KEPT = "what a kill would have left behind was not kept: {why}"


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
        self._leg_id = ""
        self._folders = LedgerFolders(order.ticks_folder, order.shared_folder)
        self._node = self._folders.node
        """The node's own folder, while it gets the ticks."""
        self._moved: str | None = None
        """Why it no longer does, although there is one."""
        self._next_s: dict[Path, float] = {}
        """Folder → monotonic seconds before which it is not written again; below 0: it lies on this
        machine."""
        self.reason: str | None = None
        """Why the last entry could not be written; None: it was, or there is no place for it."""
        self.entry: LedgerEntry | None = None
        """The last entry, written or not."""

    def open(self, leg_id: str) -> None:
        """Show other processes that the leg is open."""
        self._leg_id = leg_id
        self._lock = self._taken_lock()

    def _taken_lock(self) -> LedgerLock | None:
        """Return the lock of the leg where ticks go, or in the output folder."""
        lock = None
        for folder in dict.fromkeys((self._node, self._folders.shared)):
            if folder is None:
                continue
            if folder == self._node:
                with contextlib.suppress(OSError):
                    node_folder.make(folder)
            lock = LedgerLock(folder, self._leg_id, self._role.part)
            if lock.held:
                break
        return lock

    def close(self) -> None:
        """Show other processes that the leg is over."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        if self._folders.node is not None:
            node_folder.remove_if_made(self._folders.node)

    def rename(self, run_id: str, leg_id: str) -> None:
        """Give the open leg another name; remove what was written under the old one."""
        before = self.entry
        self.close()
        self._run_id = run_id
        self.open(leg_id)
        if before is not None:
            for folder in self._folders.all:
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
        why = self._moved if self.reason is None else NOT_KEPT.format(why=self.reason)
        if why is not None:
            missing = {**missing, "ledger": why}
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
            last: the leg is over: the output folder gets it, and the node's own is left empty.
                Before that, a file on storage that machines share is written once a minute at most.
        """
        if self.entry is None:
            return
        if last:
            self.reason = self._why_not_written(self._put_last)
            return
        if self._node is not None and self._may(self._node):
            self.reason = self._why_not_written(self._put_on_node)
            if self.reason is not None:
                self._leave_node(self.reason)
        output = self._folders.shared
        if output is None or not (shared or self._node is None):
            return
        if self._may(output):
            why = self._why_not_written(partial(ledger_files.write, output))
            self.reason = why if self._node is None else self.reason

    def _put_last(self, entry: LedgerEntry) -> None:
        ledger_files.write_last(self._folders, entry)

    def _put_on_node(self, entry: LedgerEntry) -> None:
        if self._node is not None:
            node_folder.make(self._node)
            ledger_files.write(self._node, entry)

    def _leave_node(self, why: str) -> None:
        """From now on, write ticks into the output folder; *why*: the node's own cannot be used."""
        if self._folders.shared is None or self.entry is None:
            return
        self._node, self._moved, self.reason = None, MOVED.format(why=why), None
        missing = {**self.entry.missing, "ledger": self._moved}
        self.entry = self.entry.with_leg(self.entry.leg, missing)
        before = self._lock
        if before is not None and before.held and before.folder == self._folders.shared:
            return
        self._lock = self._taken_lock()
        if before is not None:
            before.release()

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

    def _why_not_written(self, write: Callable[[LedgerEntry], None]) -> str | None:
        """Write the entry by *write*; return why that failed."""
        if self.entry is None:
            return None
        try:
            write(self.entry)
        except (NotWrittenError, OSError) as exc:
            return files.reason(exc)
        return None
