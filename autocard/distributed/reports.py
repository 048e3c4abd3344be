"""What each process reports to the one that writes the card, and what that one makes of it.

Rule: a report holds figures and pseudonyms, never the name of a host or a user. A process without a
report is counted as one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from autocard.energy.gpu.base import Device
from autocard.energy.ledger import join_hosts, ledger_files
from autocard.energy.ledger.ledger_entry import LedgerEntry
from autocard.energy.ledger.ledger_files import LedgerFolders
from autocard.record import Gpu, Hardware, Job, Leg

SOME = "only some nodes reported theirs"
DIFFERS = "it differs between the nodes"
OF_NODE = ("cpu_model", "ram_bytes", "cpu_count_node")
"""Fields of `Hardware` that are a node's own."""
TICK = (
    "energy after its last reading is not known: its process did not report at the end of training"
)

Board = tuple[str | None, int | None]
"""Name of a GPU and its memory in bytes."""


@dataclass(frozen=True)
class Report:
    """What one process reports when training ends."""

    rank: int
    entry: LedgerEntry | None = None
    """Of its leg; None: another process measures for it."""
    earlier: list[LedgerEntry] = field(default_factory=list)
    """Earlier legs of its host, where only it can read them."""
    node: dict[str, Any] = field(default_factory=dict)
    """`OF_NODE` → what this process saw."""
    boards: dict[str, Board] = field(default_factory=dict)
    """Pseudonym → GPU that this process uses: it has a name even if no process measures it."""
    peaks: dict[str, int] = field(default_factory=dict)
    """Pseudonym → the most memory that torch held on the GPU (bytes)."""

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return {
            "rank": self.rank,
            "entry": None if self.entry is None else self.entry.model_dump(mode="json"),
            "earlier": [entry.model_dump(mode="json") for entry in self.earlier],
            "node": self.node,
            "boards": self.boards,
            "peaks": self.peaks,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Report:
        """Return the report of *raw*; an entry that cannot be read is left out."""
        earlier = [_entry(one) for one in raw.get("earlier") or ()]
        return cls(
            rank=raw["rank"],
            entry=_entry(raw.get("entry")),
            earlier=[entry for entry in earlier if entry is not None],
            node=raw.get("node") or {},
            boards={key: (name, size) for key, (name, size) in (raw.get("boards") or {}).items()},
            peaks=raw.get("peaks") or {},
        )


def _entry(raw: Any) -> LedgerEntry | None:
    try:
        return None if raw is None else LedgerEntry.model_validate(raw)
    except ValidationError:
        return None


def node_fields(hardware: Hardware | None) -> dict[str, Any]:
    """Return the fields of *hardware* that are its node's own."""
    return {} if hardware is None else {name: getattr(hardware, name) for name in OF_NODE}


def named(boards: Iterable[Device]) -> dict[str, Board]:
    """Return pseudonym → name and memory (bytes)."""
    return {
        ledger_files.pseudonym(board.uuid): (board.name, board.memory_bytes) for board in boards
    }


def by_pseudonym(peaks: Mapping[str, int]) -> dict[str, int]:
    """Return *peaks* (UUID → bytes) by the pseudonyms of the GPUs."""
    return {ledger_files.pseudonym(uuid): size for uuid, size in peaks.items()}


# -- the entries -----------------------------------------------------------------------------------


def earlier(folders: LedgerFolders, run_id: str, leg_id: str) -> list[LedgerEntry]:
    """Return the entries of the run's earlier legs on this host."""
    host = ledger_files.host_id()
    entries = ledger_files.of_run(folders.reads, run_id)
    return [entry for entry in entries if entry.leg.id != leg_id and entry.host_id == host]


def readings_of(shown: Iterable[str], leg_id: str) -> list[LedgerEntry]:
    """Return the entries of *shown* (JSON) as those of *leg_id*, without what cannot be read."""
    found = []
    for text in shown:
        try:
            entry = LedgerEntry.model_validate_json(text)
        except ValidationError:
            continue
        found.append(entry.with_leg(entry.leg.model_copy(update={"id": leg_id})))
    return found


def entries_of(reports: Iterable[Report], leg_id: str) -> list[LedgerEntry]:
    """Return the reported entries of the leg that has ended."""
    found = []
    for report in reports:
        if report.entry is not None:
            # A process that did not receive the leg's id in time has made one up.
            leg = report.entry.leg.model_copy(update={"id": leg_id})
            found.append(report.entry.with_leg(leg))
    return found


def from_folder(
    folders: Sequence[Path], leg_id: str, known: Iterable[LedgerEntry], wall_clock_s: float
) -> list[LedgerEntry]:
    """Return the entries that lie in shared folders, of hosts that have not reported.

    A worker whose training process was stopped reads on: of its energy, *wall_clock_s* of the leg
    are counted.
    """
    have = {entry.key for entry in known}
    found = []
    for written in ledger_files.of_leg(folders, leg_id):
        if written.key in have:
            continue
        entry = written if written.apart else join_hosts.cut(written, wall_clock_s)
        if written.status == "running":
            missing = {**written.missing, "tail": TICK}
            entry = entry.model_copy(update={"ranks": [], "missing": missing})
        found.append(entry)
    return found


# -- the parts of the record -----------------------------------------------------------------------


def hardware_of_all(
    own: Hardware,
    entry: LedgerEntry,
    reports: Sequence[Report],
    gaps: MutableMapping[str, str],
    boards: Iterable[Device] = (),
) -> Hardware:
    """Return the hardware of all nodes that reported.

    Args:
        own: as this process saw its own node.
        entry: of the last leg, all hosts joined.
        reports: of the other processes.
        gaps: of *own*; they become those of the hardware that is returned.
        boards: GPUs that this process uses.
    """
    leg, found = entry.leg, dict[str, Any]()
    groups = _gpu_groups(entry, [named(boards), *(report.boards for report in reports)])
    is_complete = leg.processes_reporting == leg.processes and bool(leg.hosts)
    if groups:
        found["gpus"] = _gpus(groups)
    if is_complete:
        found["nodes"] = len(leg.hosts)
    all_named = all(name for name, _ in groups)
    if is_complete and all_named and (groups or not own.gpus):
        gaps.pop("gpus", None)
    elif groups:
        gaps["gpus"] = SOME
    found |= _node_fields_of_all(own, reports, gaps)
    return own.model_copy(update=found)


def _node_fields_of_all(
    own: Hardware, reports: Sequence[Report], gaps: MutableMapping[str, str]
) -> dict[str, Any]:
    """Return the fields in which nodes differ; note in *gaps* those without a common value."""
    found: dict[str, Any] = {}
    for name in OF_NODE:
        values = [getattr(own, name), *(report.node.get(name) for report in reports)]
        different = list(dict.fromkeys(value for value in values if value is not None))
        if len(different) < 2:  # noqa: PLR2004 - all nodes have the same
            continue
        if name == "cpu_model":
            found[name] = " / ".join(different)
        else:
            found[name], gaps[name] = None, DIFFERS
    return found


def _gpu_groups(entry: LedgerEntry, known: Iterable[Mapping[str, Board]]) -> Counter[Board]:
    """Return (name, memory) → how many such GPUs the leg of *entry* used.

    Args:
        entry: of the leg, all hosts joined.
        known: pseudonym → GPU, of each process: for GPUs that were not measured.
    """
    names: dict[str, Board] = {}
    for boards in known:
        names |= boards
    devices = [device for host in entry.leg.hosts for device in host.devices]
    nameless: Board = (None, None)
    ids = entry.board_ids if len(entry.board_ids) == len(devices) else [""] * len(devices)
    groups: Counter[Board] = Counter()
    for device, board_id in zip(devices, ids, strict=True):
        name, size = names.get(board_id, nameless)
        groups[device.name or name, device.memory_bytes or size] += 1
    return groups


def _gpus(groups: Counter[Board]) -> list[Gpu]:
    """Return the GPUs that have a name."""
    found = []
    for (name, size), count in groups.items():
        if name:
            found.append(Gpu(name=name, count=count, memory_bytes=size))
    return found


def job_of_all(own: Job, leg: Leg, reports: Sequence[Report], launcher_nodes: int | None) -> Job:
    """Return *own* with how many nodes and processes there were, and how many reported."""
    found = {
        "launcher_nodes": launcher_nodes,
        "nodes_expected": leg.nodes_expected,
        "world_size": max(own.world_size or 1, leg.processes),
        "nodes_reporting": leg.nodes_reporting,
        "processes_reporting": 1 + len({report.rank for report in reports}),
    }
    return own.model_copy(update=found)


def peaks_of_all(
    entry: LedgerEntry, own: Mapping[str, int], reports: Sequence[Report]
) -> dict[str, int]:
    """Return device of the record → the most memory that a process held on it (bytes).

    Args:
        entry: of the last leg, all hosts joined.
        own: UUID → bytes.
        reports: of the other processes.
    """
    peaks = [by_pseudonym(own), *(report.peaks for report in reports)]
    names = [device.device for host in entry.leg.hosts for device in host.devices]
    found: dict[str, int] = {}
    for name, board_id in zip(names, entry.board_ids, strict=False):
        sizes = [one[board_id] for one in peaks if board_id in one]
        if sizes:
            found[name] = max(sizes)
    return found
