"""One small file for each leg and host (and for a process that alone sees its GPU): what survives of a killed training.

Rule: a leg's file is replaced as a whole at each tick, or not at all, and holds no host's, user's
or board's own name. The files are private working files (`_autocard/`, which uploads to the Hub
leave out). While a leg goes on, the process that writes its file holds a lock on the file beside
it; the kernel lets go of that when the process dies.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from autocard import files
from autocard.record import Frozen, Leg

try:
    import fcntl
except ImportError:  # not POSIX: there, no child process writes a ledger either
    fcntl = None  # type: ignore[assignment]

Status = Literal["running", "finished", "stopped", "interrupted"]

FOLDER = "_autocard"
"""Inside the output folder."""
_ENTRY_BYTES = 16_000_000
"""Of one entry in a file."""

_process: tuple[int, str] = (0, "")


class LedgerEntry(Frozen):
    """One leg on one host, as of its last tick."""

    version: int = 1
    """Of this file's format."""
    run_id: str
    """`run.id`."""
    host_id: str
    """Pseudonym of the machine since it was started; all containers on it have the same one."""
    process_id: str = ""
    """Made up once in each training process: tells a second training of one process from that of
    another."""
    output_id: str = ""
    """Pseudonym of the output folder: a node's ledger folder may serve several."""
    job_id: str | None = None
    """Pseudonym of the workload manager's job; None: there is none."""
    board_ids: list[str] = Field(default_factory=list)
    """Pseudonyms of the GPUs, in the order of the leg's devices."""
    rank: int = 0
    """World rank of the process that wrote this; 0 writes the card."""
    part: str = ""
    """Empty: CPU, memory and GPUs of a host; else GPUs of it that only the process of this name
    sees."""
    ranks: list[int] = Field(default_factory=lambda: [0])
    """Training processes on the host, as far as they were known when the leg began."""
    apart: bool = False
    """Whether each process is a training of its own, which ends when it ends."""
    expects: list[str] = Field(default_factory=list)
    """Pseudonyms of the GPUs that those processes use."""
    status: Status = "running"
    """running: the leg goes on, or was killed together with the process that wrote this."""
    written_at: str
    """ISO 8601, UTC: the last tick."""
    tick_s: float = 15.0
    """Seconds between two ticks."""
    locked: bool = False
    """Whether the process that wrote this held the lock beside it."""
    max_steps: int | None = None
    """Optimizer steps planned."""
    leg: Leg
    """With one host."""
    missing: dict[str, str] = Field(default_factory=dict)
    """Path inside the leg → why it is not there."""
    window: dict[str, Any] = Field(default_factory=dict)
    """What the measuring process knew, boards apart: from it the leg is completed where that
    process is lost."""


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
    def all(self) -> list[Path]:
        """Each folder that is written to, once."""
        return list(
            dict.fromkeys(folder for folder in (self.ticks, self.shared) if folder is not None)
        )

    @property
    def reads(self) -> list[Path]:
        """Each folder that may hold a leg, once."""
        return list(dict.fromkeys([*self.all, *([] if self.origin is None else [self.origin])]))


def folders_of(
    output_dir: Path | None, ledger_dir: str | None, checkpoint: str | None = None
) -> LedgerFolders:
    """Return the folders of the ledger of a training that writes to *output_dir*, resumed from *checkpoint*."""
    output = None if output_dir is None else files.absolute(output_dir)
    shared = None if output is None else output / FOLDER
    ticks = shared if ledger_dir is None else files.absolute(Path(ledger_dir))
    resumed = None if checkpoint is None else files.absolute(Path(checkpoint))
    origin = None if resumed is None else resumed.parent / FOLDER
    return LedgerFolders(
        ticks, shared, "" if output is None else pseudonym(os.path.realpath(output)), origin
    )


def host_id() -> str:
    """Return 12 hexadecimal digits that stand for this machine since it was started."""
    try:
        boot = files.read_loosely(Path("/proc/sys/kernel/random/boot_id")).strip()
    except OSError:  # not Linux: at least the same within one boot of the network card's machine
        boot = f"{uuid.getnode():x}"
    return pseudonym(boot)


def process_id() -> str:
    """Return 12 hexadecimal digits that stand for this process; a fork of it has others."""
    global _process  # noqa: PLW0603 - there is one process
    if _process[0] != os.getpid():
        _process = (os.getpid(), uuid.uuid4().hex[:12])
    return _process[1]


def pseudonym(name: str) -> str:
    """Return 12 hexadecimal digits that stand for *name* and do not tell it."""
    return hashlib.sha256(f"autocard {name}".encode()).hexdigest()[:12]


def write(folder: Path, entry: LedgerEntry) -> None:
    """Put *entry* into its file in *folder*, which is made where it is missing.

    Raises:
        NotWrittenError: it could not be written.
    """
    files.write_text(
        folder / f"{_stem(*key_of(entry))}.json", entry.model_dump_json(indent=1) + "\n"
    )


def remove(folder: Path, entry: LedgerEntry) -> None:
    """Take away the file of *entry*; where that does not work, it stays."""
    with contextlib.suppress(OSError):
        (folder / f"{_stem(*key_of(entry))}.json").unlink()


def keep(folders: LedgerFolders, entry: LedgerEntry) -> None:
    """Put the last word on a leg into every folder.

    Raises:
        NotWrittenError: it could not be written.
    """
    for folder in folders.all:
        write(folder, entry)


def read(
    folders: Path | Iterable[Path], holding: str = "", names: str = "leg-*.json"
) -> list[LedgerEntry]:
    """Return the entries in *folders*, the oldest leg first; a file that is no entry is left out.

    Of a leg that is in several folders, the entry that was written last is returned.

    Args:
        folders: where to look.
        holding: only entries in whose text this stands: a folder of many runs is read quickly.
        names: pattern of the files' names.
    """
    found: dict[tuple[str, str, str], LedgerEntry] = {}
    for folder in [folders] if isinstance(folders, Path) else folders:
        for file in folder.glob(names):
            entry = _read(file, holding)
            if entry is None:
                continue
            key = key_of(entry)
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
    """Return all entries of a run: only the process that writes the card knows the run, the others know its legs."""
    places = list(folders)
    mine = [entry for entry in read(places, run_id) if entry.run_id == run_id]
    others = [
        other for leg_id in {entry.leg.id for entry in mine} for other in of_leg(places, leg_id)
    ]
    known = {key_of(entry) for entry in mine}
    return sorted([*mine, *(other for other in others if key_of(other) not in known)], key=_age)


def among(entries: Iterable[LedgerEntry], run_id: str) -> list[LedgerEntry]:
    """Return those of *entries* that are of the legs of a run."""
    listed = list(entries)
    legs = {entry.leg.id for entry in listed if entry.run_id == run_id}
    return [entry for entry in listed if entry.leg.id in legs]


def of_leg(folders: Path | Iterable[Path], leg_id: str) -> list[LedgerEntry]:
    """Return the entries of one leg on all hosts."""
    return read(folders, leg_id, f"leg-{leg_id}.*.json")


def key_of(entry: LedgerEntry) -> tuple[str, str, str]:
    """Return what tells an entry from all others: leg, host, part."""
    return entry.leg.id, entry.host_id, entry.part


def find(
    entries: Sequence[LedgerEntry], leg_id: str, host: str, part: str = ""
) -> LedgerEntry | None:
    """Return the entry of a leg on a host; None: there is none."""
    return next((entry for entry in entries if key_of(entry) == (leg_id, host, part)), None)


def handed_on(entry: LedgerEntry | None, uuids: Sequence[str], death: str) -> dict[str, Any]:
    """Return what a measuring process is told of a leg that another one had watched until its *death*.

    Args:
        entry: the other's last one; None, or without CPU and memory: the new one has to know it all
            by itself.
        uuids: of the leg's boards, in the order of its devices.
        death: how the other ended, in words.
    """
    host = None if entry is None or not entry.window else entry.leg.hosts[0]
    if entry is None or host is None or host.cpu_j is None or host.ram_j is None:
        return {"death": death}
    boards = {uuid: device.energy_j for uuid, device in zip(uuids, host.devices, strict=True)}
    joules = {**boards, **entry.window["host"]["joules"]}
    return {
        "death": death,
        "covered_s": entry.leg.wall_clock_s or 0.0,
        "joules": {part: value for part, value in joules.items() if value is not None},
        "step": entry.leg.step_end,
        "points": [point.model_dump() for point in entry.leg.checkpoints],
    }


def _age(entry: LedgerEntry) -> tuple[str, str, int, str]:
    return entry.leg.started_at or "", entry.leg.id, entry.rank, entry.host_id


def _final(entry: LedgerEntry) -> tuple[bool, str]:
    return entry.status != "running", entry.written_at


def _stem(leg_id: str, host: str, part: str = "") -> str:
    return ".".join(filter(None, (f"leg-{leg_id}", host, part)))


# -- whether a leg goes on -------------------------------------------------------------------------


class LedgerLock:
    """Says to others on this machine that a leg goes on, for as long as this process lives."""

    def __init__(self, folder: Path, leg_id: str, part: str = "") -> None:
        """Take the lock, if the file system has such a thing."""
        self._file = folder / f"{_stem(leg_id, host_id(), part)}.lock"
        self._descriptor: int | None = None
        if fcntl is None:
            return
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o666)
        if self._descriptor is not None:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self.release()

    @property
    def held(self) -> bool:
        """Whether others can see it."""
        return self._descriptor is not None

    def release(self) -> None:
        """Let go of it."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                self._file.unlink()
            os.close(self._descriptor)
            self._descriptor = None


def goes_on(folder: Path, entry: LedgerEntry) -> bool | None:
    """Return whether the process that writes *entry* lives; None: from here that cannot be seen."""
    if entry.status != "running":
        return False
    if entry.host_id != host_id() or not entry.locked or fcntl is None:
        return None  # a lock of another machine may outlast it, or not be seen at all
    try:
        descriptor = os.open(folder / f"{_stem(*key_of(entry))}.lock", os.O_RDONLY)
    except OSError:
        return False  # its owner has tidied up
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False
