"""Writes the file of the leg that goes on: in the meter's child process, at each tick.

Rule: what could not be written is said, and costs nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from autocard.energy.ledger import ledger_files, leg_parts, shared_storage
from autocard.energy.readings import Used
from autocard.errors import NotWrittenError
from autocard.record import Leg

REST_S = 60.0
"""Seconds between two writings of a file on storage that machines share, whatever the tick."""


class LedgerWriter:
    """The ledger, as the child process sees it."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        """Take folders and pseudonyms from the order that starts the process."""
        self._ticks, self._shared = (
            None if order[key] is None else Path(order[key]) for key in ("ledger", "shared")
        )
        self._same = {
            key: order[key] for key in ("run_id", "process_id", "output_id", "job_id", "tick_s")
        }
        self._host_id = ledger_files.host_id()
        self._team: dict[str, Any] = {}
        self._lock: ledger_files.LedgerLock | None = None
        self._next_s: dict[Path, float] = {}
        """Folder → monotonic seconds before which it is not written again; below 0: it lies on this
        machine."""
        self.reason: str | None = None
        """Why the last entry could not be written; None: it was, or there is no place for it."""
        self.entry: ledger_files.LedgerEntry | None = None
        """The last entry, written or not."""

    def open(self, leg_id: str) -> None:
        """Say to others that a leg goes on."""
        if self._ticks is not None:
            self._lock = ledger_files.LedgerLock(self._ticks, leg_id, self._team.get("part", ""))

    def rename(self, run_id: str, leg_id: str) -> None:
        """The leg that goes on has another name: what was written under the old one goes."""
        before = self.entry
        self.close()
        self._same["run_id"] = run_id
        self.open(leg_id)
        for folder in (self._ticks, self._shared):
            if before is not None and folder is not None:
                ledger_files.remove(folder, before)
        self._next_s = {folder: min(next_s, 0.0) for folder, next_s in self._next_s.items()}

    def belongs(self, run_id: str, team: Mapping[str, Any]) -> None:
        """Book what follows on this run; *team*: which of its processes measures, and for whom (`LedgerEntry`)."""
        self._same["run_id"], self._team = run_id, dict(team)

    def note(
        self,
        leg: Leg,
        missing: dict[str, str],
        window: leg_parts.Window,
        *,
        status: ledger_files.Status,
        uuids: list[str],
        max_steps: int | None,
    ) -> None:
        """Make the entry of a leg, as of now."""
        self.entry = ledger_files.LedgerEntry(
            **self._same,
            **self._team,
            host_id=self._host_id,
            board_ids=[ledger_files.pseudonym(uuid) for uuid in uuids],
            status=status,
            written_at=leg_parts.now(),
            locked=self._lock is not None and self._lock.held,
            max_steps=max_steps,
            leg=leg,
            missing=missing,
            window=replace(
                window, boards=Used(), sampled=(), reset=(), silent={}, shared=(), checkpoints=()
            ).to_json(),
        )

    def write(self, *, shared: bool, last: bool = False) -> None:
        """Write the entry where ticks go.

        Args:
            shared: into the output folder too.
            last: the leg is over; elsewhere a file on storage that machines share is renewed once a
                minute at most.
        """
        if self.entry is None or self._ticks is None:
            return
        folders = [self._ticks, *([self._shared] if shared and self._shared != self._ticks else [])]
        reasons = [
            self._put(folder, self.entry)
            for folder in folders
            if folder and (last or self._may(folder))
        ]
        if reasons:
            self.reason = next(filter(None, reasons), None)

    def _may(self, folder: Path) -> bool:
        """Return whether it is time to write into *folder* again."""
        if folder not in self._next_s:
            self._next_s[folder] = 0.0 if not shared_storage.is_local(folder) else -1.0
        next_s = self._next_s[folder]
        if next_s < 0:
            return True
        if time.monotonic() < next_s:
            return False
        self._next_s[folder] = time.monotonic() + REST_S
        return True

    @staticmethod
    def _put(folder: Path, entry: ledger_files.LedgerEntry) -> str | None:
        """Write *entry*; return why that did not work."""
        try:
            ledger_files.write(folder, entry)
        except NotWrittenError as exc:
            return str(exc)
        return None

    def close(self) -> None:
        """The leg is over."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
