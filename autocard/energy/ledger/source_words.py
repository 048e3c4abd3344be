"""How a figure of a leg was measured or modeled: texts for people, which go into records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autocard.energy.gpu import backends
from autocard.energy.host.codecarbon_reader import CPU, CodeCarbonInfo
from autocard.energy.ledger.leg_readings import LegReadings
from autocard.energy.readings import Used
from autocard.record import DeviceUse, HostUse
from autocard.record.legs import GUESSED

NO_GPU = "no GPU was used"
NOTICEABLE_S = 0.5
"""Seconds. A stretch without readings that is shorter is not worth a word."""
WHOLE = 0.995
"""A share of the node above this is the whole node."""
OWN_START = "; first {seconds:.1f} s read by autocard"
OWN_WHOLE = "; read by autocard (run too short for two CodeCarbon readings)"


def of_host(host: HostUse, readings: LegReadings, missing: Mapping[str, str]) -> dict[str, str]:
    """Return part → how it was measured, or why it was not.

    Args:
        host: with its figures.
        readings: of the leg.
        missing: path inside the leg → reason.
    """
    found = {"gpu": _gpu(host.devices, missing.get("hosts.0.devices"))}
    tail = gaps(readings.host) + readings.restart + _share(host.cpu_share)
    figures = {"cpu": (host.cpu_j, _cpu), "ram": (host.ram_j, _ram)}
    for part, (joules, words) in figures.items():
        if joules is None:
            found[part] = missing[f"hosts.0.{part}_j"]
        elif readings.about is not None:
            found[part] = words(readings.about) + tail
    if readings.setup_j is not None:
        found["setup"] = readings.setup_source
    if host.node_meter_j is not None:
        found["node_meter"] = f"measured: {readings.node_name}{gaps(readings.node)}"
    return found


def of_codecarbon(about: CodeCarbonInfo, part: str) -> str:
    """Return how CodeCarbon comes to the figure of *part* (cpu, ram)."""
    return _cpu(about) if part == CPU else _ram(about)


def gaps(used: Used) -> str:
    """Return what has to be said of stretches that no reading covers."""
    words = used.note
    if used.before_s > NOTICEABLE_S:
        words += f"; first {used.before_s:.1f} s extrapolated"
    if used.after_s > NOTICEABLE_S:
        words += f"; last {used.after_s:.1f} s extrapolated"
    return words


def _gpu(devices: Sequence[DeviceUse], unknown: str | None) -> str:
    if unknown is not None:
        return f"not measured: {unknown.removeprefix('not measured: ')}"
    if not devices:
        return NO_GPU
    sources = {device.source for device in devices}
    measured = [words for source, words in backends.source_words().items() if source in sources]
    return f"measured: {' and '.join(measured)}" if measured else "not measured"


def _cpu(about: CodeCarbonInfo) -> str:
    if about.cpu_mode in {"intel_rapl", "windows_emi"}:
        return "measured: RAPL counters of the CPU packages, through CodeCarbon"
    if about.cpu_power_w is None:
        return "through CodeCarbon (method not reported)"
    words = f"modeled: CodeCarbon, load of the whole machine × {about.cpu_power_w:g} W"
    if about.cpu_given:
        return f"{words} (as given)"
    if about.cpu_known is False:
        return f"{words} {GUESSED}: this CPU is not in CodeCarbon's table)"
    return words


def _ram(about: CodeCarbonInfo) -> str:
    if about.ram_given:
        return f"modeled: {about.ram_power_w:g} W (as given)"
    if about.ram_power_w is None:
        return "modeled: CodeCarbon"
    return f"modeled: CodeCarbon, {about.ram_power_w:g} W"


def _share(share: float | None) -> str:
    if share is None or share > WHOLE:
        return ""
    return f"; {share:.0%} of the node (the run's share of its CPUs)"
