"""One open leg in the worker: its readings → what it used up to a moment."""

from __future__ import annotations

from dataclasses import replace

from autocard.energy.gpu.counter_totals import CounterTotals
from autocard.energy.host import power_model
from autocard.energy.host.codecarbon_reader import CPU, RAM, CodeCarbonInfo
from autocard.energy.host.host_counters import HostReadings
from autocard.energy.ledger import source_words
from autocard.energy.ledger.leg_readings import LegReadings
from autocard.energy.readings import Track, Used
from autocard.energy.worker.protocol import Begin
from autocard.record import Checkpoint, Leg
from autocard.totals.repeated_steps import joules_of

POINTS = 20
"""Readings at checkpoints that are kept."""
IDLE_S = 60.0
"""Seconds without a step, and three times the longest that a step took, after which a training that
never ended regularly is taken as broken off."""
NEXT_LEG_IDLE_S = 5.0
"""The same where another training of the process begins: this one is over for certain."""


class LegTracker:
    """The readings of one open leg."""

    def __init__(self, begin: Begin) -> None:
        """Begin without readings; after a handover, with those of the worker that had died."""
        start, before = begin.leg, begin.handover
        self.start = start
        """Of the leg."""
        self.number = begin.number
        """Which leg of the training process it is."""
        self.max_steps = begin.max_steps
        self.step = start.head.step_begin if before is None else before.step
        """The last step that is known."""
        self.read_s = start.at_s if before is None else start.at_s + before.covered_s
        """Monotonic seconds from which this process's own readings count."""
        self.parts = (CPU, RAM) if begin.whole else ()
        """Of the host, what this process measures besides the GPUs."""
        self._before_j = {} if before is None else before.joules
        self._death = "" if before is None else before.death
        self.checkpoints: list[Checkpoint] = [] if before is None else list(before.checkpoints)
        self.host = Track()
        self.boards = Track()
        self.node = Track()
        self.boards_begin: dict[str, float] | None = None
        """UUID → total of the GPU sampler at the begin."""
        self._last_sign_s = start.at_s
        self._longest_s = 0.0

    @property
    def leg_id(self) -> str:
        """Of the leg."""
        return self.start.head.id

    @property
    def share(self) -> float:
        """Of the node's CPUs and memory."""
        share = self.start.head.hosts[0].cpu_share
        return 1.0 if share is None else share

    def rename(self, leg_id: str) -> None:
        """Give the leg another id."""
        head = self.start.head.model_copy(update={"id": leg_id})
        self.start = replace(self.start, head=head)

    def reach(self, step: int, at_s: float) -> None:
        """Note a message of the training process: *step* is done."""
        self.step = step
        self._longest_s = max(self._longest_s, at_s - self._last_sign_s)
        self._last_sign_s = at_s

    def was_active_since(self, at_s: float) -> bool:
        """Return whether a message came after a moment."""
        return self._last_sign_s > at_s

    def is_idle(self, at_s: float, least_s: float = IDLE_S) -> bool:
        """Return whether messages have been missing for so long that training was broken off."""
        return at_s - self._last_sign_s > max(least_s, 3 * self._longest_s)

    def add_checkpoint(self, leg: Leg) -> None:
        """Note what *leg* has used at a checkpoint; of many, keep the latest and some others."""
        joules = joules_of(leg, self.parts)
        if joules is None or self.step is None or leg.wall_clock_s is None:
            return
        point = Checkpoint(step=self.step, wall_clock_s=leg.wall_clock_s, energy_j=joules)
        others = [other for other in self.checkpoints if other.step != self.step]
        self.checkpoints = [*others, point]
        if len(self.checkpoints) > POINTS:
            early, late = self.checkpoints[: POINTS // 2], self.checkpoints[POINTS // 2 :]
            self.checkpoints = early[::2] + late

    def readings(
        self,
        at_s: float,
        sampler: CounterTotals | None,
        about: CodeCarbonInfo | None,
        codecarbon_reason: str | None,
        counters: HostReadings,
    ) -> LegReadings:
        """Return what was used up to *at_s*, set-up and node meter excepted.

        Args:
            at_s: monotonic seconds.
            sampler: of the leg's GPUs; None: they cannot be read.
            about: how CodeCarbon works here; None: it has not started.
            codecarbon_reason: why CodeCarbon gives no figures; None: it does.
            counters: the host's own.
        """
        host = self._used_by_host(at_s, about, counters)
        if host.reason is not None:
            why = codecarbon_reason or host.reason
            if self._death:
                why = f"{self._death}; of the one that took its place: {why}"
            host = Used(reason=why)
        host, restart = self._with_handover(host)
        found = LegReadings(
            host=host,
            boards=Used(),
            about=about,
            restart=restart,
            checkpoints=list(self.checkpoints),
        )
        if sampler is None:
            return found
        return replace(
            found,
            boards=self._used_by_boards(sampler, at_s),
            sampled=sorted(sampler.sampled),
            reset=sorted(sampler.reset),
            silent=dict(sampler.silent),
            shared=sorted(sampler.shared),
        )

    def _used_by_host(
        self, at_s: float, about: CodeCarbonInfo | None, counters: HostReadings
    ) -> Used:
        """Return the joules of CPU and RAM.

        What was used before CodeCarbon's first reading comes from our own readings.
        """
        used, first_s = self.host.between(self.read_s, at_s), self.host.first_s
        if about is None or self._death:
            return used
        begin_s = self.start.at_s
        if used.reason is not None:
            joules = power_model.joules(about, counters.stretches(begin_s, at_s))
            return Used(joules, note=source_words.OWN_WHOLE) if joules else used
        if used.before_s <= 0 or first_s is None:
            return used
        start_j = power_model.joules(about, counters.stretches(begin_s, first_s))
        if not start_j.keys() >= {CPU, RAM}:
            return used
        rest_j = self.host.between(first_s, at_s).joules
        joules = {part: rest_j[part] + start_j[part] for part in (CPU, RAM) if part in rest_j}
        note = ""
        if used.before_s > source_words.NOTICEABLE_S:
            note = source_words.OWN_START.format(seconds=used.before_s)
        return replace(used, joules=used.joules | joules, before_s=0.0, note=note)

    def _used_by_boards(self, sampler: CounterTotals, at_s: float) -> Used:
        """Return the joules of the GPUs from the leg's begin to *at_s*."""
        end_j = sampler.at(at_s)
        if self.boards_begin is None or end_j is None:
            return self._with_handover(self.boards.between(self.read_s, at_s))[0]
        return Used({uuid: end_j[uuid] - begin_j for uuid, begin_j in self.boards_begin.items()})

    def _with_handover(self, used: Used) -> tuple[Used, str]:
        """Return *used* with the readings of the worker that died, and a note on that."""
        if not self._death or used.reason is not None:
            return used, ""
        words = f"; {self._death} and was restarted: {used.before_s:.1f} s in between extrapolated"
        joules = {
            part: own_j + self._before_j.get(part, 0.0) for part, own_j in used.joules.items()
        }
        return replace(used, joules=joules, before_s=0.0), words
