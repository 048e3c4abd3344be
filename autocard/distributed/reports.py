"""What each process tells the one that writes the card when training ends, and what that one makes of it.

Rule: a note holds figures and pseudonyms, never a host's or a user's name. Who said nothing is
named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from autocard.energy.gpu.base import Device
from autocard.energy.ledger import join_hosts, ledger_files
from autocard.energy.ledger.ledger_files import LedgerEntry, LedgerFolders
from autocard.record import Gpu, Hardware, Job, Leg

SOME = "those are named that are known: not every node told of its own"
DIFFERS = "it differs between the nodes"
ALIKE = ("cpu_model", "ram_bytes", "cpu_count_node")
"""Leaves of `Hardware` that a node tells of itself."""
TICK = (
    "what it used after its last tick is not known: its process was not heard when training ended"
)


def note(
    entry: LedgerEntry | None,
    before: Iterable[LedgerEntry],
    hardware: Hardware | None,
    peaks: Mapping[str, int],
    boards: Iterable[Device] = (),
) -> dict[str, Any]:
    """Return what a process reports.

    Args:
        entry: of its leg; None: another process measures for it.
        before: earlier legs of its host, where only it can read them.
        hardware: as this process saw it.
        peaks: UUID → the most memory that torch held on it (bytes).
        boards: GPUs that this process uses: they have names where nobody measures them, too.
    """
    about = {} if hardware is None else {leaf: getattr(hardware, leaf) for leaf in ALIKE}
    return {
        "entry": None if entry is None else entry.model_dump(mode="json"),
        "past": [one.model_dump(mode="json") for one in before],
        "about": about,
        "boards": named(boards),
        "peaks": {ledger_files.pseudonym(uuid): size for uuid, size in peaks.items()},
    }


def named(boards: Iterable[Device]) -> dict[str, list[Any]]:
    """Return pseudonym → name and memory (bytes)."""
    return {
        ledger_files.pseudonym(board.uuid): [board.name, board.memory_bytes] for board in boards
    }


def earlier(folders: LedgerFolders, run_id: str, leg_id: str) -> list[LedgerEntry]:
    """Return what lies here of the run's earlier legs on this host."""
    mine = ledger_files.of_run(folders.reads, run_id)
    return [
        entry
        for entry in mine
        if entry.leg.id != leg_id and entry.host_id == ledger_files.host_id()
    ]


def entries(
    notes: Sequence[Mapping[str, Any]], leg_id: str
) -> tuple[list[LedgerEntry], list[LedgerEntry]]:
    """Return what *notes* tell of this leg, and of earlier ones; a note that cannot be read tells nothing."""
    now, before = [], []
    for one in notes:
        found = _entry(one.get("entry"))
        if found is not None:
            # Where a process did not hear in time what the leg is called, it has made up a name.
            now.append(
                found.model_copy(update={"leg": found.leg.model_copy(update={"id": leg_id})})
            )
        before += [entry for entry in map(_entry, one.get("past") or ()) if entry is not None]
    return now, before


def from_folder(
    folders: Sequence[Path], leg_id: str, known: Iterable[LedgerEntry], wall_clock_s: float
) -> list[LedgerEntry]:
    """Return what lies in shared folders of hosts that have not reported: as of their last tick, if they still run.

    A meter whose training process was stopped reads on: of its energy, *wall_clock_s* of the leg
    are counted.
    """
    have = {ledger_files.key_of(entry) for entry in known}
    found = []
    for entry in ledger_files.of_leg(folders, leg_id):
        if ledger_files.key_of(entry) in have:
            continue
        still = entry.status == "running"
        missing = {**entry.missing, "tail": TICK} if still else entry.missing
        entry = entry if entry.apart else join_hosts.cut(entry, wall_clock_s)  # noqa: PLW2901
        found.append(
            entry.model_copy(update={"ranks": [] if still else entry.ranks, "missing": missing})
        )
    return found


def _entry(raw: Any) -> LedgerEntry | None:
    try:
        return None if raw is None else LedgerEntry.model_validate(raw)
    except ValidationError:
        return None


def hardware_of_all(
    own: Hardware,
    entry: LedgerEntry,
    notes: Sequence[Mapping[str, Any]],
    gaps: MutableMapping[str, str],
    boards: Iterable[Device] = (),
) -> Hardware:
    """Return the hardware of all nodes that reported.

    Args:
        own: as this process saw its own node.
        entry: of the last leg, all hosts joined.
        notes: of the other processes.
        gaps: of *own*; they become those of the hardware that is returned.
        boards: GPUs that this process uses.
    """
    found: dict[str, Any] = {}
    leg, names = entry.leg, {**named(boards)}
    for one in notes:
        names |= one.get("boards", {})
    devices = [device for host in leg.hosts for device in host.devices]
    kinds_of = [names.get(board, [None, None]) for board in entry.board_ids]
    if len(kinds_of) != len(devices):
        kinds_of = [[None, None]] * len(devices)
    groups = Counter(
        (device.name or name, device.memory_bytes or size)
        for device, (name, size) in zip(devices, kinds_of, strict=True)
    )
    complete = leg.processes_reporting == leg.processes and bool(leg.hosts)
    if groups:
        found["gpus"] = [
            Gpu(name=name, count=count, memory_bytes=size)
            for (name, size), count in groups.items()
            if name
        ]
    if complete:
        found["nodes"] = len(leg.hosts)
    if complete and (groups or not own.gpus) and all(name for name, _ in groups):
        gaps.pop("gpus", None)
    elif groups:
        gaps["gpus"] = SOME
    for leaf in ALIKE:
        told = dict.fromkeys(
            [
                getattr(own, leaf),
                *(one["about"][leaf] for one in notes if leaf in one.get("about", {})),
            ]
        )
        kinds = [value for value in told if value is not None]
        if len(kinds) > 1 and leaf == "cpu_model":
            found[leaf] = " / ".join(kinds)
        elif len(kinds) > 1:
            found[leaf] = None
            gaps[leaf] = DIFFERS
    return own.model_copy(update=found)


def job_of_all(own: Job, leg: Leg, notes: Sequence[Mapping[str, Any]]) -> Job:
    """Return *own* with how many nodes and processes were heard."""
    heard = {one["rank"] for one in notes}
    told: dict[str, Any] = {
        "nodes_expected": leg.nodes_expected,
        "world_size": max(own.world_size or 1, leg.processes),
        "nodes_reporting": leg.nodes_reporting,
        "processes_reporting": 1 + len(heard),
    }
    if leg.processes_reporting == leg.processes:
        told["nodes_expected"] = len(leg.hosts)  # two of the launcher's nodes may be one machine
    return own.model_copy(update=told)


def peaks_of_all(
    entry: LedgerEntry, own: Mapping[str, int], notes: Sequence[Mapping[str, Any]]
) -> dict[str, int]:
    """Return device of the record → the most memory that a process held on it (bytes).

    Args:
        entry: of the last leg, all hosts joined.
        own: UUID → bytes.
        notes: of the other processes.
    """
    told = [
        {ledger_files.pseudonym(uuid): size for uuid, size in own.items()},
        *(one.get("peaks", {}) for one in notes),
    ]
    names = [device.device for host in entry.leg.hosts for device in host.devices]
    found: dict[str, int] = {}
    for name, board in zip(names, entry.board_ids, strict=False):
        sizes = [one[board] for one in told if board in one]
        if sizes:
            found[name] = max(sizes)
    return found
