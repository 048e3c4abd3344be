"""The ledger on disk: one small file for each leg and host, which survives when training is killed.

A GPU that only one process of the host sees has a file of its own, too. A file is replaced as a
whole, or not at all. The files are private working files (`_autocard/`, which uploads to the Hub
leave out).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from autocard import files
from autocard.energy.ledger import node_folder
from autocard.energy.ledger.ledger_entry import LedgerEntry
from autocard.errors import NotWrittenError

FOLDER = "_autocard"
"""Inside the output folder."""
_ENTRY_BYTES = 16_000_000
"""Of one entry in a file."""

_process: tuple[int, str] = (0, "")


@dataclass(frozen=True)
class LedgerFolders:
    """Where the ledger of a run is."""

    ticks: Path | None
    """Gets every tick; None: there is no place for one."""
    shared: Path | None
    """In the output folder: gets what happens at checkpoints and at the end. Mostly the same one.
    """
    output_id: str = ""
    """Pseudonym of the output folder."""
    origin: Path | None = None
    """Of the checkpoint from which training was resumed: only read."""

    @property
    def node(self) -> Path | None:
        """The node's own folder for ticks (`ledger_dir`); None: the output folder gets them."""
        return None if self.ticks == self.shared else self.ticks

    @property
    def all(self) -> list[Path]:
        """Each folder that is written to, once."""
        folders = [folder for folder in (self.ticks, self.shared) if folder is not None]
        return list(dict.fromkeys(folders))

    @property
    def reads(self) -> list[Path]:
        """Each folder that may hold a leg, once."""
        folders = self.all if self.origin is None else [*self.all, self.origin]
        return list(dict.fromkeys(folders))


def folders_of(
    output_dir: Path | None, ledger_dir: str | None, checkpoint: str | None = None
) -> LedgerFolders:
    """Return the ledger folders of a training in *output_dir*, resumed from *checkpoint*."""
    output = None if output_dir is None else files.absolute(output_dir)
    shared = None if output is None else output / FOLDER
    given = None if ledger_dir is None else files.absolute(Path(ledger_dir))
    ticks = shared if given is None else given
    resumed = None if checkpoint is None else files.absolute(Path(checkpoint))
    origin = None if resumed is None else resumed.parent / FOLDER
    output_id = "" if output is None else pseudonym(os.path.realpath(output))
    return LedgerFolders(ticks, shared, output_id, origin)


def host_id() -> str:
    """Return 12 hexadecimal digits that stand for this machine since it was started."""
    try:
        boot = files.read_loosely(Path("/proc/sys/kernel/random/boot_id")).strip()
    except OSError:  # not Linux: at least the same within one boot of the network card's machine
        boot = f"{uuid.getnode():x}"
    return pseudonym(boot)


def process_id() -> str:
    """Return 12 hexadecimal digits that stand for this process; its forks have others."""
    global _process  # noqa: PLW0603 - there is one process
    if _process[0] != os.getpid():
        _process = (os.getpid(), uuid.uuid4().hex[:12])
    return _process[1]


def pseudonym(name: str) -> str:
    """Return 12 hexadecimal digits that stand for *name* and do not reveal it."""
    return hashlib.sha256(f"autocard {name}".encode()).hexdigest()[:12]


def write(folder: Path, entry: LedgerEntry) -> None:
    """Write *entry* to its file in *folder*; make the folder if there is none.

    Raises:
        NotWrittenError: it could not be written.
    """
    files.write_text(file_of(folder, entry), entry.model_dump_json(indent=1) + "\n")


def remove(folder: Path, entry: LedgerEntry) -> None:
    """Remove the file of *entry*; if that fails, it stays."""
    with contextlib.suppress(OSError):
        file_of(folder, entry).unlink()


def write_last(folders: LedgerFolders, entry: LedgerEntry) -> None:
    """Write the last *entry* of a leg into the output folder, and remove it from the node's own.

    Where the output folder cannot be written, the node's own folder keeps it.

    Raises:
        NotWrittenError: it could not be written anywhere.
    """
    if folders.shared is None:
        if folders.ticks is not None:
            write(folders.ticks, entry)
        return
    try:
        write(folders.shared, entry)
    except NotWrittenError:
        if folders.node is None:
            raise
        write(folders.node, entry)
        return
    if folders.node is not None:
        remove(folders.node, entry)
        node_folder.remove_if_made(folders.node)


def read(
    folders: Path | Iterable[Path], holding: str = "", names: str = "leg-*.json"
) -> list[LedgerEntry]:
    """Return the entries in *folders*, the oldest leg first; a file that is no entry is left out.

    Of a leg that is in several folders, the entry that was written last is returned.

    Args:
        folders: where to look.
        holding: only entries whose text contains this: a folder of many runs is read quickly.
        names: pattern of the file names.
    """
    found: dict[tuple[str, str, str], LedgerEntry] = {}
    for folder in [folders] if isinstance(folders, Path) else folders:
        for file in files.listed(folder, names):
            entry = _read(file, holding)
            if entry is None:
                continue
            key = entry.key
            if key not in found or _final(entry) > _final(found[key]):
                found[key] = entry
    return sorted(found.values(), key=_age)


def _read(file: Path, holding: str) -> LedgerEntry | None:
    try:
        text = files.read_text(file, _ENTRY_BYTES)
        return LedgerEntry.model_validate_json(text) if holding in text else None
    except (OSError, UnicodeDecodeError, ValidationError):
        return None


def of_run(folders: Iterable[Path], run_id: str) -> list[LedgerEntry]:
    """Return all entries of the legs of a run.

    Only the process that writes the card knows the run id; the others know the ids of its legs.
    """
    places = list(folders)
    mine = [entry for entry in read(places, run_id) if entry.run_id == run_id]
    found = {entry.key: entry for entry in mine}
    for leg_id in {entry.leg.id for entry in mine}:
        for other in of_leg(places, leg_id):
            found.setdefault(other.key, other)
    return sorted(found.values(), key=_age)


def among(entries: Iterable[LedgerEntry], run_id: str) -> list[LedgerEntry]:
    """Return those of *entries* that are of the legs of a run."""
    listed = list(entries)
    legs = {entry.leg.id for entry in listed if entry.run_id == run_id}
    return [entry for entry in listed if entry.leg.id in legs]


def of_leg(folders: Path | Iterable[Path], leg_id: str) -> list[LedgerEntry]:
    """Return the entries of one leg on all hosts."""
    return read(folders, leg_id, f"leg-{leg_id}.*.json")


def find(
    entries: Sequence[LedgerEntry], leg_id: str, host: str, part: str = ""
) -> LedgerEntry | None:
    """Return the entry of a leg on a host; None: there is none."""
    return next((entry for entry in entries if entry.key == (leg_id, host, part)), None)


def _age(entry: LedgerEntry) -> tuple[str, str, int, str]:
    return entry.leg.started_at or "", entry.leg.id, entry.rank, entry.host_id


def _final(entry: LedgerEntry) -> tuple[bool, str]:
    return entry.status != "running", entry.written_at


def file_of(folder: Path, entry: LedgerEntry) -> Path:
    """Return the file of *entry* in *folder*."""
    return folder / f"{file_stem(*entry.key)}.json"


def file_stem(leg_id: str, host: str, part: str = "") -> str:
    """Return the name, without its ending, of the files of a leg on a host."""
    return ".".join(filter(None, (f"leg-{leg_id}", host, part)))
