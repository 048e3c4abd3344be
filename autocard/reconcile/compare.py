"""Compare a meter's figure with a record.

Rule: a figure is compared with the components of the legs that it saw, and with no others; and it
is believed only where it can be: between what counters read inside of it and what the nodes can
have drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from autocard import units
from autocard.reconcile import meters
from autocard.record import Reconciliation, RunRecord
from autocard.totals import energy_sums
from autocard.totals.leg_sums import J_PER_KWH

SURE = 0.95
"""Counters of boards are good to 5 % (NVIDIA, for older ones): no meter around them reads less than
this share."""

SEEN = 0.3
"""Components have been 0.71 of a wall's meter (Fischer 2025: 318 runs, standard deviation 0.10);
below this, something else than what a sum of components leaves out is in the figure."""

HIGH = 2.0
"""Models of processors and memory read high, but a sum that is more than this times a meter's
figure is another's."""

WHOLE = 0.995
"""A run that has more of its nodes than this has them to itself."""

ZERO = "0 is what a meter says that does not count"


@dataclass(frozen=True)
class _Components:
    """What the components took that the meter saw."""

    kwh: float | None
    parts: list[str]
    """What is in it: training, set-up, evaluation after it."""
    reason: str = ""
    """Why it is not known."""


@dataclass(frozen=True)
class _Verdict:
    """How far a figure can be the run's; the *reason* is empty where nothing speaks against it."""

    word: str
    reason: str = ""


def compare(record: RunRecord, metered: meters.Metered) -> tuple[Reconciliation, dict[str, str]]:
    """Return the comparison, and leaf → why it is None."""
    components = _components(record, metered)
    metered_kwh = metered.kwh or None
    ratio = None
    if metered_kwh is not None and components.kwh is not None:
        ratio = components.kwh / metered_kwh
    verdict = _verdict(record, metered, components.kwh)
    unmetered_kwh = None
    if ratio is not None and ratio <= 1 and verdict.word == "plausible":
        unmetered_kwh = (metered_kwh or 0.0) - (components.kwh or 0.0)
    comparison = Reconciliation(
        kind=metered.kind,  # type: ignore[arg-type]
        source=metered.source,
        metered_kwh=metered_kwh,
        components_kwh=components.kwh,
        ratio=ratio,
        unmetered_kwh=unmetered_kwh,
        window_s=metered.window_s,
        nodes=metered.nodes,
        bound_kwh=metered.bound_kwh,
        covers=metered.covers,
        parts=components.parts,
        legs=[record.legs[number].id for number in metered.legs],
        verdict=verdict.word,  # type: ignore[arg-type]
        reason=verdict.reason,
    )
    return comparison, _reasons(comparison, metered, components)


def _reasons(
    comparison: Reconciliation, metered: meters.Metered, components: _Components
) -> dict[str, str]:
    """Return leaf of *comparison* → why it is None."""
    reasons: dict[str, str] = {}
    if comparison.components_kwh is None:
        reasons["components_kwh"] = components.reason
    if comparison.metered_kwh is None:
        reasons["metered_kwh"] = metered.reason or ZERO
    if comparison.ratio is None:
        reasons["ratio"] = reasons.get("metered_kwh") or reasons["components_kwh"]
    if comparison.ratio is None:
        reasons["unmetered_kwh"] = reasons["ratio"]
    elif comparison.verdict != "plausible":
        reasons["unmetered_kwh"] = comparison.reason
    elif comparison.unmetered_kwh is None:
        reasons["unmetered_kwh"] = (
            "the components come to more than the meter: what is modelled of them reads high"
        )
    for leaf in ("window_s", "nodes", "bound_kwh"):
        if getattr(metered, leaf) is None:
            reasons[leaf] = metered.no_window
    if metered.bound_kwh is None and metered.nodes is not None:
        reasons["bound_kwh"] = "it is not known how many GPUs the run had"
    return reasons


def _components(record: RunRecord, metered: meters.Metered) -> _Components:
    part = energy_sums.of_record(record, metered.legs)
    energy = part.value
    if energy.total_kwh is None or record.energy.total_kwh is None:
        reason = record.why_missing("energy.total_kwh") or part.gaps.get("total_kwh")
        return _Components(None, [], reason or "not measured")
    kwh, parts = energy.total_kwh, ["training"]
    if metered.training_only:
        return _Components(kwh, parts)
    if energy.setup_kwh is not None:
        kwh += energy.setup_kwh
        parts.append("set-up")
    if energy.evaluation_kwh is not None:
        kwh += energy.evaluation_kwh
        parts.append("evaluation after it")
    return _Components(kwh, parts)


# -- verdict ---------------------------------------------------------------------------------------


def _verdict(record: RunRecord, metered: meters.Metered, components_kwh: float | None) -> _Verdict:
    """Return the verdict: faults first, then doubts."""
    kwh = metered.kwh
    if not kwh:
        return _Verdict("implausible", metered.reason or ZERO)
    faults = [*_faults(record, metered, kwh), *metered.faults]
    if faults:
        return _Verdict("implausible", "; ".join(faults))
    doubts = [*metered.doubts, *_doubts(record, metered, kwh, components_kwh)]
    if doubts:
        return _Verdict("doubtful", "; ".join(doubts))
    return _Verdict("plausible")


def _shares_nodes(record: RunRecord, metered: meters.Metered) -> bool:
    """Return whether the run had only a share of its nodes."""
    hosts = (host for number in metered.legs for host in record.legs[number].hosts)
    return any((host.cpu_share or 1.0) < WHOLE for host in hosts)


def _faults(record: RunRecord, metered: meters.Metered, kwh: float) -> Iterator[str]:
    """Yield why the figure cannot be what the run took."""
    counted_kwh = energy_sums.counted_kwh(record.legs, metered.legs)
    if kwh < SURE * counted_kwh:
        hint = ""
        if metered.kind == "sacct":
            hint = " (Slurm's RAPL plugin, for one, reads processors and memory alone)"
        yield f"it is less than the {units.kwh(counted_kwh)} that counters inside of it read{hint}"
    bound_kwh = metered.bound_kwh
    # Of a shared node it is not known how many GPUs others used.
    if bound_kwh is not None and kwh > bound_kwh and not _shares_nodes(record, metered):
        yield (
            f"{units.plural(metered.nodes or 0, 'node')} cannot have drawn more than "
            f"{units.kwh(bound_kwh, units.MODELLED)} in {units.duration(metered.window_s or 0.0)}, "
            f"at {meters.NODE_W / 1000:g} kW for a node and {meters.GPU_W / 1000:g} kW for each "
            "GPU of the job"
        )


def _doubts(
    record: RunRecord, metered: meters.Metered, kwh: float, components_kwh: float | None
) -> Iterator[str]:
    """Yield why the figure need not be this run's alone."""
    if metered.kind != "meter" and _shares_nodes(record, metered):
        yield (
            "the run had only a share of its nodes, and their meters do not tell whose energy it is"
        )
        return
    if components_kwh is None:
        return
    ratio = units.number(components_kwh / kwh, units.MODELLED)
    if components_kwh > HIGH * kwh:
        yield f"the components come to {ratio} times as much"
    if metered.window_s:
        yield from _power_doubts(record, metered, kwh, metered.window_s)
    elif components_kwh < SEEN * kwh:
        yield (
            f"the components come to {ratio} of it, more than what such sums leave out is missing: "
            "other programs, idle GPUs or a longer time are in it, or it is in another unit"
        )


def _power_doubts(
    record: RunRecord, metered: meters.Metered, kwh: float, window_s: float
) -> Iterator[str]:
    """Yield a doubt where the meter's mean power is far above that of the components."""
    training_s = sum(record.legs[number].wall_clock_s or 0.0 for number in metered.legs)
    energy = energy_sums.of_record(record, metered.legs).value
    if not energy.total_kwh or not training_s:
        return
    components_w = energy.total_kwh * J_PER_KWH / training_s
    meter_w = kwh * J_PER_KWH / window_s
    if components_w < SEEN * meter_w:
        yield (
            f"its mean is {units.number(meter_w)} W, the components' in training "
            f"{units.number(components_w)} W: more than what sums of components leave out; "
            "it reads too high, or other programs or idle GPUs are in it"
        )
