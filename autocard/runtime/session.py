"""A trainer's run, from its first event to its last card: which stages of pieces each event has.

Every piece of work (`pieces.table`) runs under a guard of its own: a piece that raises, exits or
hangs costs only its own part of the record. The training thread waits for the pieces, so they are
few and short; the clock of the training window is read before anything else happens.
"""

from __future__ import annotations

import copy
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from autocard.capture.evaluation.weights_in_effect import Evaluated
from autocard.capture.model.trained_parameters import Steps
from autocard.capture.observed import Observed, Start, Step
from autocard.capture.training.changed_settings import Changes
from autocard.capture.training.schedule import LearningRates
from autocard.card_guard.card_guard import CardGuard
from autocard.card_guard.record_now import RecordNow
from autocard.energy.ledger.ledger_entry import utc_now
from autocard.guard import Budget, guard, log_warning
from autocard.record import Status
from autocard.runtime import completion, deadlines, finish, late_figures, runner
from autocard.runtime.pieces.piece import LEG, Stage
from autocard.runtime.pieces.table import PIECES
from autocard.runtime.run_state import Event, Facts, RunState
from autocard.runtime.search import Origin
from autocard.runtime.started_leg import StartedLeg
from autocard.settings import Settings
from autocard.trainers import registry


class Session:
    """Handles the events of a trainer's run."""

    def __init__(
        self,
        settings: Settings,
        made_s: float,
        family: object = None,
        origin: Origin | None = None,
    ) -> None:
        """Begin without events.

        Args:
            settings: the user's.
            made_s: monotonic seconds when set-up began.
            family: the `Sessions` that the session belongs to.
            origin: of its callback; None: the callback is no copy.
        """
        self.settings = settings
        self.run = RunState(settings, made_s, family, origin or Origin())
        self.run.card_guard = CardGuard(settings, self)

    def observed(self, source: Any, /, **objects: Any) -> Observed:
        """Return the observed facts of *source*, a trainer or its event, with our settings."""
        observed = registry.observe(self.settings, source, **objects)
        if not observed.trainer.is_trial():
            return observed
        return replace(observed, output_dir=self.run.origin.folder(observed.output_dir))

    def hold(self, trainer: Any, observed: Observed, callback: Any) -> None:
        """Restore our card after *trainer* (None: it was not found) or its model write theirs."""
        if self.settings.last_word and (trainer is None or trainer.is_world_process_zero()):
            event = Event(observed, held_trainer=trainer, callback=callback)
            self._go(Stage.HOLD, event, runner.budget(deadlines.EVENT_S))

    @property
    def holds_cards(self) -> bool:
        """Whether the trainer's own card writer is wrapped."""
        return self.run.card_guard.holds

    def _go(self, stage: Stage, event: Event, budget: Budget) -> None:
        runner.go(self.run, stage, event, budget)

    # -- a trainer is made -------------------------------------------------------------------------

    def prepared(self, observed: Observed) -> None:
        """Handle a new trainer: count parameters before sharding, and start the worker early."""
        completion.take_up()
        self.run.origin.note(observed.output_dir)
        event, budget = Event(observed), runner.budget(deadlines.EVENT_S)
        for stage in (Stage.LABELS, Stage.MODEL_MADE, Stage.NAMES):
            self._go(stage, event, budget)
        self._meet(event, budget)
        self._go(Stage.METER, event, budget)

    def _meet(self, event: Event, budget: Budget) -> None:
        """Find the training's other processes; those without a timely answer count as absent."""
        self._go(Stage.MEET, event, budget)
        if not event.met:
            self.run.coordinator.give_up(event.observed)

    # -- training begins ---------------------------------------------------------------------------

    def begin(self, observed: Observed) -> None:
        """Handle the begin of training: read clock and counters, then capture everything once."""
        run = self.run
        opened = StartedLeg(observed.progress.step, utc_now(), time.monotonic())
        event = Event(observed, opened.at_s)
        run.train_call = observed.trainer.training_call()
        if run.train_call is not None:
            run.train_call.when_over = self.train_is_over
        self._go(Stage.MARK, event, runner.budget(deadlines.EVENT_S))
        late_figures.take(run)
        budget = runner.budget(deadlines.BEGIN_S)
        if run.facts.running and observed.arguments.get("auto_find_batch_size", False):
            # The same training again with smaller batches: its window began with the attempt that
            # ran out of memory.
            run.facts.attempts += 1
            run.facts.attempt_after_s = opened.at_s - run.history.open.at_s
            event.observed = replace(observed, start=run.facts.start)
            self._capture(event, budget)
            return
        self._begin_training(event, budget)
        run.history.begin(opened)
        if run.writes(observed) and run.coordinator.team.opens:
            # Only one process of a run continues its legs, or each process would count them.
            self._go_on(event, budget)
        self._begin_leg(event, opened, budget)
        self._go(Stage.NAMES, event, budget)
        run.facts.start = event.start or Start()
        event.observed = replace(observed, start=run.facts.start)
        self._capture(event, budget)
        self._go(Stage.REMEMBER, event, budget)
        self._warn_if_trainer_is_unknown(event)
        run.facts.shown = observed.without_objects()
        self._go(Stage.CARD_BEFORE, event, budget)
        self._go(Stage.BEGIN_LINE, event, runner.budget(deadlines.EVENT_S))
        self._keep_working_file(event, budget)

    def _keep_working_file(self, event: Event, budget: Budget) -> None:
        """Write what `autocard close` makes the card of, if training is killed."""
        if self.run.is_unfinished(event):
            self._go(Stage.RECORD_SO_FAR, event, budget)
            self._go(Stage.WORKING_FILE, event, budget)

    def _begin_training(self, event: Event, budget: Budget) -> None:
        """Close a training that ended without an event, and begin the next."""
        run = self.run
        event.broken_off = run.facts.running
        self._go(Stage.LABELS, event, budget)
        if event.broken_off:
            self._go(Stage.BROKEN_OFF, event, budget)
            run.note_trial(run.left_trial())
        self._go(Stage.SEARCH, event, budget)
        facts = run.facts
        run.working_file = None  # that of a run which was broken off stays
        facts.running, facts.ended, facts.since_s = True, False, time.time()
        facts.attempts, facts.attempt_after_s = 1, 0.0
        facts.operations = None
        # Earlier evaluations were of other weights.
        facts.predictions, facts.eval_sets = {}, {}
        if not run.coordinator.met:
            self._meet(event, budget)
        if run.meter is None:
            self._go(Stage.METER, event, budget)
        self._go(Stage.PLACES, event, budget)

    def _go_on(self, event: Event, budget: Budget) -> None:
        """Find the run that this training continues; drop the facts of another run before it."""
        self._go(Stage.PAST, event, budget)
        if event.another_run:
            gaps = {LEG: self.run.facts.gaps.get(LEG, {})}
            self.run.facts = Facts(running=True, since_s=time.time(), gaps=gaps)
        self._go(Stage.TRAVELLED, event, budget)

    def _begin_leg(self, event: Event, opened: StartedLeg, budget: Budget) -> None:
        """Begin to measure; *opened*: the leg that begins, which gets its id."""
        run = self.run
        self._go(Stage.LEG, event, budget)
        leg_id = event.leg_id
        if run.meter is not None:
            leg_id = run.meter.leg_id or leg_id
            if run.coordinator.measures:
                run.history.boards = run.meter.board_ids
        opened.id = leg_id or uuid.uuid4().hex[:12]

    def _capture(self, event: Event, budget: Budget) -> None:
        """Run every capture of the start."""
        finish.observe_trainer(self.run, event, budget)
        facts = self.run.facts
        facts.carried_flops = event.observed.trainer.earlier_flops()
        facts.rates = LearningRates(event.step, event.max_steps)
        for piece in PIECES:
            if piece.stage is Stage.CAPTURE:
                facts.parts.pop(piece.fact, None)
        self._go(Stage.CAPTURE, event, budget)
        facts.evaluated, facts.steps, facts.changes = Evaluated(), Steps(), Changes()
        self._go(Stage.BEGUN, event, budget)

    def _warn_if_trainer_is_unknown(self, event: Event) -> None:
        run = self.run
        if self.settings.last_word and not run.card_guard.holds and run.writes(event.observed):
            log_warning(
                "autocard: could not find the Trainer; a card that it writes after training will "
                "not be restored. Name the trainer: autocard.attach(trainer). Or repair the card "
                "later: autocard fill README.md"
            )

    # -- training runs -----------------------------------------------------------------------------

    def stepping(self, step: Step) -> None:
        """Read what the next optimizer step uses, and which parameters it will change."""
        facts = self.run.facts
        if not facts.running:
            return
        facts.rates.look(step.done, step.optimizer)
        facts.changes.look(step.done, step.arguments, step.optimizer, step.lr_scheduler)
        facts.steps.look(step.optimizer, is_last=step.done + 1 >= step.planned)

    def stepped(self, step: Step) -> None:
        """Note that a step is done: some stores into memory, at each step."""
        run, facts = self.run, self.run.facts
        run.history.open.reached = step.done
        facts.rates.look(step.done, step.optimizer)
        if run.meter is not None:
            run.meter.reached(step.done)
        if step.done >= step.planned and facts.running and facts.shown is not None:
            event = Event(replace(facts.shown, model=step.model))
            self._go(Stage.LAST_STEP, event, runner.budget(deadlines.EVENT_S))

    def progress(self, observed: Observed) -> None:
        """Send the meter how far training is; the callback calls this once a second."""
        self._progress(Event(observed))

    def saving(self, observed: Observed) -> None:
        """Handle a coming checkpoint: put known facts of the run into the state that it saves."""
        self._progress(Event(observed, saving=True))

    def saved(self, observed: Observed) -> None:
        """Handle a written checkpoint: steps after it are repeated if training is killed."""
        late_figures.take(self.run)
        event, budget = Event(observed, saved=True), runner.budget(deadlines.EVENT_S)
        self._progress(event)
        self._go(Stage.CHECKPOINT_SAVED, event, budget)
        self._keep_working_file(Event(observed), budget)

    def _progress(self, event: Event) -> None:
        self._go(Stage.PROGRESS, event, runner.budget(deadlines.EVENT_S))

    def push_begun(self, observed: Observed) -> None:
        """Handle the begin of an upload; in `push_to_hub` the card guard updates the card later."""
        run = self.run
        late_figures.take(run, deadlines.PUSH_S if run.facts.ended else 0.0)
        late_figures.complete(run)
        event = Event(observed)
        if not self.settings.last_word or not run.writes(observed):
            return
        if not observed.trainer.is_pushing():
            self._go(Stage.PUSH, event, runner.budget(deadlines.END_S))
            run.card_guard.keep_unmerged()

    # -- evaluations and predictions ---------------------------------------------------------------

    def evaluated(self, observed: Observed, metrics: Mapping[str, Any]) -> None:
        """Handle the end of an evaluation: note its data; after training, write its figures."""
        facts, budget = self.run.facts, runner.budget(deadlines.EVENT_S)
        event = Event(observed, metrics=metrics)
        self._go(Stage.EVALUATED, event, budget)
        if facts.running and not facts.ended:
            self.run.history.open.last_s = time.monotonic()
            facts.logged_in_training = len(observed.progress.log)
        if facts.ended:
            self._measure_after_training(event, budget)
            self._finish_again(observed)

    def predicted(self, observed: Observed, metrics: Mapping[str, Any]) -> None:
        """Handle the end of a prediction, whose figures are not in the trainer's log.

        A prediction before the end of training is of other weights.
        """
        facts, budget = self.run.facts, runner.budget(deadlines.EVENT_S)
        if not facts.ended:
            return
        event = Event(observed, metrics=metrics)
        self._go(Stage.PREDICTED, event, budget)
        if not event.of_others:
            facts.predictions |= {
                key: value for key, value in metrics.items() if isinstance(value, int | float)
            }
        self._measure_after_training(event, budget)
        self._finish_again(observed)

    def _measure_after_training(self, event: Event, budget: Budget) -> None:
        """Measure an evaluation after training that ends now and reports its duration."""
        run = self.run
        event.at_s = time.monotonic()
        late_figures.take(run)
        if not run.history.own:
            return
        event.took_s = self._seconds_taken(event)
        self._go(Stage.APART, event, budget)
        measured_here = run.has_measured
        if measured_here:
            run.history.evaluated(event.joules)
        run.history.evaluated_elsewhere(event.joules_of_others or {})
        if measured_here:
            self._go(Stage.LEDGER, event, budget)

    def _seconds_taken(self, event: Event) -> float | None:
        """Return the seconds of an evaluation after training; None: unknown, or clock was set."""
        found = [value for key, value in event.metrics.items() if key.endswith("_runtime")]
        if not found:
            return None
        took_s, ended_s = float(found[0]), self.run.ended_s
        if not 0 <= took_s <= event.at_s - ended_s or self.run.wall_clock.was_set(ended_s):
            return None
        return took_s

    def _finish_again(self, observed: Observed) -> None:
        event, budget = Event(observed), runner.budget(deadlines.END_S)
        with finish.turn(self.run, event, budget):
            self._go(Stage.AGAIN, event, budget)
            finish.finish(self.run, observed, budget)

    # -- training ends -----------------------------------------------------------------------------

    def end(self, observed: Observed) -> None:
        """Handle the end of training: stop clock and counters, then write record and card."""
        run = self.run
        facts, event = run.facts, Event(observed)
        if not facts.running:
            return
        status: Status = "finished" if event.step >= event.max_steps else "stopped"
        clock = run.history.open.as_leg(event.step, status, event.at_s)
        facts.running, facts.ended = False, True
        run.clock_was_set = run.wall_clock.was_set(run.history.open.at_s)
        run.ended_s = event.at_s
        budget = runner.budget(deadlines.END_S)
        self._go(Stage.STOP, event, budget)
        run.history.end(clock, *finish.measured(run, event))
        self._note_trials_and_attempts(event)
        finish.observe_trainer(run, event, budget)
        self._go(Stage.STEPS_DONE, event, budget)
        completion.note_late()  # figures of an earlier leg may have arrived
        for stage in (Stage.EARLIER, Stage.LEDGER, Stage.REPORT, Stage.CLEARED):
            self._go(stage, event, budget)
        with finish.turn(run, event, budget):
            self._go(Stage.REPORTS, event, budget)
            finish.finish(run, observed, budget)
        run.latest.awaited = self.incomplete
        if self.incomplete:
            completion.add(self.without_trainer())
        self._go(Stage.END_LINE, event, runner.budget(deadlines.EVENT_S))

    def _note_trials_and_attempts(self, event: Event) -> None:
        run, attempts = self.run, self.run.facts.attempts
        if run.trials is not None:
            run.note_trial(run.trial(event.at_s, finished=True))
        if attempts > 1:
            run.history.repeated_unknown(
                f"training began {attempts} times, with smaller batches each time; "
                "what was lost is not known"
            )

    def train_is_over(self) -> None:
        """Handle the end of `train`, where no event has reported it: it raises an exception."""
        with guard("exception", {}):
            if self.run.raised():
                finish.raised(self.run)
                if self.incomplete:
                    completion.add(self.without_trainer())

    # -- after training ----------------------------------------------------------------------------

    @property
    def incomplete(self) -> bool:
        """Whether figures of a leg that has ended are still to come."""
        return late_figures.incomplete(self.run)

    def complete(self) -> bool:
        """Write the card again if figures have arrived since training; return whether it was."""
        return late_figures.complete(self.run)

    def take_late(self, wait_s: float = 0.0, *, last: bool = False) -> None:
        """Note the figures that have arrived since a leg ended."""
        late_figures.take(self.run, wait_s, last=last)

    def receive(self, leg_id: str) -> None:
        """Note that the figures of another session's leg have arrived."""
        late_figures.receive(self.run, leg_id)

    def without_trainer(self) -> Session:
        """Return a session with the same facts that keeps no trainer and no model alive."""
        twin = copy.copy(self)
        twin.run = copy.copy(self.run)
        twin.run.facts = copy.copy(self.run.facts)
        twin.run.card_guard = self.run.card_guard.detached(twin)
        return twin

    # -- for the card guard ------------------------------------------------------------------------

    def record_now(self, saved_to: Path | None = None) -> RecordNow:
        """Return the record as of now."""
        run = self.run
        shown = run.facts.shown
        if shown is not None:
            pushes = run.facts.ended and shown.trainer.is_pushing()
            late_figures.take(run, deadlines.PUSH_S if pushes else 0.0)
        shown, ended = run.facts.shown, run.facts.ended
        if shown is None:
            return RecordNow(None, ended=False)
        event = Event(shown, saved_to=saved_to)
        if not event.in_search:
            self._make_record(event, runner.budget(deadlines.END_S), ended=ended)
        return RecordNow(event.record, ended and event.record is not None, run.writes(shown))

    def _make_record(self, event: Event, budget: Budget, *, ended: bool) -> None:
        if not ended:
            self._go(Stage.RECORD_SO_FAR, event, budget)
            self._go(Stage.SAVED_ELSEWHERE, event, budget)
            return
        self.run.news = False  # the card guard writes what is returned here
        self._go(Stage.SAVED, event, runner.budget(deadlines.EVENT_S))
        self._go(Stage.RECORD, event, budget)
        if event.record is not None and event.saved_to is None:
            self.run.latest.record = event.record
        self._go(Stage.SAVED_ELSEWHERE, event, budget)
