"""What killed trainings of a run left on this node: moved to the output folder, then removed.

Rule: only at the good end of a training that has used it, or when a run is closed. Files of other
runs, and of a leg that is open, stay.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from autocard import files
from autocard.energy.ledger import ledger_files, ledger_lock, node_folder
from autocard.energy.ledger.ledger_entry import LedgerEntry
from autocard.energy.ledger.ledger_files import LedgerFolders
from autocard.errors import NotWrittenError


def clear(folders: LedgerFolders, run_id: str, but: str = "") -> None:
    """Leave nothing of a run's legs on this node but what is in the output folder.

    Args:
        folders: of the ledger.
        run_id: of the run.
        but: id of the leg whose files stay.
    """
    if folders.shared is None:
        return
    over = [
        entry
        for entry in ledger_files.of_run(folders.all, run_id)
        if entry.leg.id != but and not _is_open(folders, entry)
    ]
    _remove_locks(folders, over)
    if folders.node is None:
        return
    for entry in over:  # the newest one of each leg, wherever that lies
        if files.exists(ledger_files.file_of(folders.node, entry)):
            with contextlib.suppress(NotWrittenError):
                ledger_files.write_last(folders, entry)
    files.sweep(folders.node)
    node_folder.remove_if_made(folders.node)


def _is_open(folders: LedgerFolders, entry: LedgerEntry) -> bool:
    return any(ledger_lock.is_open(folder, entry) for folder in folders.all)


def _remove_locks(folders: LedgerFolders, over: Iterable[LedgerEntry]) -> None:
    """Remove the locks that killed processes of this host left."""
    own = [entry for entry in over if entry.host_id == ledger_files.host_id()]
    for folder in folders.all:
        for entry in own:
            with contextlib.suppress(OSError):
                (folder / f"{ledger_files.file_stem(*entry.key)}.lock").unlink()
