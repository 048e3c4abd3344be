"""One small file for each leg and host: what survives of a training that is killed.

Rule: a leg's file is replaced as a whole at each tick, or not at all, and holds no host's, user's or board's own name.
The files are private working files (`_autocard/`, which uploads to the Hub leave out).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from autocard import files
from autocard.record import Frozen, Leg

Status = Literal["running", "finished", "stopped", "interrupted"]

FOLDER = "_autocard"
"""Inside the output folder."""


class LedgerEntry(Frozen):
    """One leg on one host, as of its last tick."""

    version: int = 1
    """Of this file's format."""
    run_id: str
    """`run.id`."""
    host_id: str
    """Pseudonym of the machine since it was started; all containers on it have the same one."""
    board_ids: list[str] = Field(default_factory=list)
    """Pseudonyms of the GPUs, in the order of the leg's devices."""
    status: Status = "running"
    """running: the leg goes on, or was killed together with the process that wrote this."""
    written_at: str
    """ISO 8601, UTC: the last tick."""
    max_steps: int | None = None
    """Optimizer steps planned."""
    leg: Leg
    """With one host."""
    missing: dict[str, str] = Field(default_factory=dict)
    """Path inside the leg → why it is not there."""
    window: dict[str, Any] = Field(default_factory=dict)
    """What the measuring process knew, boards apart: from it the leg is completed where that process is lost."""


def folder_of(output_dir: Path | None, ledger_dir: str | None) -> Path | None:
    """Return the folder of the ledger; None: there is no place for one."""
    if ledger_dir is not None:
        return Path(ledger_dir)
    return None if output_dir is None else output_dir / FOLDER


def host_id() -> str:
    """Return 12 hexadecimal digits that stand for this machine since it was started."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:  # not Linux: at least the same within one boot of the network card's machine
        boot = f"{uuid.getnode():x}"
    return pseudonym(boot)


def pseudonym(name: str) -> str:
    """Return 12 hexadecimal digits that stand for *name* and do not tell it."""
    return hashlib.sha256(f"autocard {name}".encode()).hexdigest()[:12]


def write(folder: Path, entry: LedgerEntry) -> None:
    """Put *entry* into its file in *folder*, which is made where it is missing.

    Raises:
        NotWrittenError: it could not be written.
    """
    files.write_text(folder / f"leg-{entry.leg.id}.{entry.host_id}.json", entry.model_dump_json(indent=1) + "\n")


def read(folder: Path) -> list[LedgerEntry]:
    """Return the entries in *folder*, the oldest leg first; a file that is no entry is left out."""
    entries = (_read(file) for file in folder.glob("leg-*.json"))
    return sorted((entry for entry in entries if entry is not None), key=_age)


def _read(file: Path) -> LedgerEntry | None:
    try:
        return LedgerEntry.model_validate_json(files.read_text(file))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None


def find(entries: Sequence[LedgerEntry], leg_id: str, host: str) -> LedgerEntry | None:
    """Return the entry of a leg on a host; None: there is none."""
    return next((entry for entry in entries if entry.leg.id == leg_id and entry.host_id == host), None)


def _age(entry: LedgerEntry) -> tuple[str, str, str]:
    return entry.leg.started_at or "", entry.leg.id, entry.host_id
