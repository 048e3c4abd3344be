"""The start of a leg, its counters and the worker's readings → the leg of the record.

Rule: the difference of a GPU's own counter, read at the very begin and end, comes before everything
else; what stands in for it is said. The worker builds the leg. The training process does it only
where the worker has not answered, from what that worker has left in the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from autocard.energy.gpu import backends
from autocard.energy.gpu.base import CounterReading
from autocard.energy.gpu.counter_totals import counted_j
from autocard.energy.host.codecarbon_reader import CPU, GPU, RAM
from autocard.energy.host.node_meter import NODE, NONE_KNOWN
from autocard.energy.ledger import source_words
from autocard.energy.ledger.ledger_entry import PENDING, LedgerEntry
from autocard.energy.ledger.leg_readings import LegReadings
from autocard.energy.location import place
from autocard.energy.readings import Used
from autocard.record import DeviceUse, HostUse, Leg, Place, Status
from autocard.settings import Settings

ENOUGH = 0.9
"""Part of a leg that the ledger must cover if the rest is to be filled in at its mean power."""
SHARED_NOTE = "several processes ran on the GPU; the energy of all is included"

_INTENSITY = ("intensity_g_per_kwh", "intensity_source", "intensity_year")


@dataclass(frozen=True)
class LegStart:
    """A leg as it was known when it began."""

    head: Leg
    """With one host, whose devices have their first counter readings."""
    uuids: list[str]
    """Of the host's devices, in their order."""
    at_s: float
    """Monotonic seconds."""
    missing: dict[str, str] = field(default_factory=dict)
    """Path inside the leg → why it is not there."""


@dataclass(frozen=True)
class LegEnd:
    """The end of a leg, as the training process read it."""

    at_s: float
    """Monotonic seconds."""
    ended_at: str
    """ISO 8601, UTC."""
    status: Status
    step: int | None = None
    counters: dict[str, CounterReading] = field(default_factory=dict)
    """UUID → counter of the GPU."""
    shared: list[str] = field(default_factory=list)
    """GPUs on which several processes computed, at the begin or the end."""


@dataclass(frozen=True)
class GivenIntensity:
    """The carbon intensity that a person gave."""

    g_per_kwh: float | None = None
    """None: nobody gave one."""
    by: str = "given by the author"
    """Who gave it, in words."""


def given_intensity(settings: Settings) -> GivenIntensity:
    """Return the carbon intensity that *settings* hold."""
    by_site = settings.sources.get("carbon_intensity_g_per_kwh") == "site file"
    by = "given by the operators of the machines" if by_site else "given by the author"
    return GivenIntensity(settings.carbon_intensity_g_per_kwh, by)


def so_far(
    start: LegStart,
    readings: LegReadings,
    intensity: Mapping[str, Any],
    given: GivenIntensity,
    **ending: Any,
) -> tuple[Leg, dict[str, str]]:
    """Return a leg whose end the training process has not read, and path inside it → reason.

    Args:
        start: of the leg.
        readings: of the worker.
        intensity: g_per_kwh, source, year; or the reason why there is none.
        given: what a person gave instead.
        ending: fields of the leg: ended_at, status, step_end, steps_unseen, wall_clock_s.
    """
    devices, missing = [], dict(start.missing)
    for number, (uuid, device) in enumerate(_devices(start)):
        filled, why = _sampled(device, uuid, readings)
        devices.append(filled)
        missing |= {f"hosts.0.devices.{number}.{name}": reason for name, reason in why.items()}
    leg = _leg(start, devices, readings, missing, ending)
    return _located(leg, intensity, given, missing), missing


def ended(
    start: LegStart,
    end: LegEnd,
    readings: LegReadings,
    intensity: Mapping[str, Any],
    given: GivenIntensity,
) -> tuple[Leg, dict[str, str]]:
    """Return a leg that has ended regularly, and path inside it → reason."""
    devices, missing = [], dict(start.missing)
    for number, (uuid, device) in enumerate(_devices(start)):
        filled, why = _counted(device, uuid, end, readings)
        devices.append(filled)
        missing |= {f"hosts.0.devices.{number}.{name}": reason for name, reason in why.items()}
    ending = {
        "ended_at": end.ended_at,
        "status": end.status,
        "step_end": end.step,
        "wall_clock_s": end.at_s - start.at_s,
    }
    leg = _leg(start, devices, readings, missing, ending)
    return _located(leg, intensity, given, missing), missing


def from_ledger(entry: LedgerEntry | None, whole_s: float, reason: str) -> LegReadings:
    """Return the readings that the ledger holds of a leg, stretched if they are most of it.

    Args:
        entry: of the leg; None: there is none.
        whole_s: seconds that the leg took.
        reason: why the worker has not answered.
    """
    nothing = LegReadings(host=Used(reason=reason), boards=Used(reason=reason))
    if entry is None or entry.readings is None:
        return nothing
    covered_s = entry.leg.wall_clock_s or 0.0
    without_cpu = bool(entry.missing.get("hosts.0.cpu_j"))
    if without_cpu and reason == PENDING:
        return nothing
    if covered_s < ENOUGH * whole_s or without_cpu:
        words = f"{reason}, {whole_s - covered_s:.0f} s before its end"
        return replace(nothing, host=Used(reason=words))
    host = entry.readings.host
    joules = {part: value * whole_s / covered_s for part, value in host.joules.items()}
    host = replace(host, joules=joules, after_s=max(whole_s - covered_s, 0.0))
    return replace(entry.readings, host=host, boards=nothing.boards)


# -- the GPUs --------------------------------------------------------------------------------------


def _devices(start: LegStart) -> list[tuple[str, DeviceUse]]:
    return list(zip(start.uuids, start.head.hosts[0].devices, strict=True))


def _counted(
    device: DeviceUse, uuid: str, end: LegEnd, readings: LegReadings
) -> tuple[DeviceUse, dict[str, str]]:
    """Return *device* with the energy between its counter readings, or as sampled; and its gaps."""
    last = end.counters.get(uuid, CounterReading(reason=backends.no_reading(uuid)))
    shared = SHARED_NOTE if uuid in end.shared or uuid in readings.shared else ""
    notes = [note for note in (device.note, shared) if note]
    device = device.model_copy(update={"counter_end_j": last.energy_j, "note": "; ".join(notes)})
    joules = counted_j(device.counter_begin_j, last.energy_j)
    if joules is not None and uuid not in readings.reset:
        return device.model_copy(
            update={"energy_j": joules, "source": backends.counter_source(uuid)}
        ), {}
    filled, why = _sampled(device, uuid, readings)
    for name in ("counter_begin_j", "counter_end_j"):
        if getattr(filled, name) is None:
            why[name] = (
                f"the GPU has no energy counter ({last.reason or backends.no_reading(uuid)})"
            )
    if filled.energy_j is None:
        why["source"] = why["energy_j"]
    return filled, why


def _sampled(
    device: DeviceUse, uuid: str, readings: LegReadings
) -> tuple[DeviceUse, dict[str, str]]:
    """Return *device* with the energy that the worker has read, and its gaps."""
    joules = readings.boards.joules.get(uuid)
    silent = readings.silent.get(uuid)
    if joules is None:
        why = silent or readings.boards.reason or backends.no_reading(uuid)
        return device, {"energy_j": f"not measured: {why}"}
    notes = [device.note] if device.note else []
    if uuid in readings.shared and SHARED_NOTE not in (device.note or ""):
        notes.append(SHARED_NOTE)
    if uuid in readings.reset:
        notes.append(
            "its counter was reset during training: one interval is computed from power readings"
        )
    if uuid in readings.silent:
        notes.append(f"it did not answer at the end ({silent}); energy up to its last reading")
    is_sampled = uuid in readings.sampled
    source = backends.samples_source(uuid) if is_sampled else backends.counter_source(uuid)
    found = {"energy_j": joules, "source": source, "note": "; ".join(notes)}
    return device.model_copy(update=found), {}


# -- the leg ---------------------------------------------------------------------------------------


def _leg(
    start: LegStart,
    devices: list[DeviceUse],
    readings: LegReadings,
    missing: dict[str, str],
    ending: Mapping[str, Any],
) -> Leg:
    """Return the leg with *devices*; note in *missing* why fields are None."""
    head, uuids = start.head, start.uuids
    host = _host(head.hosts[0], devices, readings, missing)
    if readings.setup_j is None:
        why = readings.setup_source or readings.host.reason or "not monitored"
        missing["setup_j"] = _unmeasured(why)
    if head.pue is None:
        missing["pue"] = "no PUE was given"
    for number, (uuid, device) in enumerate(zip(uuids, devices, strict=True)):
        if device.memory_bytes is None:
            missing[f"hosts.0.devices.{number}.memory_bytes"] = backends.no_memory(uuid)
    fields = {
        "hosts": [host],
        "checkpoints": readings.checkpoints,
        "setup_j": readings.setup_j,
        "evaluation_j": 0.0,  # so far: what comes after training is added
    }
    return head.model_copy(update={**fields, **ending})


def _located(
    leg: Leg, intensity: Mapping[str, Any], given: GivenIntensity, missing: dict[str, str]
) -> Leg:
    """Return *leg* with its place and carbon intensity; note in *missing* why fields are None."""
    fields = _intensity(intensity, given, missing)
    if "place" in intensity:
        fields["place"] = Place.model_validate(intensity["place"])
    leg = leg.model_copy(update=fields)
    place.explain(leg.place, missing, intensity.get("place_reasons"))
    return leg


def _host(
    host: HostUse, devices: list[DeviceUse], readings: LegReadings, missing: dict[str, str]
) -> HostUse:
    """Return *host* with its figures; CPU and RAM are the run's share of the node's."""
    share = 1.0 if host.cpu_share is None else host.cpu_share
    figures: dict[str, float | None] = {}
    for part, name, times in (
        (CPU, "cpu_j", share),
        (RAM, "ram_j", share),
        (GPU, "codecarbon_gpu_j", 1.0),
    ):
        joules = _codecarbon_j(part, name, readings.host, missing, has_gpus=bool(devices))
        figures[name] = None if joules is None else joules * times
    figures["node_meter_j"] = readings.node.joules.get(NODE)
    if figures["node_meter_j"] is None:
        why = readings.node.reason or readings.host.reason or NONE_KNOWN
        missing["hosts.0.node_meter_j"] = why
    full = host.model_copy(update={**figures, "devices": devices})
    return full.model_copy(update={"sources": source_words.of_host(full, readings, missing)})


def _codecarbon_j(
    part: str, name: str, used: Used, missing: dict[str, str], *, has_gpus: bool
) -> float | None:
    """Return CodeCarbon's joules of *part*; note in *missing* why there are none."""
    path, joules = f"hosts.0.{name}", used.joules.get(part)
    if joules is not None and joules > 0:
        return joules
    if joules is not None:
        missing.setdefault(path, "not measured: CodeCarbon reported 0 J, which is impossible")
    why = used.reason or "no figure from CodeCarbon"
    if part != GPU:
        missing.setdefault(path, _unmeasured(why))
    else:
        missing.setdefault(path, why if has_gpus else source_words.NO_GPU)
    return None


def _unmeasured(why: str) -> str:
    """Return the reason for a figure that is not there."""
    return why if why == PENDING else f"not measured: {why}"


def _intensity(
    found: Mapping[str, Any], given: GivenIntensity, missing: dict[str, str]
) -> dict[str, Any]:
    """Return the fields of the carbon intensity; note in *missing* why there are none."""
    if given.g_per_kwh is not None:
        missing["intensity_year"] = "the carbon intensity was given without a year"
        return {"intensity_g_per_kwh": given.g_per_kwh, "intensity_source": given.by}
    if "reason" in found:
        missing.update(dict.fromkeys(_INTENSITY, found["reason"]))
        return {}
    if found["year"] is None:
        missing["intensity_year"] = "not in CodeCarbon's table"
    return dict(zip(_INTENSITY, (found["g_per_kwh"], found["source"], found["year"]), strict=True))
