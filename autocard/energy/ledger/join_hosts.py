"""The entries of one leg, one for each host → the leg of the whole job.

Rule: each host and each GPU is counted once, however many entries have it. What a process without
an entry used is a gap with a reason, and never estimated. Pure arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from autocard import units
from autocard.energy.ledger.ledger_entry import LedgerEntry
from autocard.energy.ledger.shared_storage import SHARED_S
from autocard.energy.ledger.source_words import NOTICEABLE_S
from autocard.record import Checkpoint, DeviceUse, HostUse, Leg
from autocard.record.gaps import Gaps, Part, gaps_in, joined, under, without

OTHER = "measured by another process on the host"
LATE = "a GPU that only one process of the host sees is read from the start of training"
ONE = "on one of its nodes: "
SOME = "CodeCarbon read only some of the host's GPUs"
SILENT = "not measured: the process that uses it did not report"
PLACE = ("place", "intensity_g_per_kwh", "intensity_source", "intensity_year")
"""Leaves of a leg that are the same on all its hosts."""
APART = ("setup_j", "evaluation_j")
"""Leaves of a leg that are sums over its hosts."""
OF_FIRST = ("started_at", "ended_at", "status", "step_begin")
"""Fields of a leg that the process which writes the card gives."""
_SCALED = ("gpu", "cpu", "ram")
"""Parts of a host's energy that `scaled` changes; set-up and the node's meter stay as they were."""
LAST = "; last {:.1f} s extrapolated"
UNWRITTEN_TICKS = 2
"""Readings of a host that was killed that may be missing beside those of another."""
CUT = "; read for {read_s:.1f} s, first {leg_s:.1f} s counted at the mean power"


def joined_entries(entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """Return one entry for each leg, the oldest first, with the hosts of all its *entries*."""
    legs: dict[str, list[LedgerEntry]] = {}
    for entry in sorted(entries, key=lambda one: (one.rank, bool(one.part), one.host_id)):
        legs.setdefault(entry.leg.id, []).append(entry)
    whole = [_joined(parts) for parts in legs.values()]
    return sorted(whole, key=lambda entry: (entry.leg.started_at or "", entry.leg.id))


def by_host(entries: Sequence[LedgerEntry]) -> dict[str, list[LedgerEntry]]:
    """Return host → its entries: the writing process's host first, CPU and RAM first."""
    found: dict[str, list[LedgerEntry]] = {}
    for entry in sorted(entries, key=lambda one: (one.rank, one.host_id)):
        found.setdefault(entry.host_id, []).append(entry)
    return {host: _with_figures(parts) for host, parts in found.items()}


def _with_figures(parts: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """Return the entries of one host that hold figures; the one with CPU and RAM first."""
    measured = [entry for entry in parts if entry.leg.hosts]
    return sorted(measured, key=lambda one: bool(one.part)) or list(parts[:1])


def scaled(host: HostUse, part: float, words: str) -> HostUse:
    """Return *host* with *part* times its energy, and *words* at the end of its sources."""

    def times(joules: float | None) -> float | None:
        return None if joules is None else joules * part

    devices = [
        device.model_copy(update={"energy_j": times(device.energy_j)}) for device in host.devices
    ]
    known = ("measured", "modeled", "modelled")  # the last in records of version 0.1.0
    sources = {
        name: how + words if name in _SCALED and how.startswith(known) else how
        for name, how in host.sources.items()
    }
    leaves = {leaf: times(getattr(host, leaf)) for leaf in ("cpu_j", "ram_j", "codecarbon_gpu_j")}
    return host.model_copy(update={**leaves, "devices": devices, "sources": sources})


def cut(entry: LedgerEntry, wall_clock_s: float) -> LedgerEntry:
    """Return *entry* with the energy of its first *wall_clock_s* seconds, if it has more."""
    read_s = entry.leg.wall_clock_s or 0.0
    if read_s <= wall_clock_s:
        return entry
    words = CUT.format(read_s=read_s, leg_s=wall_clock_s)
    uses = [scaled(host, wall_clock_s / read_s, words) for host in entry.leg.hosts]
    leg = entry.leg.model_copy(update={"hosts": uses, "wall_clock_s": wall_clock_s})
    return entry.model_copy(update={"leg": leg})


def _joined(found: Sequence[LedgerEntry]) -> LedgerEntry:
    """Return one entry for the entries of one leg."""
    first = found[0]
    if len(found) == 1 and first.leg.processes == 1:
        return first
    entries = [part for parts in by_host(found).values() for part in parts]
    wall_clock_s = _latest([first, *entries], lambda one: one.leg.wall_clock_s)
    entries = [_stretched(entry, wall_clock_s) for entry in entries]
    lead = next((entry for entry in entries if entry.leg.hosts), first)
    hosts, boards = _hosts(entries)
    missing = {**without(lead.missing, "hosts"), **under("hosts", hosts.gaps)}
    fields: dict[str, Any] = {
        **_place(entries, missing),
        **{name: getattr(first.leg, name) for name in OF_FIRST},
        **{name: _sum(entries, name, missing) for name in APART},
        "reported_setup_j": sum(entry.leg.setup_j or 0.0 for entry in entries),
        **_reporting([first, *entries], machines=len(hosts.value)),
        "hosts": hosts.value,
        "wall_clock_s": wall_clock_s,
        "step_end": _latest([first, *entries], lambda one: one.leg.step_end),
        "checkpoints": _checkpoints([entry.leg for entry in entries]),
    }
    leg = _without_part_sums(lead.leg.model_copy(update=fields), missing)
    return lead.model_copy(update={"leg": leg, "missing": missing, "board_ids": boards})


def _reporting(entries: Sequence[LedgerEntry], machines: int) -> dict[str, int | None]:
    """Return how many processes and nodes there are, and how many reported."""
    measured = entries[1:]
    # Trainings of their own learn one by one how many they are.
    processes = max(entry.leg.processes for entry in entries)
    reporting = len({rank for entry in measured for rank in entry.ranks})
    planned = entries[0].leg.nodes_expected
    return {
        "processes": processes,
        "processes_reporting": reporting,
        # Two of the launcher's nodes may be one machine.
        "nodes_expected": planned if reporting < processes else machines,
        "nodes_reporting": len({entry.host_id for entry in measured if entry.ranks}),
    }


def _hosts(entries: Sequence[LedgerEntry]) -> tuple[Part[list[HostUse]], list[str]]:
    """Return the hosts and the pseudonyms of their GPUs."""
    hosts, boards = list[Part[HostUse]](), list[str]()
    for number, parts in enumerate(by_host(entries).values()):
        host, ids = _host(parts, f"h{number + 1}")
        hosts.append(host)
        boards += ids
    return joined(hosts), boards


def _without_part_sums(leg: Leg, missing: dict[str, str]) -> Leg:
    """Return *leg*; without sums over hosts if a process is silent: they are not complete."""
    if leg.nodes_expected is None:
        missing["nodes_expected"] = "the launcher does not report the number of nodes"
    if leg.processes_reporting < leg.processes:
        missing["hosts"] = silence(leg)
        missing.update(dict.fromkeys(APART, missing["hosts"]))
        leg = leg.model_copy(update=dict.fromkeys(APART))
    return leg if leg.setup_j is None else leg.model_copy(update={"reported_setup_j": 0.0})


def _stretched(entry: LedgerEntry, wall_clock_s: float | None) -> LedgerEntry:
    """Return *entry* for the whole leg, if its process began later or ended earlier."""
    own_s = entry.leg.wall_clock_s
    if not own_s or not wall_clock_s or entry.apart:
        return entry
    if entry.leg.steps_unseen:
        return _continued(entry, own_s, wall_clock_s)
    if entry.status not in {"finished", "stopped"}:
        return entry
    if own_s - wall_clock_s > NOTICEABLE_S:
        return cut(entry, wall_clock_s)
    if wall_clock_s - own_s <= NOTICEABLE_S:
        return entry
    words = (
        f"; {wall_clock_s - own_s:.1f} s extrapolated, "
        "in which this host's process was not in training"
    )
    uses = [scaled(host, wall_clock_s / own_s, words) for host in entry.leg.hosts]
    return entry.model_copy(update={"leg": entry.leg.model_copy(update={"hosts": uses})})


def _continued(entry: LedgerEntry, own_s: float, wall_clock_s: float) -> LedgerEntry:
    """Return *entry*, whose end no process has seen, up to the end of the leg.

    Another host may have read on: because this one failed earlier, or because its last readings
    were not written before all of them were killed. Longer than that, it is taken as not reporting.
    """
    lag_s = wall_clock_s - own_s
    if lag_s <= NOTICEABLE_S or not entry.ranks:
        return entry
    if lag_s > SHARED_S + UNWRITTEN_TICKS * entry.tick_s:
        return entry.model_copy(update={"ranks": []})
    uses = [scaled(host, wall_clock_s / own_s, LAST.format(lag_s)) for host in entry.leg.hosts]
    return entry.with_leg(entry.leg.model_copy(update={"hosts": uses}))


def _place(entries: Sequence[LedgerEntry], missing: dict[str, str]) -> dict[str, Any]:
    """Return place and intensity from the process that has looked them up; replace their reasons.

    A place is looked up once for a job, and all its hosts are there.
    """
    located = [entry for entry in entries if entry.leg.intensity_g_per_kwh is not None]
    source = located[0] if located else entries[0]
    for path in [path for path in missing if _is_of_place(path)]:
        del missing[path]
    missing.update({path: why for path, why in source.missing.items() if _is_of_place(path)})
    return {name: getattr(source.leg, name) for name in PLACE}


def _is_of_place(path: str) -> bool:
    return path.partition(".")[0] in PLACE


def silence(leg: Leg) -> str:
    """Describe the part of the leg that no process reported."""
    silent, all_of_them = leg.processes - leg.processes_reporting, units.count(leg.processes)
    words = f"{units.count(silent)} of {all_of_them} processes did not report their energy"
    if leg.nodes_expected is None or leg.nodes_expected <= leg.nodes_reporting:
        return words
    reporting, nodes = units.count(leg.nodes_reporting), units.count(leg.nodes_expected)
    return f"{reporting} of {nodes} nodes reporting; {words}"


def _latest(
    entries: Sequence[LedgerEntry], value: Callable[[LedgerEntry], float | None]
) -> float | None:
    """Return the *value* of the first entry, or the largest one.

    The largest one counts for a leg whose end no process has seen, and for trainings that only
    began together.
    """
    lead = entries[0]
    if lead.rank == 0 and not lead.leg.steps_unseen and not lead.apart:
        return value(lead)
    return max((found for entry in entries if (found := value(entry)) is not None), default=None)


def _host(parts: Sequence[LedgerEntry], name: str) -> tuple[Part[HostUse], list[str]]:
    """Return one host with all its GPUs, and their pseudonyms."""
    lead = parts[0]
    if not lead.leg.hosts:
        return _unmeasured_host(lead, name)
    boards = _devices(parts, name)
    devices = joined(boards.values())
    host = lead.leg.hosts[0]
    gaps = _without_devices(gaps_in(lead.missing, "hosts.0"))
    if lead.part:  # the entry with CPU and RAM is not there
        reason = "not measured: the process that measures them did not report"
        gaps["cpu_j"] = gaps["ram_j"] = reason
    gaps.update(under("devices", devices.gaps))
    sources = dict(host.sources)
    if boards and len(parts) > 1:
        told = [part.leg.hosts[0].sources["gpu"] for part in parts if part.board_ids]
        sources["gpu"] = next(iter(told), sources["gpu"])
    if host.codecarbon_gpu_j is not None and len(boards) > len(lead.board_ids):
        host = host.model_copy(update={"codecarbon_gpu_j": None})
        gaps["codecarbon_gpu_j"] = SOME
    update = {"host": name, "devices": devices.value, "sources": sources}
    return Part(host.model_copy(update=update), gaps), list(boards)


def _unmeasured_host(lead: LedgerEntry, name: str) -> tuple[Part[HostUse], list[str]]:
    """Return a host without measurements, with the GPUs that it uses, and their pseudonyms."""
    devices = {
        board: DeviceUse(device=f"{name}.g{number}") for number, board in enumerate(lead.expects)
    }
    reason = ONE + lead.missing.get("", "not measured")
    return Part(HostUse(host=name, devices=list(devices.values())), {"": reason}), list(devices)


def _without_devices(gaps: Gaps) -> dict[str, str]:
    """Return *gaps* of a host without those of each device, whose positions change.

    The gap of the list of devices itself is kept.
    """
    kept = without(gaps, "devices")
    return {**kept, "devices": gaps["devices"]} if "devices" in gaps else kept


def _devices(parts: Sequence[LedgerEntry], name: str) -> dict[str, Part[DeviceUse]]:
    """Return pseudonym → GPU of one host, each once, those without a measurement included."""
    found: dict[str, Part[DeviceUse]] = {}
    for entry in parts:
        for number, (board, device) in enumerate(_boards(entry)):
            if board not in found:
                named = device.model_copy(update={"device": f"{name}.g{len(found)}"})
                found[board] = Part(named, gaps_in(entry.missing, f"hosts.0.devices.{number}"))
    for board in [board for entry in parts for board in entry.expects]:
        if board not in found:
            device = DeviceUse(device=f"{name}.g{len(found)}")
            found[board] = Part(device, {"": SILENT})
    return found


def _boards(entry: LedgerEntry) -> list[tuple[str, DeviceUse]]:
    """Return the GPUs of an entry with their pseudonyms, made up for one from a checkpoint."""
    devices = entry.leg.hosts[0].devices if entry.leg.hosts else []
    names = entry.board_ids or [
        f"{entry.host_id} {entry.part} {number}" for number in range(len(devices))
    ]
    return list(zip(names, devices, strict=False))


def _sum(entries: Sequence[LedgerEntry], leaf: str, missing: dict[str, str]) -> float | None:
    """Return the sum over all entries; None, with a reason, if one of them does not have it."""
    total = 0.0
    for entry in entries:
        value: float | None = getattr(entry.leg, leaf)
        if value is None:
            missing[leaf] = entry.missing.get(leaf) or entry.missing.get(
                "", "not measured on every host"
            )
            return None
        total += value
    missing.pop(leaf, None)
    return total


def _checkpoints(legs: Sequence[Leg]) -> list[Checkpoint]:
    """Return the checkpoints that all hosts have: seconds of the first, joules of all."""
    steps = [{point.step: point for point in leg.checkpoints} for leg in legs]
    shared = [point for point in legs[0].checkpoints if all(point.step in known for known in steps)]
    return [
        point.model_copy(update={"energy_j": sum(known[point.step].energy_j for known in steps)})
        for point in shared
    ]
