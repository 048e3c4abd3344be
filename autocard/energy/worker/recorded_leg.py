"""A leg in the worker, with all that its entry in the ledger is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from autocard.energy.gpu.counter_totals import CounterTotals
from autocard.energy.ledger import join_hosts, leg_builder
from autocard.energy.ledger.ledger_entry import PENDING, LedgerEntry, Status, utc_now
from autocard.energy.ledger.leg_builder import LegEnd
from autocard.energy.ledger.leg_readings import LegReadings
from autocard.energy.location.intensity import NO_PLACE
from autocard.energy.readings import Used
from autocard.energy.worker.ledger_writer import LedgerWriter
from autocard.energy.worker.leg_tracker import LegTracker
from autocard.energy.worker.outside_training import OutsideTraining
from autocard.energy.worker.protocol import WorkerOrder
from autocard.energy.worker.sensors import Sensors

NOT_LOOKED_UP = "not looked up: training was over before that"


@dataclass
class RecordedLeg:
    """One leg, open or ended."""

    order: WorkerOrder
    sensors: Sensors
    tracker: LegTracker
    writer: LedgerWriter
    outside: OutsideTraining
    sampler: CounterTotals | None
    end: LegEnd | None = None
    """None: it is open, or it did not end regularly."""

    @property
    def leg_id(self) -> str:
        """Of the leg."""
        return self.tracker.leg_id

    def note(
        self,
        status: Status,
        at_s: float,
        intensity: Mapping[str, Any] | None,
        *,
        steps_unseen: bool = False,
    ) -> LedgerEntry:
        """Make the entry of the leg as of *at_s* (monotonic seconds).

        Args:
            status: how it ended.
            at_s: up to when.
            intensity: g_per_kwh, source, year; or why there is none; None: not yet looked up.
            steps_unseen: it may have done more steps than are known.
        """
        tracker, given = self.tracker, self.order.given
        readings = self._readings(at_s)
        if self.end is not None:
            found = intensity or self._no_intensity_yet()
            made, missing = leg_builder.ended(tracker.start, self.end, readings, found, given)
        else:
            made, missing = leg_builder.so_far(
                tracker.start,
                readings,
                intensity or {"reason": NOT_LOOKED_UP if self.order.may_find_place else NO_PLACE},
                given,
                ended_at=utc_now(),
                status=None if status == "running" else status,
                step_end=tracker.step,
                steps_unseen=steps_unseen,
                wall_clock_s=max(at_s - tracker.start.at_s, 0.0),
            )
        return self.writer.note(
            made,
            missing,
            readings,
            status=status,
            uuids=tracker.start.uuids,
            max_steps=tracker.max_steps,
        )

    def _readings(self, at_s: float) -> LegReadings:
        """Return what the leg has used up to *at_s*, with its set-up and the node's meter."""
        sensors, tracker = self.sensors, self.tracker
        readings = tracker.readings(
            at_s, self.sampler, sensors.about, sensors.codecarbon_reason, sensors.counters
        )
        setup_j, setup_source = self.outside.setup(tracker, sensors.own(self.sampler))
        if setup_j is None and not sensors.has_codecarbon:
            setup_source = sensors.codecarbon_reason or PENDING
        if not self.order.whole:
            setup_source = join_hosts.LATE
        node = sensors.node
        node_used = Used(reason=node.reason)
        if node.reason is None:
            node_used = tracker.node.between(tracker.start.at_s, at_s)
        return replace(
            readings,
            setup_j=setup_j,
            setup_source=setup_source,
            node=node_used,
            node_name=node.name,
        )

    def used_after(self, begin_s: float, end_s: float) -> float | None:
        """Return the joules of a stretch after the leg; None: they are not known."""
        own = self.sensors.own(self.sampler)
        return self.outside.after(begin_s, end_s, self.tracker, own)

    def _no_intensity_yet(self) -> dict[str, Any]:
        return {"reason": PENDING if self.order.may_find_place else NO_PLACE}
