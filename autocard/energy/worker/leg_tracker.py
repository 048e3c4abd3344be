"""One leg, being watched by the meter's child process: its readings → what it used up to a moment.

Rule: set-up, the leg and what came after are taken from the same running totals, so that nothing is
counted twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from autocard.energy.gpu.gpu_sampler import GpuSampler
from autocard.energy.host import power_model
from autocard.energy.host.codecarbon_reader import CPU, RAM, CodeCarbonInfo
from autocard.energy.host.host_counters import HostReadings
from autocard.energy.ledger import leg_parts
from autocard.energy.readings import Sample, SampleHistory, Track, Used
from autocard.record import DeviceUse, Leg
from autocard.totals.repeated_steps import joules_of

POINTS = 20
"""Readings at checkpoints that are kept."""
IDLE_S = 60.0
"""Seconds without a step, and three times the longest that a step took, after which a training that
never ended regularly is held to have been broken off."""
ANEW_S = 5.0
"""The same where another training of the process begins: this one is over for certain."""
TRAINED_BEFORE = "the process had trained before, and what was done in between is no set-up"

OWN = "; from autocard's own readings"


class LegTracker:
    """One leg, being watched."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        """Take the leg's head from the order that begins it."""
        self.head = Leg.model_validate(order["head"])
        self.uuids: list[str] = order["uuids"]
        self.reasons: dict[str, str] = order["missing"]
        self.begin_s: float = order["at_s"]
        self.max_steps: int | None = order["max_steps"]
        before = order.get("before") or {}  # of a process that has died: `ledger.handed_on`
        self.step: int | None = before.get("step", self.head.step_begin)
        self.number: int = order.get("number", 0)
        """Which leg of the training process this is."""
        self.read_s: float = self.begin_s + before.get("covered_s", 0.0)
        """Monotonic seconds from which this process has to know."""
        self.parts: tuple[str, ...] = (CPU, RAM) if order.get("whole", True) else ()
        """Of the host, what this process measures besides the boards; nothing where another one
        does."""
        self._before_j: dict[str, float] = before.get("joules", {})
        self._death: str = before.get("death", "")
        self.host = Track()
        self.boards = Track()
        self.node = Track()
        self.boards_begin: dict[str, float] | None = None
        self.points: list[dict[str, float]] = before.get("points", [])
        """Readings at checkpoints."""
        self._heard_s: float = self.begin_s
        self._longest_s: float = 0.0

    @property
    def share(self) -> float:
        """Of the node's CPUs and memory."""
        share = self.head.hosts[0].cpu_share
        return 1.0 if share is None else share

    def hear(self, step: int | None, at_s: float) -> None:
        """Note a sign of life, and the step that it tells of."""
        self.step = self.step if step is None else step
        self._longest_s = max(self._longest_s, at_s - self._heard_s)
        self._heard_s = at_s

    def heard_since(self, at_s: float) -> bool:
        """Return whether there was a sign of life after a moment."""
        return self._heard_s > at_s

    def idle(self, at_s: float, least_s: float = IDLE_S) -> bool:
        """Return whether the training is so silent, for *least_s* at least, that it was broken off long ago."""
        return at_s - self._heard_s > max(least_s, 3 * self._longest_s)

    def point(self, leg: Leg) -> None:
        """Note what *leg*, as of now, has used at a checkpoint; of many, the latest and evenly some others stay."""
        joules = joules_of(leg, self.parts)
        if joules is None or self.step is None or leg.wall_clock_s is None:
            return
        self.points = [point for point in self.points if point["step"] != self.step]
        self.points.append(
            {"step": self.step, "wall_clock_s": leg.wall_clock_s, "energy_j": joules}
        )
        if len(self.points) > POINTS:
            self.points = self.points[: POINTS // 2 : 2] + self.points[POINTS // 2 :]

    def devices(self, window: leg_parts.Window) -> tuple[list[DeviceUse], dict[str, str]]:
        """Return the leg's boards with the joules of this process's own readings, and path → reason."""
        devices, reasons = [], {}
        for number, (uuid, device) in enumerate(
            zip(self.uuids, self.head.hosts[0].devices, strict=True)
        ):
            filled, why = leg_parts.board(device, uuid, window)
            devices.append(filled)
            reasons.update(
                {f"hosts.0.devices.{number}.{leaf}": reason for leaf, reason in why.items()}
            )
        return devices, reasons

    def window(
        self,
        at_s: float,
        boards: GpuSampler | None,
        about: CodeCarbonInfo | None,
        engine_reason: str | None,
        readings: HostReadings,
    ) -> leg_parts.Window:
        """Return what was used up to *at_s*, set-up apart."""
        host = self._used_by_host(at_s, about, readings)
        if host.reason is not None:
            why = engine_reason or host.reason
            host = Used(
                reason=f"{self._death}; of the one that took its place: {why}"
                if self._death
                else why
            )
        host, words = self._joined(host)
        return leg_parts.Window(
            id=self.head.id,
            host=host,
            boards=self._used(boards, at_s) if boards else Used(reason="NVML: no reading"),
            sampled=sorted(boards.sampled) if boards else [],
            reset=sorted(boards.reset) if boards else [],
            silent=dict(boards.silent) if boards else {},
            shared=sorted(boards.shared) if boards else [],
            about=about,
            death=words,
            checkpoints=[dict(point) for point in self.points],
        )

    def _used_by_host(
        self, at_s: float, about: CodeCarbonInfo | None, readings: HostReadings
    ) -> Used:
        """Return the joules of CPU and RAM; those before CodeCarbon's first reading from readings of our own."""
        used, first_s = self.host.between(self.read_s, at_s), self.host.first_s
        if about is None or self._death:
            return used
        if used.reason is not None:
            joules = power_model.joules(about, readings.stretches(self.begin_s, at_s))
            return Used(joules, note=leg_parts.OWN_WHOLE) if joules else used
        if used.before_s <= 0 or first_s is None:
            return used
        start_j = power_model.joules(about, readings.stretches(self.begin_s, first_s))
        if not start_j.keys() >= {CPU, RAM}:
            return used
        rest = self.host.between(first_s, at_s)
        joules = {
            part: rest.joules[part] + start_j[part] for part in (CPU, RAM) if part in rest.joules
        }
        note = (
            leg_parts.OWN_START.format(seconds=used.before_s)
            if used.before_s > leg_parts.NOTICEABLE_S
            else ""
        )
        return replace(used, joules=used.joules | joules, before_s=0.0, note=note)

    def _used(self, boards: GpuSampler, at_s: float) -> Used:
        """Return the joules of the boards from the leg's begin to *at_s*."""
        end = boards.at(at_s)
        if self.boards_begin is not None and end is not None:
            return Used({uuid: end[uuid] - begin_j for uuid, begin_j in self.boards_begin.items()})
        return self._joined(self.boards.between(self.read_s, at_s))[0]

    def _joined(self, used: Used) -> tuple[Used, str]:
        """Return *used* behind what a process that died had read, and what has to be said of that."""
        if not self._death or used.reason is not None:
            return used, ""
        words = f"; {self._death}, and was started again: {used.before_s:.1f} s between at the mean power after"
        joules = {
            part: joules + self._before_j.get(part, 0.0) for part, joules in used.joules.items()
        }
        return replace(used, joules=joules, before_s=0.0), words


class OutsideTraining:
    """What lies around the training window: set-up before it, evaluation after it."""

    def __init__(self, start_s: float | None) -> None:
        """Set-up began at *start_s* (monotonic seconds); None: this process was started for a later training."""
        self._start_s = start_s
        self._before = SampleHistory()
        self._after = SampleHistory()
        self._begin_s: float | None = None
        self._later = 0

    def begin(self, at_s: float, *, has_setup: bool = True) -> None:
        """Training begins: set-up is over. A second training has none."""
        first = self._begin_s is None and has_setup
        self._later = 0 if first else 2
        self._begin_s = at_s if first else -1.0
        self._after = SampleHistory()

    def add(self, host: Sample | None, boards: GpuSampler | None, *, training: bool) -> None:
        """Take a reading of everything that there is."""
        if host is None:
            return
        sample = Sample(
            host.at_s,
            {**host.joules, **(boards.at(host.at_s) or dict(boards.joules) if boards else {})},
        )
        if not training and self._begin_s is not None:
            self._after.add(sample)
        elif self._later < 2:  # noqa: PLR2004 - two readings after the begin tell the power around it
            self._later += training
            self._before.add(sample)

    def setup(self, watch: LegTracker, own: OwnReadings) -> tuple[float | None, str]:
        """Return the joules before training, and how they are known or why they are not."""
        if self._start_s is None or self._begin_s is None or self._begin_s < 0:
            return None, TRAINED_BEFORE
        used = self._before.between(self._start_s, self._begin_s)
        if used.reason is not None:
            used = own.used(self._start_s, self._begin_s) or used
        joules = booked(used, watch)
        if joules is None:
            return None, used.reason or "not every part of it was read"
        words = f"by the same means as the training; {self._begin_s - self._start_s:.1f} s long"
        return joules, words + leg_parts.gaps(used)

    def after(
        self, begin_s: float, end_s: float, watch: LegTracker, own: OwnReadings
    ) -> float | None:
        """Return the joules of a stretch after training; None: not known."""
        used = self._after.between(begin_s, end_s)
        if used.reason is not None:
            used = own.used(begin_s, end_s) or used
        return booked(used, watch)


@dataclass(frozen=True)
class OwnReadings:
    """Readings of our own, for stretches of which CodeCarbon has not read enough."""

    about: CodeCarbonInfo | None
    """How CodeCarbon works here; None: it has not started."""
    readings: HostReadings
    boards: GpuSampler | None

    def used(self, begin_s: float, end_s: float) -> Used | None:
        """Return what was used between two moments; None: not known."""
        if self.about is None:
            return None
        joules = power_model.joules(self.about, self.readings.stretches(begin_s, end_s))
        if self.boards is not None:
            begin, end = self.boards.at(begin_s), self.boards.at(end_s)
            if begin is None or end is None:
                return None
            joules |= {uuid: end[uuid] - begin[uuid] for uuid in begin}
        return Used(joules, note=OWN)


def booked(used: Used, watch: LegTracker) -> float | None:
    """Return the joules of CPU and RAM (the run's share) and of the boards of *watch*; None: a part is not known."""
    if any(part not in used.joules for part in (*watch.parts, *watch.uuids)):
        return None
    host_j = sum(used.joules[part] for part in watch.parts)
    return host_j * watch.share + sum(used.joules[uuid] for uuid in watch.uuids)
