"""What a leg that begins will measure and model, for the line at the begin of training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from autocard.energy.counter_mark import CounterMark
from autocard.energy.gpu.base import CounterReading, Device
from autocard.energy.measured_leg import MeasuredLeg

_DEVICES = "hosts.0.devices"
"""Path inside a leg of its GPUs."""
_NOT_MEASURED = "not measured: "


@dataclass(frozen=True)
class MeasuringPlan:
    """What will be measured on this host, by all processes of the training."""

    counted: list[str] = field(default_factory=list)
    """Names of the GPUs with an energy counter."""
    sampled: list[str] = field(default_factory=list)
    """Names of those whose power is sampled."""
    silent: list[str] = field(default_factory=list)
    """Names of those that report neither."""
    gpu_gap: str = ""
    """Why GPUs of the training are not measured; "": all are, or it uses none."""
    cpu_counted: bool = False
    """Whether the energy counters of the CPUs can be read."""
    no_worker: str = ""
    """Why there is no measuring process; "": there is one."""

    def add(self, name: str, reading: CounterReading | None) -> None:
        """Add a GPU by its *name* with its first reading."""
        if reading is not None and reading.energy_j is not None:
            group = self.counted
        elif reading is not None and reading.power_w is not None:
            group = self.sampled
        else:
            group = self.silent
        group.append(name)


def of_leg(leg: MeasuredLeg, no_worker: str | None) -> MeasuringPlan:
    """Return the plan of the open *leg*; *no_worker*: why there is no measuring process."""
    begin = leg.begin
    readings = {} if leg.counters is None else leg.counters.read()
    plan = MeasuringPlan(
        gpu_gap=begin.leg.missing.get(_DEVICES, "").removeprefix(_NOT_MEASURED),
        cpu_counted=begin.reading is not None and bool(begin.reading.packages_j),
        no_worker=no_worker or "",
    )
    for uuid, device in zip(begin.leg.uuids, begin.leg.head.hosts[0].devices, strict=True):
        plan.add(device.name or "GPU", readings.get(uuid))
    return plan


def of_boards(boards: Iterable[Device], gap: str | None, mark: CounterMark | None) -> MeasuringPlan:
    """Return the plan of a host whose processes measure *boards* among them.

    Args:
        boards: that the processes named.
        gap: why one of them could not name its own; None: all could.
        mark: counters of the host and of the GPUs that this process sees; None: they were not read.
    """
    readings: Mapping[str, CounterReading] = {} if mark is None else mark.boards
    plan = MeasuringPlan(
        gpu_gap=gap or "", cpu_counted=mark is not None and bool(mark.host.packages_j)
    )
    for board in boards:
        # A board that only another process sees is read there.
        plan.add(board.name, readings.get(board.uuid, CounterReading(energy_j=0.0)))
    return plan
