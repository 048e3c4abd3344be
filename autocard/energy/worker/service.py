"""The worker's loop: reads the sensors, completes legs and writes the ledger at each tick.

Rule: it serves one training process and does not outlive it. It ends when its socket closes or its
parent is gone; a leg that is open then goes into the ledger as interrupted. It imports neither
torch nor transformers. A leg that ends before CodeCarbon has started is answered twice: at once
with what is known, and again when all is.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import replace
from typing import Any, BinaryIO

from autocard.energy.ledger.ledger_entry import LedgerEntry, Status
from autocard.energy.location import geolocation
from autocard.energy.worker import protocol, step_counter
from autocard.energy.worker.events import (
    AllKnown,
    Closed,
    CodeCarbonReady,
    Event,
    Events,
    Look,
    next_event,
)
from autocard.energy.worker.ledger_writer import NOT_KEPT, LedgerWriter
from autocard.energy.worker.leg_tracker import IDLE_S, NEXT_LEG_IDLE_S, LegTracker
from autocard.energy.worker.outside_training import OutsideTraining
from autocard.energy.worker.protocol import (
    Answer,
    Begin,
    End,
    Evaluated,
    Evaluation,
    LegEnded,
    LegSoFar,
    Quit,
    Ready,
    Rename,
    Saved,
    Saving,
    Serve,
    Start,
    Step,
    Up,
)
from autocard.energy.worker.recorded_leg import RecordedLeg
from autocard.energy.worker.sensors import Sensors

LOOK_S = 1.0
"""Seconds between checks of the parent, and between readings after training, of which an evaluation
is a part."""
KEEP_S = 600.0
"""Seconds after training for which this process waits for an evaluation."""


class Service:
    """Everything that happens in the worker process."""

    def __init__(self, start: Start, out: BinaryIO) -> None:
        """Open the GPUs; CodeCarbon follows in `prepare`."""
        self._out = out
        self._out_lock = threading.Lock()
        self._order = start.order
        self._steps = step_counter.attached(start.steps_file)
        self._sensors = Sensors(start.order)
        self._sensors.read_counters(start.order.reading)
        self._intensity: dict[str, Any] | None = None
        """None: the place is still being looked up."""
        self._is_all_known = False
        """Whether CodeCarbon has started and the place was looked up, or neither will be."""
        self._outside = OutsideTraining(start.order.start_s)
        self._open: RecordedLeg | None = None
        self._last: RecordedLeg | None = None
        """The leg that began last, open or not."""
        self._unfinished: list[RecordedLeg] = []
        """Legs that ended before all was known."""
        self._unanswered: list[Evaluation] = []
        self._active_entry: LedgerEntry | None = None
        """Of the open leg, as of the last tick before which a message came."""
        self._sent_entry: LedgerEntry | None = None
        self._ticked_s = 0.0

    # -- the loop ----------------------------------------------------------------------------------

    def prepare(self, events: Events) -> None:
        """Look up the carbon intensity and start CodeCarbon, in a thread: it takes seconds."""
        look_up = geolocation.LookUp(self._order.place)
        self._sensors.start_codecarbon()
        events.put(CodeCarbonReady())
        self._intensity = look_up.result()
        self._send(Ready(self._intensity))
        events.put(AllKnown())

    def serve(self, events: Events) -> None:
        """Handle events until the training process is gone, or does not need this one any more."""
        last_event_s = time.monotonic()
        next_tick_s = last_event_s + self._order.tick_s
        self._send(Up())
        while True:
            event = next_event(events, min(LOOK_S, max(next_tick_s - time.monotonic(), 0.0)))
            if not isinstance(event, Look):
                last_event_s = time.monotonic()
            if not self._sensors.has_codecarbon:
                self._sensors.read_counters()
            if self._is_over(event, last_event_s):
                break
            reads_idle = self._is_after_training and isinstance(event, Look)
            self._handle(event)
            if reads_idle or time.monotonic() >= next_tick_s:
                self._tick()
                next_tick_s = time.monotonic() + self._order.tick_s
        if self._open is not None:
            self._break_off(self._open, asked=isinstance(event, Quit))

    @property
    def _is_after_training(self) -> bool:
        return self._open is None and self._last is not None

    def _is_over(self, event: Event, last_event_s: float) -> bool:
        """Return whether this process has to end; *last_event_s*: when the last command came."""
        if isinstance(event, Quit | Closed):
            return True
        # only when the queue is empty: what a dead parent has sent is handled first
        if isinstance(event, Look) and os.getppid() != self._order.parent_pid:
            return True
        return self._is_after_training and time.monotonic() - last_event_s > KEEP_S

    def _handle(self, event: Event) -> None:
        match event:
            case Serve():
                self._serve_another(event)
            case Begin():
                self._begin(event)
            case CodeCarbonReady():
                self._tick()
            case AllKnown():
                self._complete_unfinished()
            case Evaluation():
                self._answer_evaluation(event)
            case Step() | Saving() | Saved() | Rename() | End() if self._open is not None:
                self._handle_in_leg(self._open, event)
            case _:
                pass  # nothing to do: no leg is open, or no command came

    def _handle_in_leg(self, leg: RecordedLeg, event: Step | Saving | Saved | Rename | End) -> None:
        match event:
            case Step():
                leg.tracker.reach(event.step, time.monotonic())
                self._send_entry(leg)
            case Saving():
                leg.tracker.reach(event.step, time.monotonic())
                self._tick(at_checkpoint=True)
                self._send_entry(leg)
            case Saved():
                leg.tracker.reach(event.step, time.monotonic())
                self._tick(at_checkpoint=True, shared=True)
            case Rename():
                leg.tracker.rename(event.leg_id)
                leg.writer.rename(event.run_id, event.leg_id)
                self._tick()
            case End() if event.leg_id == leg.leg_id:
                self._end(leg, event)

    def _send(self, answer: Answer) -> None:
        # If the other end is gone, `serve` notices that by itself.
        with contextlib.suppress(OSError), self._out_lock:
            self._out.write(protocol.encode(answer))

    def _send_entry(self, leg: RecordedLeg) -> None:
        """Send the entry of the open leg, unless it was sent before."""
        entry = leg.writer.entry
        if entry is not None and entry is not self._sent_entry:
            self._sent_entry = entry
            self._send(LegSoFar(entry))

    # -- a leg -------------------------------------------------------------------------------------

    def _serve_another(self, event: Serve) -> None:
        """Measure for another training of the same process from now on."""
        self._order = replace(event.order, parent_pid=self._order.parent_pid)
        self._outside = OutsideTraining(self._order.start_s)
        self._last = None
        self._sensors.read_counters(self._order.reading)
        self._measure()

    def _begin(self, event: Begin) -> None:
        if self._open is not None:
            if event.previous_step is not None:
                self._open.tracker.step = event.previous_step
            self._break_off(self._open, asked=True, least_s=NEXT_LEG_IDLE_S)
        if self._unfinished and self._last is not None:
            self._outside = OutsideTraining(None)  # the one before is still in use
        if event.reading is not None:
            self._sensors.read_counters(event.reading)
        self._sensors.use_boards(event.leg.uuids)
        tracker, sampler = LegTracker(event), self._sensors.sampler
        if sampler is not None:
            # or no reading is behind the moment that is asked for
            sampler.tick(time.monotonic())
            tracker.boards_begin = sampler.at(tracker.read_s)
        writer = LedgerWriter(self._order, event.run_id, event.role)
        self._outside.begin(event.leg.at_s, has_setup=event.has_setup)
        self._open = self._last = RecordedLeg(
            self._order, self._sensors, tracker, writer, self._outside, sampler
        )
        self._active_entry = self._sent_entry = None
        writer.open(tracker.leg_id)
        self._tick()

    def _end(self, leg: RecordedLeg, event: End) -> None:
        """Complete the leg and send it."""
        leg.end = event.end
        leg.tracker.step, leg.tracker.max_steps = event.end.step, event.max_steps
        self._sensors.read_counters(event.reading)
        self._close(leg, event.end.status, event.end.at_s)
        if not self._is_all_known:
            self._unfinished.append(leg)
        self._send_ended(leg)

    def _send_ended(self, leg: RecordedLeg) -> None:
        """Send the complete entry of a leg that has ended."""
        entry = leg.writer.entry
        if entry is None:
            return
        missing = dict(entry.missing)
        if leg.writer.reason is not None:
            missing["ledger"] = NOT_KEPT.format(why=leg.writer.reason)
        # the training process keeps the last entry, without what completes an open leg
        entry = entry.model_copy(update={"missing": missing, "readings": None})
        self._send(LegEnded(entry, self._is_all_known))

    def _complete_unfinished(self) -> None:
        """Send again the legs that ended before all was known, and what came after them."""
        self._is_all_known = True
        unfinished, self._unfinished = self._unfinished, []
        unanswered, self._unanswered = self._unanswered, []
        for leg in unfinished:
            if leg.end is None:
                continue
            leg.note(leg.end.status, leg.end.at_s, self._intensity)
            leg.writer.write(shared=True, last=True)
            self._send_ended(leg)
            for question in unanswered:
                if question.leg_id == leg.leg_id:
                    self._send(
                        Evaluated(question.number, leg.used_after(question.begin_s, question.end_s))
                    )

    def _answer_evaluation(self, question: Evaluation) -> None:
        """Send what an evaluation after training used, as soon as that can be known."""
        self._tick()
        if self._unfinished and self._unfinished[-1].leg_id == question.leg_id:
            self._unanswered.append(question)
            return
        joules = None
        if self._last is not None and self._last.leg_id == question.leg_id:
            joules = self._last.used_after(question.begin_s, question.end_s)
        self._send(Evaluated(question.number, joules))

    def _close(
        self, leg: RecordedLeg, status: Status, at_s: float, *, steps_unseen: bool = False
    ) -> None:
        """Take the last reading of the open leg and write its entry, up to *at_s*."""
        self._measure()
        leg.note(status, at_s, self._intensity, steps_unseen=steps_unseen)
        self._write_last(leg)
        self._measure()  # the first reading of what comes after

    def _write_last(self, leg: RecordedLeg) -> None:
        leg.writer.write(shared=True, last=True)
        leg.writer.close()
        self._open = None

    def _break_off(self, leg: RecordedLeg, *, asked: bool, least_s: float = IDLE_S) -> None:
        """Close a leg that did not end regularly.

        Args:
            leg: open.
            asked: by a training process that lives, and may have idled.
            least_s: silence after which it has.
        """
        now_s = time.monotonic()
        steps_unseen = not (self._read_steps(leg.tracker) or asked)
        active = self._active_entry
        if not asked or not leg.tracker.is_idle(now_s, least_s) or active is None:
            self._close(leg, "interrupted", now_s, steps_unseen=steps_unseen)
            return
        # Training was over when it became silent: what came after is not part of the leg.
        ended = {"status": "interrupted", "step_end": leg.tracker.step}
        active_leg = active.leg.model_copy(update=ended)
        leg.writer.entry = active.model_copy(update={"status": "interrupted", "leg": active_leg})
        self._write_last(leg)

    # -- readings ----------------------------------------------------------------------------------

    def _tick(self, *, at_checkpoint: bool = False, shared: bool = False) -> None:
        """Read everything once; write the open leg into the ledger."""
        self._measure()
        leg = self._open
        if leg is None:
            return
        now_s = time.monotonic()
        if not at_checkpoint:
            # a checkpoint's reading belongs to the step that came with the command
            self._read_steps(leg.tracker)
        entry = leg.note("running", now_s, self._intensity)
        if at_checkpoint:
            leg.tracker.add_checkpoint(entry.leg)
            entry = leg.note("running", now_s, self._intensity)
        if leg.tracker.was_active_since(self._ticked_s) or self._active_entry is None:
            self._active_entry = entry
        self._ticked_s = now_s
        leg.writer.write(shared=shared)

    def _read_steps(self, tracker: LegTracker) -> bool:
        """Read the step that training has counted; return whether it is known."""
        step = None if self._steps is None else self._steps.of(tracker.number)
        if step is None:
            return False
        tracker.step = step
        return True

    def _measure(self) -> None:
        found, leg = self._sensors.measure(), self._open
        self._outside.add(found.host, self._sensors.sampler, training=leg is not None)
        if leg is None:
            return
        for track, sample in (
            (leg.tracker.host, found.host),
            (leg.tracker.node, found.node),
            (leg.tracker.boards, found.boards),
        ):
            if sample is not None:
                track.add(sample)
