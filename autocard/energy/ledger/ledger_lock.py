"""The lock beside a ledger file: held while the leg is open, released when the process dies."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from autocard.energy.ledger.ledger_entry import LedgerEntry
from autocard.energy.ledger.ledger_files import file_stem, host_id

try:
    import fcntl
except ImportError:  # not POSIX: no worker writes a ledger there either
    fcntl = None  # type: ignore[assignment]


class LedgerLock:
    """Shows other processes of this machine that a leg is open, while this process lives."""

    def __init__(self, folder: Path, leg_id: str, part: str = "") -> None:
        """Take the lock, if the file system has locks."""
        self._file = folder / f"{file_stem(leg_id, host_id(), part)}.lock"
        self._descriptor: int | None = None
        if fcntl is None:
            return
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o666)
        if self._descriptor is not None:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # another one holds it: its file stays
                os.close(self._descriptor)
                self._descriptor = None
            except OSError:
                self.release()

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self._file.parent

    @property
    def held(self) -> bool:
        """Whether other processes can see it."""
        return self._descriptor is not None

    def release(self) -> None:
        """Release it."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                self._file.unlink()
            os.close(self._descriptor)
            self._descriptor = None


def is_open(folder: Path, entry: LedgerEntry) -> bool | None:
    """Return whether the process that writes *entry* lives; None: it cannot be seen from here."""
    if entry.status != "running":
        return False
    if entry.host_id != host_id() or not entry.locked or fcntl is None:
        return None  # a lock of another machine may outlast it, or not be seen at all
    try:
        descriptor = os.open(folder / f"{file_stem(*entry.key)}.lock", os.O_RDONLY)
    except OSError:
        return False  # its owner has removed it
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False
