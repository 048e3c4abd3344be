"""Ledger entries → the legs of the record: ended, joined over hosts, short ones completed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autocard.energy.ledger import join_hosts
from autocard.energy.ledger.ledger_entry import NEVER_CAME, PENDING, LedgerEntry
from autocard.record.legs import JOB_NOT_RECORDED

SHORT_S = 30.0
"""Seconds. A leg that was killed so soon may be completed at the mean power of another leg on the
same machine."""
LATER = "modeled: mean power of another start on the same machine; this one has only one reading"
NOTES_HOSTS = 2
"""Version of ledger entries from which on machines are named in the order of their appearance."""
INTENSITY = ("intensity_g_per_kwh", "intensity_source", "intensity_year")


def completed(
    entries: Sequence[LedgerEntry], open_id: str = "", hosts: Sequence[str] = ()
) -> list[LedgerEntry]:
    """Return one entry for each leg, as the record takes it.

    Args:
        entries: of all legs and hosts.
        open_id: id of a leg that goes on; "": all have ended.
        hosts: machines in the order of their names, as in `host_order`.
    """
    of_host: dict[tuple[str, str], list[LedgerEntry]] = {}
    for entry in entries:
        of_host.setdefault((entry.host_id, entry.part), []).append(entry)
    of_leg: dict[str, list[LedgerEntry]] = {}
    for entry in entries:
        ended = entry if entry.leg.id == open_id else _ended(entry)
        filled = _filled(ended, of_host[entry.host_id, entry.part])
        of_leg.setdefault(entry.leg.id, []).append(filled)
    whole = join_hosts.joined_entries([entry for parts in of_leg.values() for entry in parts])
    host_ids = [list(join_hosts.by_host(of_leg[entry.leg.id])) for entry in whole]
    order = host_order(entries, hosts)
    names = {host_id: f"h{number}" for number, host_id in enumerate(order, start=1)}
    named = []
    for entry, ids in zip(whole, host_ids, strict=True):
        named.append(_named(_with_job(entry), [names[host_id] for host_id in ids]))
    return named


def host_order(entries: Sequence[LedgerEntry], known: Sequence[str] = ()) -> list[str]:
    """Return the run's machines in the order of their names: that of their first appearance.

    A machine keeps the name that it had in an earlier record or checkpoint, even if earlier legs
    become known later.

    Args:
        entries: of all legs and hosts.
        known: the order so far; empty: as the entries have it.
    """
    legs: dict[str, list[LedgerEntry]] = {}
    for entry in sorted(entries, key=lambda one: (one.leg.started_at or "", one.leg.id)):
        legs.setdefault(entry.leg.id, []).append(entry)
    of_legs = [list(join_hosts.by_host(parts)) for parts in legs.values()]
    noted = [entry.hosts for parts in legs.values() for entry in parts if entry.hosts]
    if not known and noted:
        known = noted[-1]
    elif not known:
        known = _as_named_first(legs)
    return list(dict.fromkeys([*known, *(host for hosts in of_legs for host in hosts)]))


def _as_named_first(legs: Mapping[str, Sequence[LedgerEntry]]) -> list[str]:
    """Return the order in which version 0.1.0 named its machines: that of the last leg first."""
    of_legs = [
        list(join_hosts.by_host(parts))
        for parts in legs.values()
        if all(entry.version < NOTES_HOSTS for entry in parts)
    ]
    return list(dict.fromkeys(host for hosts in reversed(of_legs) for host in hosts))


def _with_job(entry: LedgerEntry) -> LedgerEntry:
    """Return *entry* with a reason where it does not say which job the leg ran in."""
    if entry.leg.job_id is not None or "job_id" in entry.missing:
        return entry
    missing = {**entry.missing, "job_id": JOB_NOT_RECORDED, "job": JOB_NOT_RECORDED}
    return entry.with_leg(entry.leg, missing)


def _ended(entry: LedgerEntry) -> LedgerEntry:
    if entry.status != "running":
        return entry
    # No process has seen its end: what it did after the last entry is not known.
    leg = entry.leg.model_copy(update={"status": "interrupted", "steps_unseen": True})
    return entry.model_copy(update={"status": "interrupted", "leg": leg})


def _named(entry: LedgerEntry, names: Sequence[str]) -> LedgerEntry:
    """Return *entry* with the pseudonyms of its hosts in this record."""
    if [host.host for host in entry.leg.hosts] == list(names):
        return entry
    renamed = []
    for host, name in zip(entry.leg.hosts, names, strict=False):
        devices = []
        for device in host.devices:
            number = device.device.rpartition(".")[2]  # g0 of h1.g0
            devices.append(device.model_copy(update={"device": f"{name}.{number}"}))
        renamed.append(host.model_copy(update={"host": name, "devices": devices}))
    return entry.with_leg(entry.leg.model_copy(update={"hosts": renamed}))


def _filled(entry: LedgerEntry, of_host: Sequence[LedgerEntry]) -> LedgerEntry:
    """Return *entry* completed from other legs, if it was killed before CPU and RAM could be read.

    Args:
        entry: of one leg.
        of_host: all entries of the same host.
    """
    if not _is_short(entry) or not _was_cut_off(entry):
        return entry
    for other in of_host:
        if other.leg.id != entry.leg.id and other.leg.hosts and other.leg.wall_clock_s:
            entry = _with_intensity(_with_power(entry, other), other)
    return entry


def _is_short(entry: LedgerEntry) -> bool:
    leg = entry.leg
    return bool(leg.hosts) and bool(leg.wall_clock_s) and (leg.wall_clock_s or 0.0) <= SHORT_S


def _was_cut_off(entry: LedgerEntry) -> bool:
    unknown = {PENDING, NEVER_CAME}
    return entry.leg.status == "interrupted" or not unknown.isdisjoint(entry.missing.values())


def _with_power(entry: LedgerEntry, other: LedgerEntry) -> LedgerEntry:
    """Return *entry* with CPU and RAM at the mean power of the *other* leg, where it has none."""
    host, like = entry.leg.hosts[0], other.leg.hosts[0]
    part = (entry.leg.wall_clock_s or 0.0) / (other.leg.wall_clock_s or 1.0)
    found: dict[str, float] = {}
    sources, missing = dict(host.sources), dict(entry.missing)
    for name in ("cpu", "ram"):
        joules = getattr(like, f"{name}_j")
        is_known = getattr(host, f"{name}_j") is not None
        if is_known or joules is None or like.cpu_share != host.cpu_share:
            continue
        found[f"{name}_j"], sources[name] = joules * part, LATER
        missing.pop(f"hosts.0.{name}_j", None)
    host = host.model_copy(update={**found, "sources": sources})
    hosts = [host, *entry.leg.hosts[1:]]
    return entry.with_leg(entry.leg.model_copy(update={"hosts": hosts}), missing)


def _with_intensity(entry: LedgerEntry, other: LedgerEntry) -> LedgerEntry:
    """Return *entry* with the intensity of the *other* leg, if it has none and is at that place."""
    leg, missing = entry.leg, dict(entry.missing)
    if leg.intensity_g_per_kwh is not None or other.leg.place != leg.place:
        return entry
    leg = leg.model_copy(update={name: getattr(other.leg, name) for name in INTENSITY})
    for name in INTENSITY:
        missing.pop(name, None)
        if getattr(leg, name) is None and name in other.missing:
            missing[name] = other.missing[name]
    return entry.with_leg(leg, missing)
