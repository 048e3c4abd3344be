"""CodeCarbon's power model of CPU and RAM, for the seconds in which CodeCarbon is starting.

It is applied to our own readings.

Rule: the same figure as CodeCarbon's for the same load. A test compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence

from autocard.energy.host.codecarbon_reader import CPU, RAM, CodeCarbonInfo
from autocard.energy.host.host_counters import HostInterval

IDLE_SHARE = 0.1
"""Of the power at full load, what an idle CPU takes (codecarbon, external/hardware.py,
`_get_power_from_cpu_load`)."""
CONSTANT_SHARE = 0.5
"""The same for CPUs of which no load is read (`CONSUMPTION_PERCENTAGE_CONSTANT`)."""


def joules(about: CodeCarbonInfo, stretches: Sequence[HostInterval]) -> dict[str, float]:
    """Return part → joules of the whole node in *stretches*, without parts that are not known."""
    found: dict[str, float] = {}
    if not stretches:
        return found
    parts = [_cpu_j(about, stretch) for stretch in stretches]
    known = [part for part in parts if part is not None]
    if len(known) == len(parts):
        found[CPU] = sum(known)
    if about.ram_power_w is not None:
        found[RAM] = about.ram_power_w * sum(stretch.seconds for stretch in stretches)
    return found


def _cpu_j(about: CodeCarbonInfo, stretch: HostInterval) -> float | None:
    if about.cpu_mode == "intel_rapl":
        return stretch.cpu_j
    if about.cpu_power_w is None:
        return None
    if about.cpu_mode == "constant":
        return about.cpu_power_w * CONSTANT_SHARE * stretch.seconds
    if about.cpu_mode == "cpu_load" and stretch.share is not None:
        share = IDLE_SHARE + (1 - IDLE_SHARE) * stretch.share**3
        return about.cpu_power_w * share * stretch.seconds
    return None
