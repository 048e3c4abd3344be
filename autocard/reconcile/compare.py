"""A meter's figure and a record → what they say of each other.

Rule: a figure is compared with the components of the legs that it saw, and with no others; and it
is believed only where it can be: between what counters read inside of it and what the nodes can
have drawn.
"""

from __future__ import annotations

from collections.abc import Iterator

from autocard import units
from autocard.reconcile import meters
from autocard.record import Reconciliation, RunRecord
from autocard.totals import totals

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


def compare(record: RunRecord, metered: meters.Metered) -> tuple[Reconciliation, dict[str, str]]:
    """Return the comparison, and leaf → why it is None."""
    why: dict[str, str] = {}
    components_kwh, parts, gap = _components(record, metered)
    kwh = metered.kwh or None
    if components_kwh is None:
        why["components_kwh"] = gap
    if kwh is None:
        why["metered_kwh"] = metered.why or ZERO
    verdict, reason = _verdict(record, metered, kwh, components_kwh)
    ratio = None if kwh is None or components_kwh is None else components_kwh / kwh
    if ratio is None:
        why["ratio"] = why.get("metered_kwh") or why["components_kwh"]
    rest_kwh: float | None = None
    if ratio is None:
        why["unmetered_kwh"] = why["ratio"]
    elif verdict != "plausible":
        why["unmetered_kwh"] = reason
    elif ratio > 1:
        why["unmetered_kwh"] = (
            "the components come to more than the meter: what is modelled of them reads high"
        )
    else:
        rest_kwh = (kwh or 0.0) - (components_kwh or 0.0)
    for leaf in ("window_s", "nodes", "bound_kwh"):
        if getattr(metered, leaf) is None:
            why[leaf] = metered.no_window
    if metered.bound_kwh is None and metered.nodes is not None:
        why["bound_kwh"] = "it is not known how many GPUs the run had"
    return Reconciliation(
        kind=metered.kind,  # type: ignore[arg-type]
        source=metered.source,
        metered_kwh=kwh,
        components_kwh=components_kwh,
        ratio=ratio,
        unmetered_kwh=rest_kwh,
        window_s=metered.window_s,
        nodes=metered.nodes,
        bound_kwh=metered.bound_kwh,
        covers=metered.covers,
        parts=parts,
        legs=[record.legs[number].id for number in metered.legs],
        verdict=verdict,  # type: ignore[arg-type]
        reason=reason,
    ), why


def _components(record: RunRecord, metered: meters.Metered) -> tuple[float | None, list[str], str]:
    """Return what the components took that the meter saw, which parts that is, and why it is not known."""
    part = totals.of_record(record, metered.legs)
    energy = part.value
    if energy.total_kwh is None or record.energy.total_kwh is None:
        why = record.why_missing("energy.total_kwh") or part.gaps.get("total_kwh")
        return None, [], why or "not measured"
    kwh, parts = energy.total_kwh, ["training"]
    for value, words in (
        (energy.setup_kwh, "set-up"),
        (energy.evaluation_kwh, "evaluation after it"),
    ):
        if value is not None and not metered.training_only:
            kwh, parts = kwh + value, [*parts, words]
    return kwh, parts, ""


def _verdict(
    record: RunRecord, metered: meters.Metered, kwh: float | None, components_kwh: float | None
) -> tuple[str, str]:
    """Return verdict and reason: faults first, then doubts."""
    if kwh is None:
        return "implausible", metered.why or ZERO
    faults = [*_faults(record, metered, kwh), *metered.faults]
    if faults:
        return "implausible", "; ".join(faults)
    doubts = [*metered.doubts, *_doubts(record, metered, kwh, components_kwh)]
    return ("doubtful", "; ".join(doubts)) if doubts else ("plausible", "")


def _shared(record: RunRecord, metered: meters.Metered) -> bool:
    """Return whether the run had only a share of its nodes."""
    hosts = (host for number in metered.legs for host in record.legs[number].hosts)
    return any((host.cpu_share or 1.0) < WHOLE for host in hosts)


def _faults(record: RunRecord, metered: meters.Metered, kwh: float) -> Iterator[str]:
    """Yield why the figure cannot be what the run took."""
    counted_kwh = totals.counted_kwh(record.legs, metered.legs)
    if kwh < SURE * counted_kwh:
        hint = (
            " (Slurm's RAPL plugin, for one, reads processors and memory alone)"
            if metered.kind == "sacct"
            else ""
        )
        yield f"it is less than the {units.kwh(counted_kwh)} that counters inside of it read{hint}"
    # Of a shared node it is not known how many GPUs others used.
    if metered.bound_kwh is not None and kwh > metered.bound_kwh and not _shared(record, metered):
        yield (
            f"{units.plural(metered.nodes or 0, 'node')} cannot have drawn more than "
            f"{units.kwh(metered.bound_kwh, units.MODELLED)} in {units.duration(metered.window_s or 0.0)}, "
            f"at {meters.NODE_W / 1000:g} kW for a node and {meters.GPU_W / 1000:g} kW for each GPU of the job"
        )


def _doubts(
    record: RunRecord, metered: meters.Metered, kwh: float, components_kwh: float | None
) -> Iterator[str]:
    """Yield why the figure need not be this run's alone."""
    if metered.kind != "meter" and _shared(record, metered):
        yield "the run had only a share of its nodes, and their meters do not tell whose energy it is"
        return
    if components_kwh is not None and components_kwh > HIGH * kwh:
        yield f"the components come to {units.number(components_kwh / kwh, units.MODELLED)} times as much"
    training_s = sum(record.legs[number].wall_clock_s or 0.0 for number in metered.legs)
    training_kwh = totals.of_record(record, metered.legs).value.total_kwh
    if components_kwh is not None and not metered.window_s and components_kwh < SEEN * kwh:
        yield (
            f"the components come to {units.number(components_kwh / kwh, units.MODELLED)} of it, more than what such "
            "sums leave out is missing: other programs, idle GPUs or a longer time are in it, or it is in another unit"
        )
    if components_kwh is None or not training_kwh or not training_s or not metered.window_s:
        return
    ours_w, theirs_w = (
        used * totals.J_PER_KWH / s
        for used, s in ((training_kwh, training_s), (kwh, metered.window_s))
    )
    if ours_w < SEEN * theirs_w:
        yield (
            f"its mean is {units.number(theirs_w)} W, the components' in training {units.number(ours_w)} W: more "
            "than what sums of components leave out; it reads too high, or other programs or idle GPUs are in it"
        )
