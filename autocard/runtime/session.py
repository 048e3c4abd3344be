"""One trainer's run, from its first event to its last card: what is captured when, and what becomes of it.

Every piece of work here passes through the guard with a deadline, on its own: one that raises,
exits or hangs costs its own part of the record and nothing else. The training thread waits for
them, so they are few and short; the clock of the training window is read before anything else
happens.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from autocard.capture.evaluation.weights_in_effect import Evaluated
from autocard.capture.model.trained_parameters import Steps
from autocard.capture.observed import Observed, OwnLoss, Start, TrainingCall
from autocard.card_guard.card_guard import CardGuard
from autocard.card_guard.record_now import RecordNow
from autocard.distributed.coordinator import Coordinator
from autocard.energy.ledger.ledger_entry import LedgerEntry, ProcessRole, utc_now
from autocard.errors import NotWrittenError, SettingsError, UnavailableError
from autocard.guard import Budget, guarded, log_warning
from autocard.record.gaps import Gaps, Part, part_of
from autocard.runtime import completion, search
from autocard.runtime.clock import WallClock
from autocard.runtime.run_history import RunHistory
from autocard.runtime.started_leg import StartedLeg
from autocard.settings import Settings
from autocard.trainers.transformers import Arguments, observe

if TYPE_CHECKING:
    from autocard.capture.model.prior_training import PriorTraining
    from autocard.capture.training.changed_settings import Changes
    from autocard.capture.training.schedule import LearningRates
    from autocard.energy.meter import Meter
    from autocard.record import Evaluation, Leg, RunRecord, Search
    from autocard.runtime.search import Trials

T = TypeVar("T")

AT_BEGIN = {
    "model.model": "model",
    "model.adapter": "adapters",
    "training.precision": "precision",
    "training.training": "training",
    "data.data": "data",
    "environment.hardware": "hardware",
    "environment.software": "software",
    "environment.code": "code",
    "environment.launcher": "job",
}
"""Capture module → key of the record; all of them when training begins, before anything can change.
"""

BEGIN_S = 10.0
"""Seconds that the start of training may be held up when our work hangs; it takes a fraction of one
otherwise."""
END_S = 20.0
"""The same for the end."""
EVENT_S = 2.0
"""The same for events in between."""
ASK_S = 3.0
"""Seconds that other processes may keep us waiting after training has ended."""
HEAR_S = 9.5
"""The same at its end: the silence of one costs no more than 10 s."""
PUSH_S = 3.0
"""Seconds that an upload waits for figures of a training that was over before CodeCarbon had
started."""
OTHERS_S = 0.1
"""Seconds between two looks for figures of other processes, when this one exits."""
LEAST_S = 0.5
"""Seconds that each piece of work gets after a hanging one has used up the event's time."""


LEG = "leg"
"""The piece of work that measures the leg; its reasons become the leg's."""


class Sessions:
    """The sessions of one callback: one for each trainer that it was given to, known by their arguments."""

    def __init__(self, settings: Settings) -> None:
        """Check that *settings* can work.

        Raises:
            SettingsError: there is no such template, or it cannot be read; or the file of labels
                beside the template or beside the card that is named has a mistake.
        """
        from autocard.card.fill.new_card import check_template, label_files  # noqa: PLC0415
        from autocard.card.form.label_files import load  # noqa: PLC0415

        check_template(settings.template)
        load(label_files(settings.template, Path(settings.card) if settings.card else None))
        self._settings = settings
        self._made_s = time.monotonic()
        self._all: dict[int, tuple[Any, Session]] = {}

    def anew(self) -> Sessions:
        """Return the same settings without any session."""
        return Sessions(self._settings)

    def of(self, args: Any, *, starts: bool) -> Session:
        """Return the session of the trainer whose `TrainingArguments` are *args*; *starts*: it may be a new one.

        A host that shows other arguments in the middle of a run means the run that began last.
        """
        if id(args) not in self._all and self._all and not starts:
            return next(reversed(self._all.values()))[1]
        # With the arguments themselves, so that their id is not given to others.
        if id(args) not in self._all:
            # What happened since the callback was made is the set-up of the first trainer's run.
            made_s = time.monotonic() if self._all else self._made_s
            session = Session(self._settings, made_s)
            session.family = self
            self._all[id(args)] = args, session
        return self._all[id(args)][1]


class Session:
    """The facts of one trainer's run as they come in."""

    def __init__(self, settings: Settings, made_s: float) -> None:
        self.settings = settings
        self.book = RunHistory(settings)
        self._made_s = made_s
        self._elsewhere: Path | None = None
        self._labels_checked = False
        self.keeper = CardGuard(settings, self)
        self._train_call: TrainingCall | None = None
        self.meter: Meter | None = None
        self.crew = Coordinator(self.book)
        self._fresh: bool | None = None
        self._news = False
        self.wall_clock = WallClock()
        self._clock_was_set = False
        self._ended_s = 0.0
        self.family: object = None
        """The `Sessions` that it is one of."""
        self._trials: Trials | None = None
        self._searches: list[Trials] = []
        self.counted: tuple[int | None, int | None] | None = None
        self._reset()

    def _reset(self) -> None:
        self.parts: dict[str, Any] = {}
        self.gaps: dict[str, Gaps] = {}
        self.eval_sets: dict[tuple[str, str], Any] = {}
        self.predictions: dict[str, float] = {}
        self.running = False
        self.ended = False
        self._attempts = 1
        self._attempt_after_s = 0.0
        self._carried_flops = 0.0
        self._earlier: PriorTraining | None = None
        self._told: dict[str, Any] = {}
        self._start = Start()
        self._since_s = 0.0
        self._shown: Observed | None = None
        self.rates: LearningRates = _module("training.schedule").LearningRates()
        self.stop_reason = ""
        self._renamed: dict[str, str] = {}
        self._own_loss: OwnLoss | None = None
        self._operations: Part[dict[str, Any]] | None = None
        self._evaluated = Evaluated()
        self._logged_in_training = 0
        self._steps = Steps()
        self._changes: Changes = _module("training.changed_settings").Changes()

    def seen(self, args: Any, state: Any, objects: Mapping[str, Any]) -> Observed:
        """Return what an event shows, with our settings."""
        return observe(self.settings, args, state, **objects)

    def hold(self, trainer: Any, model: Any, callback: Any) -> None:
        """Keep the last word over the cards that *trainer* (None: it was not found) and *model* write."""
        if self.settings.last_word and (trainer is None or trainer.is_world_process_zero()):
            self._part(
                "_hold",
                lambda _: self.keeper.hold(trainer, model, callback),
                Budget(EVENT_S, LEAST_S),
            )

    # -- the events --------------------------------------------------------------------------------

    def prepared(self, seen: Observed) -> None:
        """A trainer exists: start the meter's child early, and count parameters before anything shards them."""
        completion.take_up()
        budget = Budget(EVENT_S, LEAST_S)
        self._check_labels(seen, budget)
        count = "model.parameters_total"
        self._part(
            count,
            lambda _: _module("model.model").count(
                seen.model, is_trl=seen.trainer.method() is not None
            ),
            budget,
            self._keep_count,
        )
        self._fresh = self._part(
            "_fresh", lambda _: _module("model.initial_weights").is_fresh(seen.model), budget
        )
        self._part("_withheld", lambda _: self._withhold(seen), budget)
        self._meet(seen, budget)
        self._start_meter(seen, budget)

    def begin(self, seen: Observed) -> None:
        """Training begins: read clock and counters, then look at everything once."""
        opened = StartedLeg(seen.progress.step, utc_now(), time.monotonic())
        self._train_call = seen.trainer.training_call()
        mark = self._part(
            "_mark", lambda _: self._mark(seen, opened.at_s), Budget(EVENT_S, LEAST_S)
        )
        self.take_late()
        if self.running and seen.arguments.get("auto_find_batch_size", False):
            # The same training with smaller batches: its window began with the attempt that ran out
            # of memory.
            self._attempts += 1
            self._attempt_after_s = opened.at_s - self.book.open.at_s
            self._look(replace(seen, start=self._start), Budget(BEGIN_S, LEAST_S))
            return
        broken_off, budget = self.running, Budget(BEGIN_S, LEAST_S)
        self._check_labels(seen, budget)
        if broken_off:
            self._part(
                "_broken off", lambda _: self.book.broken_off(self.book.open.reached), budget
            )
            self._note_trial(self.left_trial())
        self._part("_search", partial(self._know_search, seen), budget)
        self.running, self.ended, self._attempts, self._since_s = True, False, 1, time.time()
        self._operations = None
        self._attempt_after_s = 0.0
        self.predictions, self.eval_sets = {}, {}  # what was evaluated before was of other weights
        if not self.crew.met:
            self._meet(seen, budget)
        if self.meter is None:
            self._start_meter(seen, budget)
        self.book.begin(opened)
        if self.crew.writes(seen) and self.crew.team.opens:
            # one process of a run goes on with its legs, or they would be counted by each
            self._go_on(seen, budget)
        start = self._part("_weights before", lambda _: self._know_weights(seen), budget)
        leg_id = self._ask("_leg", lambda _: self.crew.open(), EVENT_S)
        self._share_out(seen, budget)
        meter, max_steps = self.meter, seen.progress.max_steps
        if meter is not None and self.crew.measures:
            meter.run_id = self.book.run_id
            begin = lambda _: meter.begin(  # noqa: E731
                opened.step, max_steps, anew=broken_off, leg_id=leg_id, mark=mark
            )
            self._part(LEG, begin, budget)
            self.book.boards = meter.board_ids
        opened.id = (None if meter is None else meter.leg_id) or leg_id or uuid.uuid4().hex[:12]
        self._part("_withheld", lambda _: self._withhold(seen), budget)
        self._start = start or Start()
        self._look(replace(seen, start=self._start), budget)
        self._part("_base", lambda _: _module("model.base_weights").remember(seen.model), budget)
        self._under = self._part(
            "_under", lambda _: _module("model.base_weights").UnderAdapters(seen.model), budget
        )
        if self.settings.last_word and not self.keeper.holds and self.crew.writes(seen):
            log_warning(
                "autocard: the trainer was not found, so a card that it writes after training stands as it writes it. "
                "Name the trainer: autocard.attach(trainer). Or repair the card later: autocard fill README.md"
            )
        # without the model, which is not ours to keep alive
        self._shown = seen.without_objects()
        self._part("_card before", lambda _: self.keeper.look(seen.output_dir), budget)

    def stepping(self, args: Any, state: Any, objects: Mapping[str, Any]) -> None:
        """Look at what the optimizer step uses that comes next, and at which parameters it changes."""
        if not self.running:
            return
        done, optimizer = int(state.global_step), objects.get("optimizer")
        self.rates.look(done, optimizer)
        self._changes.look(done, Arguments(args), optimizer, objects.get("lr_scheduler"))
        self._steps.look(optimizer, is_last=done + 1 >= int(state.max_steps))

    def stepped(self, state: Any, optimizer: Any = None, model: Any = None) -> None:
        """Note that a step is done: some stores into memory, at each step."""
        step = state.global_step
        self.book.open.reached = step
        self.rates.look(step, optimizer)
        if self.meter is not None:
            self.meter.reached(step)
        if step >= state.max_steps and self.running:
            self._part(
                "_weights of the last step",
                lambda _: self._evaluated.last_step(model),
                Budget(EVENT_S),
            )

    def progress(self, seen: Observed) -> None:
        """Tell the meter how far training is; the callback calls this once a second."""
        self._notice_break(seen)
        self._part("_progress", lambda _: self._tell(seen), Budget(EVENT_S, LEAST_S))

    def saving(self, seen: Observed) -> None:
        """A checkpoint is about to be written: what is known of the run travels in it."""
        self._part("_progress", lambda _: self._tell(seen, saving=True), Budget(EVENT_S, LEAST_S))

    def saved(self, seen: Observed) -> None:
        """A checkpoint was written: what comes after it is repeated if training is killed."""
        self.take_late()
        self._part("_progress", lambda _: self._tell(seen, saved=True), Budget(EVENT_S, LEAST_S))

    def push_begun(self, seen: Observed) -> None:
        """An upload begins; `push_to_hub` still writes a card before its own, and the keeper stands around that."""
        self.take_late(PUSH_S if self.ended else 0.0)
        self.complete()
        if self.settings.last_word and self.crew.writes(seen) and not seen.trainer.is_pushing():
            folder = seen.output_dir
            self._part("_push", lambda _: self.keeper.push_begun(folder), Budget(END_S, LEAST_S))
            self.keeper.keep_unmerged()

    def evaluated(self, seen: Observed, metrics: Mapping[str, Any]) -> None:
        """An evaluation ended: note its data; after training, its figures belong into the card too."""
        self._notice_break(seen)
        budget = Budget(EVENT_S, LEAST_S)
        of_others = self._part(
            "_weights evaluated", lambda _: self._evaluated.look(seen, metrics), budget
        )
        if not of_others:
            self._part("data.eval", lambda _: self._eval_set(seen, metrics), budget)
        if self.running and not self.ended:
            self.book.open.last_s = time.monotonic()
            self._logged_in_training = len(seen.progress.log)
        if self.ended:
            self._apart(seen, metrics, budget)
            self._finish_again(seen)

    def predicted(self, seen: Observed, metrics: Mapping[str, Any]) -> None:
        """A prediction ended; its figures are not in the trainer's log. One before the end is of other weights."""
        self._notice_break(seen)
        if not self.ended:
            return
        budget = Budget(EVENT_S, LEAST_S)
        if not self._part(
            "_weights evaluated", lambda _: self._evaluated.look_at_prediction(seen), budget
        ):
            self._part(
                "data.predict",
                lambda _: self._eval_set(seen, metrics, "predict"),
                budget,
            )
            self.predictions |= {
                key: value for key, value in metrics.items() if isinstance(value, int | float)
            }
        self._apart(seen, metrics, budget)
        self._finish_again(seen)

    def end(self, seen: Observed) -> None:
        """Training ends: stop clock and counters, then write the record and the card."""
        if not self.running:
            return
        at_s, step = time.monotonic(), seen.progress.step
        clock = self.book.open.as_leg(
            step, "finished" if step >= seen.progress.max_steps else "stopped", at_s
        )
        self.running, self.ended = False, True
        self._clock_was_set, self._ended_s = self.wall_clock.was_set(self.book.open.at_s), at_s
        budget = Budget(END_S, LEAST_S)
        meter = self.meter
        if meter is not None:
            self._part("_stop", lambda _: meter.stop(at_s), budget)
        self._ask("_late", lambda _: self._name_late(), LEAST_S)
        measured, why = self._measured(seen, step, budget)
        self.book.end(clock, measured, why)
        if self._trials is not None:
            self._note_trial(self._trial(at_s, finished=True))
        if self._attempts > 1:
            self.book.repeated_unknown(
                f"training began {self._attempts} times, with smaller batches each time; what was lost is not known"
            )
        self._look_again(self._with_trainer(seen, budget), budget)
        self._part("_weights trained", lambda _: self._know_trained_weights(seen), budget)
        folder = seen.output_dir
        completion.note_late()  # a leg before this one may have its figures by now
        if self.crew.writes(seen):
            self._part("_earlier", lambda _: self.book.look_again(folder), budget)
        if self.crew.measures:
            self._part("_ledger", lambda _: self.book.keep(folder), budget)
        self._part("_weights", lambda _: self.keeper.note_weights(seen.model), budget)
        self._ask("_tell", lambda _: self.crew.tell(seen, self.parts.get("hardware")), EVENT_S)
        with self._turn(budget):
            self._ask("_hear", lambda _: self.crew.hear(seen), HEAR_S)
            self._finish(seen, budget)
        if self.incomplete:
            completion.add(self.without_trainer())

    # -- trials of a search ------------------------------------------------------------------------

    def _know_search(self, seen: Observed, _: dict[str, str]) -> None:
        """Find out whether this training is a trial of a search, or follows one."""
        folder = seen.output_dir
        self._trials, self._searches = None, []
        if seen.trainer.is_trial():
            self._trials = search.of(self, folder, seen.trainer)
        else:
            self._searches = search.related(self, folder, seen.trainer)

    def _trial(self, at_s: float, *, finished: bool) -> search.Trial:
        """Return the open leg, up to *at_s* (monotonic seconds), as a trial."""
        opened, seen = self.book.open, self._shown
        folder = Path() if seen is None else seen.output_dir
        return search.Trial(opened.id, self.book, folder, max(at_s - opened.at_s, 0.0), finished)

    def left_trial(self) -> search.Trial | None:
        """Return the open leg, up to its last sign of life, if it is a trial: one that was pruned or that failed."""
        if self._trials is None or not self.running:
            return None
        return self._trial(self.book.open.last_s, finished=False)

    def _note_trial(self, trial: search.Trial | None) -> None:
        if trial is not None and self._trials is not None:
            self._trials.done.append(trial)

    # -- what is measured late ---------------------------------------------------------------------

    @property
    def incomplete(self) -> bool:
        """Whether figures of a leg that has ended are still to come."""
        own = self.meter is not None and self.meter.unfinished
        return self._news or self.book.waits or own or bool(self.book.awaited)

    def without_trainer(self) -> Session:
        """Return a session with the same facts that keeps no trainer and no model alive."""
        twin = copy.copy(self)
        twin.keeper = self.keeper.detached(twin)
        return twin

    def complete(self) -> bool:
        """Write the card again if figures of its run have come since training ended; return whether it was written."""
        self.take_late()
        seen, news = self._shown, self._news
        self._news = False
        if seen is None or not news or not self.ended or not self.crew.writes(seen):
            return False
        budget = Budget(EVENT_S, LEAST_S)
        if seen.trainer.is_trial() or not self._part(
            "_newest", lambda _: self._is_newest(seen), budget
        ):
            return False
        self._part("_earlier", lambda _: self.book.look_again(seen.output_dir), budget)
        self._note_saved(seen, budget)
        with self._turn(budget):
            self._write_record(seen, budget)
        return True

    def _is_newest(self, seen: Observed) -> bool:
        """Return whether the record beside the card is still the one of the leg that ended here."""
        from autocard import record as records  # noqa: PLC0415
        from autocard.errors import RecordError  # noqa: PLC0415

        card = Path(self.settings.card or seen.output_dir / "README.md")
        try:
            legs = records.load(card.parent / records.RECORD_NAME).legs
        except RecordError:
            return True  # it could not be written before
        return not legs or legs[-1].id == self.book.open.id

    def hear_of(self, leg_id: str) -> None:
        """Note that another session's leg has its figures now, if this run's card tells of it: a trial, or a leg."""
        told = [trial.leg_id for search in self._searches for trial in search.done]
        self._news = self._news or leg_id in told or self.book.holds(leg_id)

    def take_late(self, wait_s: float = 0.0, *, last: bool = False) -> None:
        """Note the figures that have come since a leg ended.

        Args:
            wait_s: seconds to wait for them.
            last: what is not known by then will not be known, and gets its reason.
        """
        until_s = time.monotonic() + wait_s
        self._take_own_late(wait_s, last=last)
        if self.book.awaited:
            left_s = max(until_s - time.monotonic(), 0.0)
            budget = Budget(left_s + EVENT_S, LEAST_S)
            news = self._part(
                "_late figures of others",
                lambda _: self._take_late_of_others(left_s, last=last),
                budget,
            )
            self._news = self._news or bool(news)

    def _take_late_of_others(self, wait_s: float, *, last: bool) -> bool:
        """Return whether figures of other processes have come, which those write into the ledger."""
        until_s = time.monotonic() + wait_s
        news = self.book.look_for_awaited()
        while self.book.awaited_here and time.monotonic() < until_s:
            time.sleep(OTHERS_S)
            news = self.book.look_for_awaited() or news
        return (last and self.book.give_up_awaited()) or news

    def _take_own_late(self, wait_s: float, *, last: bool) -> None:
        """Note the figures of this process that have come since a leg ended."""
        meter, seen = self.meter, self._shown
        if meter is None or seen is None or not meter.unfinished:
            return
        budget = Budget(wait_s + EVENT_S, LEAST_S)
        found = self._part("_late figures", lambda _: meter.late(wait_s, last=last), budget) or []
        for measured in found:
            leg_id = measured.leg.id
            entry = self.book.completed(measured)
            if entry is None:
                continue
            self._news = self._news or self.book.holds(leg_id)
            self.hear_of(leg_id)
            completion.tell_of(leg_id)
            self._part(
                "_ledger",
                lambda _, one=entry: self.book.keep(seen.output_dir, one),  # type: ignore[misc]
                budget,
            )

    def cut_off(self) -> None:
        """Record what there is of a training that has raised."""
        seen = self._shown
        if seen is None or not self.running or self.ended:
            return
        self.ended = True
        step, budget = seen.progress.step, Budget(END_S, LEAST_S)
        self._part("_cut off", lambda _: self.book.cut_off(step), budget)
        self._finish(seen, budget)

    def _raised(self) -> bool:
        """Return whether `train` has raised: there is no event for that. False where its call was not seen."""
        call = self._train_call
        return self.running and not self.ended and call is not None and not call.running

    def _notice_break(self, seen: Observed) -> None:
        """Close the open leg if `train` has raised: an event of an evaluation afterwards is the first sign of it."""
        if self._raised():
            self.cut_off()

    # -- the pieces --------------------------------------------------------------------------------

    def _part(
        self,
        path: str,
        work: Callable[[dict[str, str]], T],
        budget: Budget,
        keep: Callable[[T], None] | None = None,
    ) -> T | None:
        """Do one piece of work under the guard and return its result, of a `Part` the value.

        Its gaps replace those of its last time. *path* is the part of the record that is missing if
        it fails; a path that begins with "_" is no part, and its failure is only logged.
        """
        own: dict[str, str] = {}  # its own: an abandoned piece may go on writing into it
        failed: dict[str, str] = {}
        result: Any = guarded(path, failed, lambda: work(own), budget)
        gaps: Gaps = {"": failed[path]} if failed else own
        if isinstance(result, Part):
            gaps, result = result.gaps, result.value
        if not path.startswith("_"):
            self.gaps[path] = gaps
        if not failed and keep is not None:
            keep(result)
        return result  # type: ignore[no-any-return]

    def _ask(self, path: str, work: Callable[[dict[str, str]], T], most_s: float) -> T | None:
        """Do a piece of work that waits for other processes: in a time of its own, which our own work keeps."""
        result = self._part(path, work, Budget(most_s, LEAST_S))
        self.crew.team.let_go()
        return result

    def _capture(self, module: str, seen: Observed, _: dict[str, str]) -> Part[Any]:
        return part_of(AT_BEGIN[module], _module(module).capture, seen)

    def _keep_count(self, counted: tuple[int | None, int | None]) -> None:
        self.counted = counted

    def _check_labels(self, seen: Observed, budget: Budget) -> None:
        """Report a mistake in the labels file beside the card before training: the folder is known only now."""
        if self._labels_checked or not self.crew.writes(seen):
            return
        self._labels_checked = True
        card = Path(self.settings.card or seen.output_dir / "README.md")
        self._part("_labels", lambda _: self._try_labels(card), budget)

    def _try_labels(self, card: Path) -> None:
        from autocard.card.fill.new_card import label_files  # noqa: PLC0415
        from autocard.card.form.label_files import load  # noqa: PLC0415

        try:
            load(label_files(self.settings.template, card))
        except SettingsError as exc:
            log_warning("autocard: %s The card is left as it is until this is put right.", exc)

    def _meet(self, seen: Observed, budget: Budget) -> None:
        """Find the training's other processes; one that cannot be asked in time is as good as none."""
        if self._ask("_team", lambda _: self.crew.arrive(seen) or True, EVENT_S) is None:  # type: ignore[func-returns-value]
            self.crew.give_up(seen)

    def _mark(self, seen: Observed, at_s: float) -> Any:
        """Read the counters of host and of all GPUs in sight: to find out which of these are ours takes a moment."""
        if not self.settings.emissions:
            return None
        from autocard.energy import counter_mark  # noqa: PLC0415

        return counter_mark.read_all(
            at_s,
            boards=_module("environment.hardware").own_accelerators(seen).uses_gpu,
        )

    def _share_out(self, seen: Observed, budget: Budget) -> None:
        """Find out what this process measures in the leg that begins, and tell its meter."""
        nodes = self._part(
            "_nodes",
            lambda _: _module("environment.launcher").nodes(os.environ, self.crew.team.tasks),
            budget,
        )
        self._ask("_watch", lambda _: self.crew.share_out(nodes), EVENT_S)
        watch, role = self.crew.watch, self.book.role or ProcessRole()
        if watch.part and self.settings.emissions and self.meter is None:
            start = lambda _: self._meter(seen, whole=False)  # noqa: E731
            self.meter = self._part(LEG, start, budget)
        meter = self.meter
        if meter is not None:
            self._part(
                "_use", lambda _: meter.use(watch.boards, watch.share, role, watch.reason), budget
            )

    def _start_meter(self, seen: Observed, budget: Budget) -> None:
        self._part(
            "_job", lambda _: self.book.know_job(_module("environment.launcher").identity()), budget
        )
        if not self.settings.emissions:
            return

        def start(_: dict[str, str]) -> Meter:
            if not self.crew.team.leads:
                msg = "another process of this host measures"
                raise UnavailableError(msg)
            return self._meter(seen, whole=True)

        self.meter = self._part(LEG, start, budget)

    def _meter(self, seen: Observed, *, whole: bool) -> Meter:
        """Return a meter whose child process has been started; *whole*: of CPU and memory too, not of GPUs alone."""
        from autocard.energy.meter import Meter  # noqa: PLC0415

        used = _module("environment.hardware").accelerators(seen)
        meter = Meter(
            self.settings,
            uses_gpu=used.uses_gpu,
            folder=seen.output_dir,
            run_id=self.book.run_id,
            device_type=used.device_type,
            ordinals=used.ordinals,
            job_id=self.book.job_id,
            start_s=self._made_s,
            whole=whole,
            geolocate=self.settings.geolocate
            and whole
            and self.crew.team.first_to("look the place up"),
        )
        meter.start()
        return meter

    def _look(self, seen: Observed, budget: Budget) -> None:
        """Run every capture of the start."""
        seen = self._with_trainer(seen, budget)
        self._carried_flops = seen.trainer.earlier_flops()
        self.rates = _module("training.schedule").LearningRates(
            seen.progress.step, seen.progress.max_steps
        )
        self._part(
            "_learning rate",
            lambda _: self.rates.look(seen.progress.step, seen.optimizer),
            budget,
        )
        self._renamed = (
            self._part("_renamed", lambda _: seen.trainer.renamed_figures(), budget) or {}
        )
        for module, key in AT_BEGIN.items():
            self.parts.pop(key, None)
            self._part(key, partial(self._capture, module, seen), budget, self._keeper(key))
        self._part("_batch", lambda _: self._know_batch(seen), budget)
        self._evaluated, self._steps, self._changes = (
            Evaluated(),
            Steps(),
            _module("training.changed_settings").Changes(),
        )
        self._part("_weights to train", lambda _: self._evaluated.begun(seen.model), budget)

    def _know_batch(self, seen: Observed) -> None:
        """Note what the optimizer steps of this leg consume, and its settings, for the legs that go on with it.

        Batches of no fixed size are a gap of `training`.
        """
        training = self.parts.get("training")
        if training is not None:
            self.book.trains_with(training.hyperparameters)
        with contextlib.suppress(UnavailableError):
            self.book.consumes(_module("training.consumed_samples").plan(seen).leaves())

    def _with_trainer(self, seen: Observed, budget: Budget) -> Observed:
        """Return *seen* with the trainer."""
        own_loss = self._part("_own loss", lambda _: seen.trainer.own_loss(), budget)
        if seen.trainer.found:
            self._own_loss = own_loss
        return replace(seen, own_loss=own_loss)

    def _look_again(self, seen: Observed, budget: Budget) -> None:
        """Complete what only the steps have shown: the loss that the first batch chose, the learning rates."""
        begun = self.parts.get("training")
        if begun is not None:

            def again(_: dict[str, str]) -> Part[Any]:
                shown = self._shown_by_steps(seen)
                return part_of("training", _module("training.training").at_end, begun, seen, shown)

            before = self.gaps.get("training", {})
            self._part("training", again, budget, self._keeper("training"))
            self.gaps["training"] = {**before, **self.gaps["training"]}
        self._part("_trained", lambda _: self._know_trained(seen), budget)
        self.stop_reason = (
            self._part(
                "_stopped",
                lambda _: seen.trainer.stop_reason(),
                budget,
            )
            or ""
        )

    def _shown_by_steps(self, seen: Observed) -> Any:
        """Return what the steps have shown of the settings."""
        rates = self.rates.until(seen.progress.step)
        rates_changed = self._changes.changed("learning rate")
        batches_changed = self._changes.changed("gradient_accumulation_steps")
        return _module("training.training").Shown(
            rates, self._changes.in_words(), rates_changed, batches_changed
        )

    def _know_trained(self, seen: Observed) -> None:
        """Note which parameters the steps have changed, whatever asked for gradients at the start."""
        begun, changed = self.parts.get("model"), self._steps.changed(seen.model)
        if begun is None or changed is None:
            return
        self.parts["model"] = _module("model.model").as_trained(begun, seen.model, changed)
        total = begun.parameters_total if self.counted is None else self.counted[0]
        self.counted = total, changed.parameters

    def _know_trained_weights(self, seen: Observed) -> None:
        self._evaluated.trained(
            seen.model, loads_best=bool(seen.arguments.get("load_best_model_at_end", False))
        )

    def _keeper(self, key: str) -> Callable[[Any], None]:
        def keep(part: Any) -> None:
            self.parts[key] = part

        return keep

    def _eval_set(
        self,
        seen: Observed,
        metrics: Mapping[str, Any],
        used_by: str = "evaluate",
    ) -> None:
        data = _module("data.data")
        found = data.evaluation_set(seen, metrics, used_by)
        if found is not None:
            self.eval_sets[used_by, data.prefix(metrics)] = found
            self.eval_sets = data.with_unique_names(
                self.eval_sets, self._evaluated.of_others.without(seen.progress.log)
            )

    def _go_on(self, seen: Observed, budget: Budget) -> None:
        """Find out which run this training goes on with; where that is another than before, forget the one before."""
        folder, state, book = seen.output_dir, seen.trainer.checkpoint_state(), self.book
        came_from = seen.trainer.resumed_from()
        if self._part(
            "_past", lambda _: book.find(folder, state, book.open.step, came_from), budget
        ):
            kept = {LEG: self.gaps.get(LEG, {})}
            self._reset()
            self.running, self._since_s, self.gaps = True, time.time(), kept
        told = lambda _: {key: book.travelled(state, key) for key in ("earlier", "fresh")}  # noqa: E731
        self._told = self._part("_told", told, budget) or {}
        self._part(
            "_batches", lambda _: book.know_batches(book.travelled(state, "batches")), budget
        )
        self._part(
            "_settings", lambda _: book.know_settings(book.travelled(state, "settings")), budget
        )
        if state is not None:
            self._part("_travel", lambda _: book.pack(state), budget)

    def _know_weights(self, seen: Observed) -> Start:
        """Find out what has trained the weights before, in this process; note that this run does now."""
        if seen.model is None:
            return Start()
        earlier, opened, resumed = (
            _module("model.prior_training"),
            self.book.open,
            self.book.open.step > 0,
        )
        # After a resume they are those of the checkpoint, which says what had trained them before.
        self._earlier = (
            earlier.unpacked(self._told.get("earlier")) if resumed else earlier.find(seen.model)
        )
        self.book.take_along("earlier", earlier.packed(self._earlier))
        if resumed:
            is_fresh = self._told.get("fresh") is True
        elif self._earlier is not None:
            is_fresh = self._earlier.fresh
        else:
            is_fresh = self._is_fresh(seen)
        self.book.take_along("fresh", is_fresh)
        earlier.note(
            seen.model, earlier.PriorTraining(self.book.run_id, opened, self._earlier, is_fresh)
        )
        return Start(is_fresh, resumed, trained_before=self._earlier is not None)

    def _is_fresh(self, seen: Observed) -> bool:
        """Return whether the weights are freshly initialized; of several processes, before they met."""
        if self._fresh is not None and not self.crew.alone:
            return self._fresh
        return _module("model.initial_weights").is_fresh(seen.model) is True

    def _withhold(self, seen: Observed) -> None:
        """Find the names that no card may show: local paths that the model was loaded from."""
        names = _module("model.base_model").withheld(
            seen.model, self.settings.base_model, seen.processing_class
        )
        self.keeper.withhold(names)

    def _tell(self, seen: Observed, **what: bool) -> None:
        """Tell the meter where training is, and the trainer's state what the meter knows."""
        meter, step = self.meter, seen.progress.step
        self.wall_clock.look()
        self._name_late()
        if meter is not None:
            meter.progress(step, **what)
        if self.running and not self.ended:
            self.book.so_far(
                step, None if meter is None else meter.so_far, saving=what.get("saving", False)
            )

    def _name_late(self) -> None:
        """Call the leg what the others call it, where that was not known when it began."""
        named, meter = self.crew.named_late(), self.meter
        if named is None:
            return
        self.book.run_id, self.book.open.id = named
        if meter is not None:
            meter.rename(*named)

    def _measured(
        self, seen: Observed, step: int, budget: Budget
    ) -> tuple[LedgerEntry | None, str]:
        """Return the meter's entry of the leg; None, with the reason, where it has none."""
        meter, max_steps = self.meter, seen.progress.max_steps
        if meter is not None:
            entries = self._part(LEG, lambda _: meter.end(step, max_steps), budget)
            if entries:
                self.gaps.pop(LEG)
                return entries[-1], ""
        off = "measuring was turned off (emissions=False)"
        why = self.gaps.pop(LEG, {}).get("") or ("not measured" if self.settings.emissions else off)
        return None, why

    def _apart(self, seen: Observed, metrics: Mapping[str, Any], budget: Budget) -> None:
        """Measure an evaluation after training, which ends now and says how long it took."""
        meter, now_s = self.meter, time.monotonic()
        self.take_late()
        if not self.book.own:
            return
        took_s = next(
            (float(value) for key, value in metrics.items() if key.endswith("_runtime")), None
        )
        since_s = now_s - self._ended_s
        if took_s is not None and (
            not 0 <= took_s <= since_s or self.wall_clock.was_set(self._ended_s)
        ):
            took_s = None  # the machine's clock was set
        measures, joules = meter is not None and bool(self.book.own[-1].leg.hosts), None
        if meter is not None and measures and took_s is not None:
            joules = self._part("_evaluation", lambda _: meter.after(now_s - took_s, now_s), budget)
        others = self._ask("_evaluations", lambda _: self.crew.evaluated(seen, joules), ASK_S)
        if measures:
            self.book.evaluated(joules)
        self.book.evaluated_elsewhere(others or {})
        if measures and self.crew.measures:
            self._part("_ledger", lambda _: self.book.keep(seen.output_dir), budget)

    @contextlib.contextmanager
    def _turn(self, budget: Budget) -> Iterator[None]:
        """Hear the others and write the card while nobody else does."""
        release = self._part("_turn", lambda _: self.crew.team.take_turn(), budget)
        try:
            yield
        finally:
            if release is not None:
                release()

    def _finish_again(self, seen: Observed) -> None:
        budget = Budget(END_S, LEAST_S)
        with self._turn(budget):
            self._ask("_again", lambda _: self.crew.again(seen, self.parts.get("hardware")), ASK_S)
            self._finish(seen, budget)

    def _finish(self, seen: Observed, budget: Budget) -> None:
        """Put together what is known and write it, on the one process that writes."""
        self._shown = seen.without_objects()
        self._part(
            "evaluation",
            lambda _: self._evaluation(seen),
            budget,
            self._keeper("evaluation"),
        )
        self._part("time", lambda _: self._times(seen), budget, self._keeper("times"))
        self._part(
            "hardware.peak_memory_bytes",
            lambda _: part_of(
                "hardware.peak_memory_bytes", _module("environment.hardware").peaks, seen
            ),
            budget,
            self._keeper("peaks"),
        )
        self._note_saved(seen, budget)
        hardware = dict(self.gaps.get("hardware", {}))
        every = self._part(
            "_all nodes", lambda _: self.crew.of_all(seen, self.parts, hardware), budget
        )
        self.gaps["hardware"] = hardware
        self.parts.update(every or {})
        if not self.crew.writes(seen) or seen.trainer.is_trial():
            return
        if self.settings.plots:
            self._part("pictures", lambda _: self._draw(seen), budget, self._keeper("pictures"))
        self._write_record(seen, budget)

    def _write_record(self, seen: Observed, budget: Budget) -> None:
        self._news = False
        record = self._part("_record", lambda _: self.record(seen), budget)
        if record is not None and not self._part(
            "_card", lambda _: self._write(seen, record), budget
        ):
            self._part("_kept", lambda _: self._keep_elsewhere(record), budget)

    def _note_saved(self, seen: Observed, budget: Budget) -> None:
        folder, names = (
            str(seen.output_dir),
            [adapter.name for adapter in self.parts.get("adapters") or ()],
        )
        saved_bytes = lambda _: _module("model.artifacts").saved_bytes(folder, self._since_s, names)  # noqa: E731
        self._part("model.saved_bytes", saved_bytes, budget, self._keeper("saved"))
        saved_dtype = lambda _: _module("model.artifacts").saved_dtype(folder, self._since_s, names)  # noqa: E731
        self._part("model.saved_dtype", saved_dtype, budget, self._keeper("dtype"))
        saved_files = lambda _: _module("model.artifacts").saved_files(folder, self._since_s, names)  # noqa: E731
        self._part("model.saved_files", saved_files, budget, self._keeper("files"))
        newest = lambda _: _module("model.artifacts").checkpoint_bytes(folder, self._since_s)  # noqa: E731
        self._part("model.checkpoint_bytes", newest, budget, self._keeper("checkpoint"))
        has_state = lambda _: _module("model.artifacts").checkpoint_has_optimizer(  # noqa: E731
            folder, self._since_s
        )
        self._part(
            "model.checkpoint_has_optimizer", has_state, budget, self._keeper("checkpoint state")
        )
        self._part("_bare", lambda _: self._leave_out_bare_base(), budget)

    def _leave_out_bare_base(self) -> None:
        """Do not take the base for the trained model where it was saved after its adapters had been taken off."""
        from autocard.runtime.saved_weights import is_whole  # noqa: PLC0415 - with pydantic

        if (
            self._under is None
            or not is_whole(self.parts.get("files") or ())
            or not self._under.bare()
        ):
            return
        self.parts.update(saved=None, files=())
        why = "the weights in the output folder are those of the base, without the adapter that was trained"
        self.gaps["model.saved_bytes"] = {"": why}

    def _evaluation(self, seen: Observed) -> Part[Any]:
        told = {
            "predictions": self.predictions,
            "renamed": self._renamed,
            "of_others": self._evaluated.of_others,
        }
        part = part_of("evaluation", _module("evaluation.evaluation").capture, seen, **told)
        if not self._clock_was_set:
            return part
        history = _module("training.throughput").without_times(part.value.history)
        return replace(part, value=part.value.model_copy(update={"history": history}))

    def _times(self, seen: Observed) -> Part[dict[str, Any]]:
        speed = _module("training.throughput")
        leg_s = self.book.own[-1].leg.wall_clock_s if self.book.own else None
        if leg_s is not None:
            leg_s -= self._attempt_after_s  # the Trainer times the last attempt alone
        own = speed.OwnSpeed(leg_s, self._clock_was_set)
        # also where the trainer is not found any more
        seen = replace(seen, own_loss=self._own_loss)
        part = part_of(
            "time",
            speed.time_parts,
            seen,
            step_begin=self.book.open.step,
            own=own,
            carried_flops=self._carried_flops,
            # A leg that was broken off has no summary in the log, behind which evaluations are not
            # of the training.
            logged_in_training=self._logged_in_training if self.running else None,
        )
        # Those of the model as it was trained: an adapter may have been merged or taken off since.
        if self._operations is None and seen.model is not None:
            self._operations = speed.operations_of(part)
        return part if self._operations is None else speed.with_operations(part, self._operations)

    def record(self, seen: Observed) -> RunRecord:
        """Return the record of all that is known now."""
        from autocard.record import Run  # noqa: PLC0415
        from autocard.runtime.assemble import RecordDraft, build_record  # noqa: PLC0415 - with pydantic

        parts = self.book.legs()
        legs = [part.value for part in parts]
        earlier = self.book.why_earlier_missing(legs)
        self.gaps["legs"] = {"earlier": earlier} if earlier else {}
        first, last = legs[0], legs[-1]
        count = lambda _: self._epochs(seen, legs)  # noqa: E731
        epochs: Any = self._part("run.epochs", count, Budget(LEAST_S))
        run = Run(
            id=self.book.run_id,
            started_at=first.started_at,
            ended_at=last.ended_at,
            status=last.status,
            global_step=seen.progress.step,
            max_steps=seen.progress.max_steps,
            epochs=epochs,
            stop_reason=self.stop_reason if last.status == "stopped" else "",
            **self._before(),
        )
        loaded = lambda _: self._of_these_weights()  # noqa: E731
        evaluation = self._part("evaluation.best.loaded", loaded, Budget(EVENT_S))
        return build_record(
            RecordDraft(
                settings=self.settings,
                run=run,
                legs=parts,
                parts={
                    **self.parts,
                    **({"evaluation": evaluation} if evaluation is not None else {}),
                },
                gaps=self.gaps,
                eval_sets=[_module("data.data").as_part(one) for one in self.eval_sets.values()],
                counted=self.counted,
                saved_bytes=self.parts.get("saved"),
                saved_dtype=self.parts.get("dtype"),
                saved_files=self.parts.get("files") or (),
                checkpoint_bytes=self.parts.get("checkpoint"),
                checkpoint_has_optimizer=self.parts.get("checkpoint state"),
                pictures=self.parts.get("pictures") or {},
                peaks=self.parts.get("peaks"),
                search=self._search_part(),
                times=self.parts.get("times", {}),
            )
        )

    def _of_these_weights(self) -> Evaluation | Part[Evaluation] | None:
        """Return the evaluation; do not say of which step the model's weights are if they were changed since."""
        found: Evaluation | None = self.parts.get("evaluation")
        if (
            found is None
            or found.best is None
            or found.best.loaded is None
            or not self._evaluated.changed_since()
        ):
            return found
        why = "the weights were changed after the last step or the best one was loaded"
        best = found.best.model_copy(update={"loaded": None})
        return Part(found.model_copy(update={"best": best}), {"": why})

    def _search_part(self) -> Search:
        part = search.part(self._searches)
        self.gaps["search"] = part.gaps
        return part.value

    def _epochs(self, seen: Observed, legs: list[Leg]) -> float | Part[None] | None:
        """Return the epochs done; None, with the reason, where the Trainer's count is not what the weights have seen.

        The Trainer divides all steps by those of an epoch with the present batch size.
        """
        from autocard.totals import batches  # noqa: PLC0415 - with pydantic

        data = self.parts.get("data")
        if data is not None and data.train and data.train[0].rows is None:
            reason = "the data set has no length, so there are no epochs to count"
        elif _module("training.consumed_samples").resumed_with_other_batches(
            seen
        ) or batches.differ(legs):
            counted = batches.epochs(legs)
            if counted is not None:
                return counted
            reason = "training was resumed with another batch size, and what the steps before consumed is not known"
        else:
            return seen.progress.epoch
        return Part(None, {"": reason})

    def _before(self) -> dict[str, Any]:
        """Return the leaves of `Run` that tell of weights which were trained before."""
        earlier = self._earlier
        return (
            {}
            if earlier is None
            else {"earlier_run": earlier.run_id, "earlier_steps": earlier.steps}
        )

    def record_now(self, saved_to: Path | None = None) -> RecordNow:
        """Return the record as it stands now, as the card guard asks for it."""
        seen = self._shown
        if seen is not None:
            pushes = self.ended and seen.trainer.is_pushing()
            self.take_late(PUSH_S if pushes else 0.0)
        if self._raised():
            self.cut_off()
        ended = self.ended
        record = self._part("_record now", lambda _: self._known(saved_to), Budget(END_S, LEAST_S))
        return RecordNow(record, ended and record is not None)

    def _known(self, saved_to: Path | None) -> RunRecord | None:
        from autocard.runtime.saved_weights import with_saved_weights  # noqa: PLC0415

        seen = self._shown
        if seen is None or seen.trainer.is_trial():
            return None
        if not self.ended:
            return self._so_far(seen)
        self._news = False  # the card guard writes what is returned here
        self._note_saved(seen, Budget(EVENT_S, LEAST_S))
        record = self.record(seen)
        return record if saved_to is None else with_saved_weights(record, saved_to, elsewhere=True)

    def _so_far(self, seen: Observed) -> RunRecord:
        """Return the record of a run that is under way: what it is, not yet what it took."""
        from autocard.record import Run  # noqa: PLC0415
        from autocard.runtime.assemble import RecordDraft, build_record  # noqa: PLC0415

        step, planned = seen.progress.step, seen.progress.max_steps
        later = ("legs", "time", "energy", "emissions", "evaluation", "data.eval")
        of_run = ("run.ended_at", "run.status", "run.epochs")
        why = f"not known yet: training was at step {step} of {planned} when this was written"
        so_far = dict.fromkeys((*later, *of_run), why)
        known = {"global_step": step, "max_steps": planned, **self._before()}
        run = Run(id=self.book.run_id, started_at=self.book.open.at, **known)
        return build_record(
            RecordDraft(
                settings=self.settings,
                run=run,
                legs=[],
                parts=self.parts,
                gaps={**self.gaps, "": so_far},
                counted=self.counted,
            )
        )

    def _draw(self, seen: Observed) -> dict[str, str]:
        from autocard.card import plots  # noqa: PLC0415 - draws only where it is asked to

        history = getattr(self.parts.get("evaluation"), "history", ())
        card = Path(self.settings.card or seen.output_dir / "README.md")
        return plots.draw(
            plots.pictures_of(history, [leg.value for leg in self.book.legs()]), card.parent
        )

    def _write(self, seen: Observed, record: RunRecord) -> bool:
        card = Path(self.settings.card or seen.output_dir / "README.md")
        self.keeper.write(card, record)
        return True

    def _keep_elsewhere(self, record: RunRecord) -> None:
        """Put the record where it can be written, so that nothing measured is lost."""
        from autocard.files import write_text  # noqa: PLC0415
        from autocard.record import RECORD_NAME, to_json  # noqa: PLC0415

        folder = self._elsewhere
        if folder is None:
            # A folder of a new name, for this user alone: others can neither foresee nor read what
            # is in it.
            folder = Path(tempfile.mkdtemp(prefix="autocard-"))
        path = folder / RECORD_NAME
        try:
            write_text(path, to_json(record))
        except NotWrittenError:
            if self._elsewhere is None:
                # made a moment ago, and there is nothing to find in it
                shutil.rmtree(folder, ignore_errors=True)
            raise
        self._elsewhere = folder
        log_warning(
            "autocard: the card was not written. The record is kept in %s; later: autocard fill CARD --record %s",
            path,
            path,
        )


def _module(name: str) -> Any:
    return importlib.import_module(f"autocard.capture.{name}")
