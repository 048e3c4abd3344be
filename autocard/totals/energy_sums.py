"""The energy of a run: sums over its legs and hosts, in kWh, and how they were measured.

Where nodes did not report, the sum of the others has a name of its own (`reported_kwh`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from autocard.record import Energy, HostUse, Leg, RunRecord
from autocard.record.gaps import Part, PartBuilder, gaps_at
from autocard.record.legs import COUNTER_SUFFIX
from autocard.totals.leg_sums import (
    J_PER_KWH,
    GapError,
    Legs,
    all_j,
    gpu_j,
    part_j,
    put_sum,
    require_legs,
    sum_of,
)

NO_PUE = "no PUE was given"
ALL_REPORTED = "the total is known"
ONE_NODE = "only given where some of several nodes did not report"

BOUNDARY = (
    "GPUs, CPU packages and memory from the start of training to its end, with the evaluations and "
    "checkpoints in between. Not included: set-up before training and evaluation after it, other "
    "processes before and after, disks, network, fans, power-supply losses, earlier runs, "
    "manufacturing of the hardware"
)
BOUNDARY_SO_FAR = BOUNDARY.replace("to its end", "to the step at which this was written")
"""Of a training that goes on."""
BOUNDARY_CUT_OFF = BOUNDARY.replace("to its end", "to the last reading before it was killed")
"""Of a training that was killed together with what measured it."""
BOUNDARY_WITH_CUTS = BOUNDARY.replace(
    "to its end", "to its end (of each start that was killed: to its last reading)"
)
"""Of a training that went on after such a kill."""


def of_legs(legs: Legs) -> Part[Energy]:
    """Return the energy of *legs*; hosts and legs that differ in how they measured say so."""
    part = PartBuilder(Energy, "energy")
    part.fields["sources"] = _sources([host for leg in legs for host in leg.value.hosts])
    part.fields["boundary"] = _boundary([leg.value for leg in legs])
    put_sum(part, "gpu_kwh", lambda: gpu_j(legs) / J_PER_KWH)
    put_sum(part, "cpu_kwh", lambda: part_j(legs, "cpu_j") / J_PER_KWH)
    put_sum(part, "ram_kwh", lambda: part_j(legs, "ram_j") / J_PER_KWH)
    put_sum(part, "total_kwh", lambda: all_j(legs) / J_PER_KWH)
    put_sum(part, "facility_kwh", lambda: _given_facility_kwh(legs))
    put_sum(part, "node_meter_kwh", lambda: part_j(legs, "node_meter_j") / J_PER_KWH)
    put_sum(part, "codecarbon_gpu_kwh", lambda: part_j(legs, "codecarbon_gpu_j") / J_PER_KWH)
    put_sum(part, "setup_kwh", lambda: sum_of(legs, "setup_j") / J_PER_KWH)
    if part.fields.get("setup_kwh") is None:
        part.fields["reported_setup_kwh"] = _reported_setup_kwh(legs)
    put_sum(part, "evaluation_kwh", lambda: sum_of(legs, "evaluation_j") / J_PER_KWH)
    put_sum(part, "repeated_kwh", lambda: sum_of(legs, "repeated_j") / J_PER_KWH)
    put_sum(part, "reported_kwh", lambda: _reported_kwh(legs))
    return part.build()


def _boundary(legs: Sequence[Leg]) -> str:
    if legs and legs[-1].steps_unseen:
        return BOUNDARY_CUT_OFF
    return BOUNDARY_WITH_CUTS if any(leg.steps_unseen for leg in legs) else BOUNDARY


def facility_kwh(legs: Legs) -> float:
    """Return each leg's energy × its PUE, 1 where none was given."""
    return sum(all_j([leg]) * (leg.value.pue or 1.0) for leg in legs) / J_PER_KWH


def _given_facility_kwh(legs: Legs) -> float:
    """Return the energy with that of the building, where a PUE was given."""
    require_legs(legs)
    if all(leg.value.pue is None for leg in legs):
        raise GapError(NO_PUE)
    return facility_kwh(legs)


def _reported_setup_kwh(legs: Legs) -> float:
    return sum(leg.value.setup_j or leg.value.reported_setup_j for leg in legs) / J_PER_KWH


def _reported_kwh(legs: Legs) -> float:
    return sum(reported_j(leg.value) for leg in some_silent(legs)) / J_PER_KWH


def some_silent(legs: Legs) -> Legs:
    """Return the legs.

    Raises:
        GapError: of all their nodes all is known, or they have but one.
    """
    if not any(_has_several_nodes(leg) for leg in legs):
        raise GapError(ONE_NODE)
    try:
        all_j(legs)
    except GapError:
        return legs
    raise GapError(ALL_REPORTED)


def _has_several_nodes(leg: Part[Leg]) -> bool:
    hosts = leg.value.hosts
    return len(hosts) > 1 or bool(hosts and "hosts" in leg.gaps)


def reported_j(leg: Leg) -> float:
    """Return the joules of *leg* that were measured, whatever else there was."""
    parts = [joules for host in leg.hosts for joules in (host.cpu_j, host.ram_j)]
    parts += [device.energy_j for host in leg.hosts for device in host.devices]
    return sum(joules for joules in parts if joules is not None)


def of_record(record: RunRecord, numbers: Iterable[int]) -> Part[Energy]:
    """Return total, set-up and evaluation of the legs of *record* with these *numbers*.

    For comparisons with meters that saw only some of the legs; the sums of the record are those of
    all.
    """
    return of_legs(
        [Part(record.legs[number], gaps_at(record.missing, f"legs.{number}")) for number in numbers]
    )


def of_trials(legs: Iterable[Part[Leg] | None]) -> tuple[float | None, float, str | None]:
    """Return the kWh of all *legs*, the kWh of those that are known, and why the first is None.

    Args:
        legs: of each training, as the trials of a search; None: nothing is known of it.
    """
    reported_kwh, why_none = 0.0, None
    for leg in legs:
        if leg is None:
            why_none = why_none or "what a trial used was not recorded"
            continue
        energy = of_legs([leg])
        if energy.value.total_kwh is None:
            why_none = why_none or energy.gaps["total_kwh"]
        else:
            reported_kwh += energy.value.total_kwh
    return (reported_kwh if why_none is None else None), reported_kwh, why_none


def counted_kwh(legs: Sequence[Leg], numbers: Sequence[int]) -> float:
    """Return the kWh that counters read during the legs with these *numbers*.

    It is the least that a meter of the same machines can show.
    """
    hosts = [host for number in numbers for host in legs[number].hosts]
    return sum(_counted_j(host) for host in hosts) / J_PER_KWH


def _counted_j(host: HostUse) -> float:
    joules = 0.0
    for device in host.devices:
        if device.source is not None and device.source.endswith(COUNTER_SUFFIX):
            joules += device.energy_j or 0.0
    if host.sources.get("cpu", "").startswith("measured"):
        joules += host.cpu_j or 0.0
    return joules


def _sources(hosts: Sequence[HostUse]) -> dict[str, str]:
    """Return part → how it was measured, each way once."""
    found: dict[str, dict[str, set[str]]] = {}
    for host in hosts:
        for part, words in host.sources.items():
            # "measured: NVML energy counters; the first 3 s …": how, and a remark of this host
            how, _, remark = words.partition("; ")
            found.setdefault(part, {}).setdefault(how, set()).add(remark)
    return {part: " · ".join(map(_merged, ways, ways.values())) for part, ways in found.items()}


def _merged(how: str, remarks: set[str]) -> str:
    """Return one way of measuring with the remark of its hosts, if all have the same one."""
    if len(remarks) > 1:
        return f"{how}; details in autocard.json"
    remark = next(iter(remarks))
    return f"{how}; {remark}" if remark else how
