"""What a leg that begins will measure and model, for the line at the begin of training."""

from __future__ import annotations

from dataclasses import dataclass, field

from autocard.energy.measured_leg import MeasuredLeg

_DEVICES = "hosts.0.devices"
"""Path inside a leg of its GPUs."""
_NOT_MEASURED = "not measured: "


@dataclass(frozen=True)
class MeasuringPlan:
    """What will be measured on this host."""

    counted: list[str] = field(default_factory=list)
    """Names of the GPUs with an energy counter."""
    sampled: list[str] = field(default_factory=list)
    """Names of those whose power is sampled."""
    silent: list[str] = field(default_factory=list)
    """Names of those that report neither."""
    gpu_gap: str = ""
    """Why GPUs of the training are not measured; "": all are, or it uses none."""
    whole: bool = True
    """Whether CPU and memory of the host are measured by this process, too."""
    cpu_counted: bool = False
    """Whether the CPUs have energy counters that are read, and CodeCarbon models nothing."""
    no_worker: str = ""
    """Why there is no measuring process; "": there is one."""
    may_find_place: bool = False
    """Whether a place was given, or will be looked up."""


def of_leg(leg: MeasuredLeg, no_worker: str | None) -> MeasuringPlan:
    """Return the plan of the open *leg*; *no_worker*: why there is no measuring process."""
    begin, order = leg.begin, leg.order
    host, reading = begin.leg.head.hosts[0], begin.reading
    readings = {} if leg.counters is None else leg.counters.read()
    plan = MeasuringPlan(
        gpu_gap=begin.leg.missing.get(_DEVICES, "").removeprefix(_NOT_MEASURED),
        whole=begin.whole,
        cpu_counted=order.cpu_power_w is None and reading is not None and bool(reading.packages_j),
        no_worker=no_worker or "",
        may_find_place=order.may_find_place,
    )
    for uuid, device in zip(begin.leg.uuids, host.devices, strict=True):
        found = readings.get(uuid)
        if device.counter_begin_j is not None:
            group = plan.counted
        elif found is not None and found.power_w is not None:
            group = plan.sampled
        else:
            group = plan.silent
        group.append(device.name or "GPU")
    return plan
