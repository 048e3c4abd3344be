"""A leg that has ended, the counters, the child's last word → the leg of the record with a reason for each gap.

Rule: the difference of the board's own counter, read at the very begin and end, goes before
everything else; what stands in for it is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from autocard.energy.gpu import nvml
from autocard.energy.ledger import ledger_files, leg_parts
from autocard.energy.location import place
from autocard.energy.readings import Used
from autocard.record import DeviceUse, Leg, Place
from autocard.settings import Settings

ENOUGH = 0.9
"""Part of a leg that the ledger must cover if the rest is to be filled in at its mean power."""


@dataclass
class OpenLeg:
    """A leg between its begin and its end."""

    head: Leg
    """What was known when it began; with one host."""
    uuids: list[str]
    """Of the host's devices, in their order."""
    begin_s: float
    """Monotonic seconds."""
    reasons: dict[str, str]
    """Path inside the leg → why it is not there."""
    counters: nvml.Counters | None
    """Of the devices; None: there are none."""
    shared: set[str] = field(default_factory=set)
    """Devices on which several processes computed, at the begin or the end."""
    end_s: float = 0.0
    """Monotonic seconds."""
    readings: dict[str, nvml.CounterReading] = field(default_factory=dict)
    """UUID → counter at the end."""
    ending: dict[str, Any] = field(default_factory=dict)
    """Leaves of the leg that its end gives."""
    reading: dict[str, Any] = field(default_factory=dict)
    """The host's counters at the begin."""
    worker: Any = None
    """The `worker.Worker` that measures it; None: there is none."""
    evaluations: list[int] = field(default_factory=list)
    """Numbers of the questions after evaluations that followed it, while it waits for its own
    figures."""


def complete(
    leg: OpenLeg, window: leg_parts.Window, intensity: Mapping[str, Any], settings: Settings
) -> tuple[Leg, dict[str, str]]:
    """Return the leg and the reasons (path inside it → reason) for what it does not hold.

    Args:
        leg: ended.
        window: what the child process says of it.
        intensity: its g_per_kwh, source, year; or the reason why there is none.
        settings: for an intensity that a person gave.
    """
    devices, reasons = [], dict(leg.reasons)
    for number, (uuid, device) in enumerate(zip(leg.uuids, leg.head.hosts[0].devices, strict=True)):
        filled, why = _measured(device, uuid, leg, window)
        devices.append(filled)
        reasons.update({f"hosts.0.devices.{number}.{leaf}": reason for leaf, reason in why.items()})
    full, reasons = leg_parts.complete(leg.head, devices, reasons, window, **leg.ending)
    if window.ledger is not None:
        reasons["ledger"] = f"what a kill would have left behind was not kept: {window.ledger}"
    return described(
        full, reasons, intensity, settings.carbon_intensity_g_per_kwh, given_by(settings)
    ), reasons


def described(
    leg: Leg,
    reasons: dict[str, str],
    intensity: Mapping[str, Any],
    given_g_per_kwh: float | None = None,
    given_by: str = "",
) -> Leg:
    """Return *leg* with the carbon intensity of its place; note in *reasons* why leaves are None.

    Args:
        leg: with its energy.
        reasons: path inside the leg → reason.
        intensity: g_per_kwh, source, year; or the reason why there is none.
        given_g_per_kwh: what a person gave instead.
        given_by: who that was, in words.
    """
    found = _intensity(intensity, given_g_per_kwh, given_by, reasons)
    if "place" in intensity:
        found["place"] = Place.model_validate(intensity["place"])
    leg = leg.model_copy(update=found)
    place.explain(leg.place, reasons, intensity.get("place_reasons"))
    _explain(leg, reasons)
    return leg


def from_ledger(leg: OpenLeg, folder: Path | None, reason: str) -> leg_parts.Window:
    """Return what the ledger holds of a leg whose child is silent (*reason*), stretched if that is most of the leg."""
    nothing = leg_parts.Window(leg.head.id, host=Used(reason=reason), boards=Used(reason=reason))
    written = [] if folder is None else ledger_files.of_leg(folder, leg.head.id)
    entry = ledger_files.find(written, leg.head.id, ledger_files.host_id())
    if entry is None or not entry.window:
        return nothing
    covered_s, whole_s = entry.leg.wall_clock_s or 0.0, leg.end_s - leg.begin_s
    if entry.missing.get("hosts.0.cpu_j") and reason == leg_parts.PENDING:
        return nothing
    if covered_s < ENOUGH * whole_s or entry.missing.get("hosts.0.cpu_j"):
        return replace(
            nothing, host=Used(reason=f"{reason}, {whole_s - covered_s:.0f} s before its end")
        )
    window = leg_parts.Window.from_json(entry.window)
    joules = {part: value * whole_s / covered_s for part, value in window.host.joules.items()}
    host = replace(window.host, joules=joules, after_s=max(whole_s - covered_s, 0.0))
    return replace(window, host=host, boards=nothing.boards)


def _measured(
    device: DeviceUse, uuid: str, leg: OpenLeg, window: leg_parts.Window
) -> tuple[DeviceUse, dict[str, str]]:
    """Return *device* with its energy, and the reasons (leaf → reason) for what it does not hold."""
    begin_j, end = (
        device.counter_begin_j,
        leg.readings.get(uuid, nvml.CounterReading(reason="NVML: no reading")),
    )
    shared = leg_parts.SHARED_NOTE if uuid in leg.shared or uuid in window.shared else ""
    notes = [note for note in (device.note, shared) if note]
    device = device.model_copy(update={"counter_end_j": end.energy_j, "note": "; ".join(notes)})
    if (
        begin_j is not None
        and end.energy_j is not None
        and end.energy_j >= begin_j
        and uuid not in window.reset
    ):
        return device.model_copy(
            update={"energy_j": end.energy_j - begin_j, "source": "nvml-counter"}
        ), {}
    filled, why = leg_parts.board(device, uuid, window)
    gone = end.reason or "NVML: no reading"
    for leaf in ("counter_begin_j", "counter_end_j"):
        if getattr(filled, leaf) is None:
            why[leaf] = f"the board gave no energy counter ({gone})"
    if filled.energy_j is None:
        why["source"] = why["energy_j"]
    return filled, why


def given_by(settings: Settings) -> str:
    """Return who gave the carbon intensity that *settings* hold, in words."""
    site = settings.sources.get("carbon_intensity_g_per_kwh") == "site file"
    return "given by those who run the machines" if site else "given by the author"


def _intensity(
    found: Mapping[str, Any], given_g_per_kwh: float | None, given_by: str, reasons: dict[str, str]
) -> dict[str, Any]:
    """Return the leaves of the carbon intensity; note in *reasons* those that there are not."""
    if given_g_per_kwh is not None:
        reasons["intensity_year"] = "the intensity was given without a year"
        return {
            "intensity_g_per_kwh": given_g_per_kwh,
            "intensity_source": given_by,
        }
    if "reason" in found:
        leaves = ("intensity_g_per_kwh", "intensity_source", "intensity_year")
        reasons.update(dict.fromkeys(leaves, found["reason"]))
        return {}
    if found["year"] is None:
        reasons["intensity_year"] = "CodeCarbon's table does not give it"
    return {
        "intensity_g_per_kwh": found["g_per_kwh"],
        "intensity_source": found["source"],
        "intensity_year": found["year"],
    }


def _explain(leg: Leg, reasons: dict[str, str]) -> None:
    """Note in *reasons* what nobody measured or gave."""
    if leg.pue is None:
        reasons["pue"] = "no PUE was given"
    for number, device in enumerate(leg.hosts[0].devices):
        if device.memory_bytes is None:
            reasons[f"hosts.0.devices.{number}.memory_bytes"] = "NVML does not say"
