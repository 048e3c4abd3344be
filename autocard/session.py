"""One trainer's run, from its first event to its last card: what is captured when, and what becomes of it.

Every piece of work here passes through the guard with a deadline, on its own: one that raises, exits or hangs costs
its own part of the record and nothing else. The training thread waits for them, so they are few and short; the clock
of the training window is read before anything else happens.
"""

from __future__ import annotations

import datetime as dt
import importlib
import logging
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from autocard.capture import Seen
from autocard.errors import UnavailableError
from autocard.guard import Budget, guarded
from autocard.settings import Settings

if TYPE_CHECKING:
    from autocard.energy.meter import Meter
    from autocard.record import Leg, RunRecord

T = TypeVar("T")

logger = logging.getLogger("autocard")

AT_BEGIN = {
    "model": "model",
    "adapter": "adapters",
    "precision": "precision",
    "training": "training",
    "data": "data",
    "hardware": "hardware",
    "software": "software",
    "code": "code",
    "cluster": "job",
}
"""Capture module → key of the record; all of them when training begins, before anything can change."""

BEGIN_S = 10.0
"""Seconds that the start of training may be held up when our work hangs; it takes a fraction of one otherwise."""
END_S = 20.0
"""The same for the end."""
EVENT_S = 2.0
"""The same for events in between."""
PROGRESS_S = 1.0
"""Seconds between two messages to the meter about the step."""
LEAST_S = 0.5
"""Seconds that each piece of work gets after a hanging one has used up the event's time."""


def _now() -> str:
    return dt.datetime.now(dt.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Sessions:
    """The sessions of one callback: one for each trainer that it was given to, known by their arguments."""

    def __init__(self, settings: Settings) -> None:
        """Check that *settings* can work.

        Raises:
            SettingsError: there is no such template, or it cannot be read.
        """
        from autocard.card.forms import check_template  # noqa: PLC0415

        check_template(settings.template)
        self._settings = settings
        self._all: dict[int, tuple[Any, Session]] = {}

    def of(self, args: Any, *, starts: bool) -> Session:
        """Return the session of the trainer whose `TrainingArguments` are *args*; *starts*: it may be a new one.

        A host that shows other arguments in the middle of a run means the run that began last.
        """
        if id(args) not in self._all and self._all and not starts:
            return next(reversed(self._all.values()))[1]
        # With the arguments themselves, so that their id is not given to others.
        return self._all.setdefault(id(args), (args, Session(self._settings)))[1]


class Session:
    """The facts of one trainer's run as they come in."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.meter: Meter | None = None
        self.counted: tuple[int | None, int | None] | None = None
        self._reset()

    def _reset(self) -> None:
        self.run_id = uuid.uuid4().hex[:12]
        self.parts: dict[str, Any] = {}
        self.reasons: dict[str, dict[str, str]] = {}
        self.legs: list[Leg] = []
        self.eval_sets: dict[str | None, Any] = {}
        self.predictions: dict[str, float] = {}
        self.running = False
        self.ended = False
        self._begun_at: str = ""
        self._begun_s = 0.0
        self._step_begin = 0
        self._told_s = 0.0
        self._attempts = 1
        self._since_s = 0.0

    def seen(self, args: Any, state: Any, objects: Mapping[str, Any]) -> Seen:
        """Return what an event shows, with our settings."""
        names = [name for name in Seen.__dataclass_fields__ if name not in {"settings", "args", "state"}]
        return Seen(self.settings, args, state, **{name: objects.get(name) for name in names})

    # -- the events ---------------------------------------------------------------------------------------------

    def prepared(self, seen: Seen) -> None:
        """A trainer exists: start the meter's child early, and count parameters before anything shards them."""
        budget = Budget(EVENT_S, LEAST_S)
        count = "model.parameters_total"
        self._part(count, lambda _: _module("model").count(seen.model), budget, self._keep_count)
        self._start_meter(seen, budget)

    def begin(self, seen: Seen) -> None:
        """Training begins: read clock and counters, then look at everything once."""
        begun_s, begun_at, step = time.monotonic(), _now(), int(seen.state.global_step)
        if self.running and getattr(seen.args, "auto_find_batch_size", False):
            # The same training with smaller batches: its window began with the attempt that ran out of memory.
            self._attempts += 1
            self._look(seen, Budget(BEGIN_S, LEAST_S))
            return
        if self.running or (self.legs and not 0 < step <= (self.legs[-1].step_end or 0)):
            # What ran before was broken off, or is not what this resumes: a new run, with a meter of its own.
            self._abandon_meter()
            self._reset()
        self.ended = False
        self._begun_s, self._begun_at, self._step_begin = begun_s, begun_at, step
        self._since_s = time.time()
        self.running = True
        budget = Budget(BEGIN_S, LEAST_S)
        if self.meter is None:
            self._start_meter(seen, budget)
        meter = self.meter
        if meter is not None:
            self._part(f"legs.{len(self.legs)}", lambda _: meter.begin(step), budget)
        self._look(seen, budget)

    def progress(self, seen: Seen) -> None:
        """Tell the meter how far training is, at most once in `PROGRESS_S`."""
        meter, now_s = self.meter, time.monotonic()
        if meter is None or not self.running or now_s - self._told_s < PROGRESS_S:
            return
        self._told_s = now_s
        step = int(seen.state.global_step)
        self._part("_progress", lambda _: meter.progress(step), Budget(EVENT_S, LEAST_S))

    def evaluated(self, seen: Seen, metrics: Mapping[str, Any]) -> None:
        """An evaluation ended: note its data; after training, its figures belong into the card too."""
        budget = Budget(EVENT_S, LEAST_S)
        self._part("data.eval", lambda missing: self._eval_set(seen, metrics, missing), budget)
        if self.ended:
            self._finish(seen, Budget(END_S, LEAST_S))

    def predicted(self, seen: Seen, metrics: Mapping[str, Any]) -> None:
        """A prediction ended; its figures are not in the trainer's log."""
        self.predictions = {key: value for key, value in metrics.items() if isinstance(value, int | float)}
        if self.ended:
            self._finish(seen, Budget(END_S, LEAST_S))

    def end(self, seen: Seen) -> None:
        """Training ends: stop clock and counters, then write the record and the card."""
        if not self.running:
            return
        wall_clock_s, ended_at, step = time.monotonic() - self._begun_s, _now(), int(seen.state.global_step)
        self.running = False
        budget = Budget(END_S, LEAST_S)
        measured = self._measured(seen, step, budget)
        from autocard.record import Leg  # noqa: PLC0415 - pydantic is not loaded with the callback

        # The clock was read before the meter's own, and stands even where the meter failed.
        clock = {
            "started_at": self._begun_at,
            "ended_at": ended_at,
            "wall_clock_s": wall_clock_s,
            "step_begin": self._step_begin,
            "step_end": step,
            "status": "finished" if step >= int(seen.state.max_steps) else "stopped",
        }
        leg = measured[-1] if measured else Leg(id=uuid.uuid4().hex[:12])
        if not measured:
            self._explain_unmeasured(f"legs.{len(self.legs)}")
        if self._attempts > 1:
            clock |= {"repeated_steps": None, "repeated_j": None}
            reason = (
                f"training began {self._attempts} times, with smaller batches each time; what was lost is not known"
            )
            self.reasons.setdefault(f"legs.{len(self.legs)}", {}).update(
                {f"legs.{len(self.legs)}.{leaf}": reason for leaf in ("repeated_steps", "repeated_j")}
            )
        self.legs.append(leg.model_copy(update=clock))
        self.ended = True
        self._finish(seen, budget)

    # -- the pieces ---------------------------------------------------------------------------------------------

    def _part(
        self,
        path: str,
        work: Callable[[dict[str, str]], T],
        budget: Budget,
        keep: Callable[[T], None] | None = None,
    ) -> T | None:
        """Do one piece of work under the guard; its reasons replace those of its last time.

        *path* is the fact that is missing if it fails; one that begins with "_" is nobody's fact, and only reported.
        """
        own: dict[str, str] = {}  # its own: an abandoned piece may go on writing into it
        failed: dict[str, str] = {}
        result = guarded(path, failed, lambda: work(own), budget)
        if not path.startswith("_"):
            self.reasons[path] = failed or own
        if not failed and keep is not None:
            keep(result)  # type: ignore[arg-type] # not failed: the result is there
        return result

    def _capture(self, module: str, seen: Seen, missing: dict[str, str]) -> Any:
        return _module(module).capture(seen, missing)

    def _keep_count(self, counted: tuple[int | None, int | None]) -> None:
        self.counted = counted

    def _start_meter(self, seen: Seen, budget: Budget) -> None:
        if not self.settings.emissions:
            return

        def start(_: dict[str, str]) -> Meter:
            from autocard.energy.meter import Meter  # noqa: PLC0415

            if not seen.state.is_local_process_zero:
                msg = "another process of this host measures"
                raise UnavailableError(msg)
            used = _module("hardware").accelerators(seen.args, seen.model)
            meter = Meter(
                self.settings,
                uses_gpu=used.uses_gpu,
                folder=Path(seen.args.output_dir),
                run_id=self.run_id,
                device_type=used.device_type,
                ordinals=used.ordinals,
            )
            meter.start()
            return meter

        self.meter = self._part(f"legs.{len(self.legs)}", start, budget)

    def _look(self, seen: Seen, budget: Budget) -> None:
        """Run every capture of the start."""
        for module, key in AT_BEGIN.items():
            self.parts.pop(key, None)
            self._part(key, partial(self._capture, module, seen), budget, self._keeper(key))

    def _keeper(self, key: str) -> Callable[[Any], None]:
        def keep(part: Any) -> None:
            self.parts[key] = part

        return keep

    def _eval_set(self, seen: Seen, metrics: Mapping[str, Any], missing: dict[str, str]) -> None:
        data = _module("data")
        found = data.evaluation_set(seen, metrics)
        if found is not None:
            self.eval_sets[found.name] = found
            # What the start said of evaluation data was that there was none yet.
            self.reasons.get("data", {}).pop("data.eval", None)
            missing.update(data.explain(list(self.eval_sets.values()), "data.eval"))

    def _abandon_meter(self) -> None:
        """End the meter of a run that was broken off; the next run's is given its own id."""
        meter, self.meter = self.meter, None
        if meter is not None:
            self._part("_close", lambda _: meter.close(), Budget(EVENT_S, LEAST_S))

    def _measured(self, seen: Seen, step: int, budget: Budget) -> list[Leg] | None:
        """Return the meter's legs; None, with the reason, where it has none: the clock alone is ours too."""
        meter, first = self.meter, len(self.legs)
        if meter is None:
            return None
        max_steps = int(seen.state.max_steps)
        legs = self._part(f"legs.{first}", lambda missing: meter.end(step, max_steps, missing, first), budget)
        self._part("_close", lambda _: meter.close(), budget)  # its child ends; another begin starts a new one
        return legs

    def _explain_unmeasured(self, leg: str) -> None:
        """Note why *leg* (its path) has a clock and nothing else."""
        off = "measuring was turned off (emissions=False)"
        why = self.reasons.get(leg, {}).get(leg) or ("not measured" if self.settings.emissions else off)
        self.reasons[leg] = {leg: why}

    def _finish(self, seen: Seen, budget: Budget) -> None:
        """Put together what is known and write it, on the one process that writes."""
        self._part("evaluation", lambda missing: self._evaluation(seen, missing), budget, self._keeper("evaluation"))
        self._part("time", lambda missing: self._times(seen, missing), budget, self._keeper("times"))
        self._part(
            "hardware.peak_memory_bytes",
            lambda missing: _module("hardware").peaks(seen, missing),
            budget,
            self._keeper("peaks"),
        )
        saved_bytes = lambda _: _module("model").saved_bytes(seen.args.output_dir, self._since_s)  # noqa: E731
        self._part("model.saved_bytes", saved_bytes, budget, self._keeper("saved"))
        if not seen.state.is_world_process_zero or getattr(seen.state, "is_hyper_param_search", False):
            return
        record = self._part("_record", lambda _: self.record(seen), budget)
        if record is not None and not self._part("_card", lambda _: self._write(seen, record), budget):
            self._part("_kept", lambda _: self._keep_elsewhere(record), budget)

    def _evaluation(self, seen: Seen, missing: dict[str, str]) -> Any:
        return _module("evaluation").capture(seen, missing, predictions=self.predictions)

    def _times(self, seen: Seen, missing: dict[str, str]) -> dict[str, Any]:
        parts: dict[str, Any] = _module("evaluation").time_parts(seen, missing, self._step_begin)
        return parts

    def record(self, seen: Seen) -> RunRecord:
        """Return the record of all that is known now."""
        from autocard.draft import Draft, freeze  # noqa: PLC0415 - with pydantic
        from autocard.record import Run  # noqa: PLC0415

        first, last = self.legs[0], self.legs[-1]
        epochs = seen.state.epoch
        data = self.parts.get("data")
        if data is not None and data.train and data.train[0].rows is None:
            epochs = None  # the trainer makes one up: the part of the planned steps that is done
            self.reasons["run"] = {"run.epochs": "the data set has no length, so there are no epochs to count"}
        run = Run(
            id=self.run_id,
            started_at=first.started_at,
            ended_at=last.ended_at,
            status=last.status,
            global_step=int(seen.state.global_step),
            max_steps=int(seen.state.max_steps),
            epochs=epochs,
        )
        if first.step_begin:
            reason = f"training was resumed at step {first.step_begin}; what came before was not recorded here"
            self.reasons["resumed"] = {"legs.earlier": reason}
        return freeze(
            Draft(
                settings=self.settings,
                run=run,
                legs=self.legs,
                parts=self.parts,
                reasons=self.reasons,
                eval_sets=list(self.eval_sets.values()),
                counted=self.counted,
                saved_bytes=self.parts.get("saved"),
                peaks=self.parts.get("peaks"),
                times=self.parts.get("times", {}),
            )
        )

    def _write(self, seen: Seen, record: RunRecord) -> bool:
        from autocard.card.update import update  # noqa: PLC0415

        card = Path(self.settings.card or Path(seen.args.output_dir) / "README.md")
        outcome = update(card, record, template=self.settings.template, empty=self.settings.empty)
        for message in outcome.warnings:
            logger.warning("autocard: %s", message)
        if outcome.kept:
            # Not a failure: people's words win. But a card that was copied must not pass in silence.
            logger.warning(
                "autocard: %s: text that autocard did not write, or that was edited since, was kept in: %s. "
                "Where it is this run's facts that should stand there: autocard fill %s --overwrite SLOT",
                outcome.card.name,
                ", ".join(sorted(report.slot for report in outcome.kept)),
                outcome.card.name,
            )
        logger.info("autocard: wrote %s", outcome.card)
        return True

    def _keep_elsewhere(self, record: RunRecord) -> None:
        """Put the record where it can be written, so that nothing measured is lost."""
        from autocard.files import write_text  # noqa: PLC0415
        from autocard.record import to_json  # noqa: PLC0415

        path = Path(tempfile.gettempdir()) / f"autocard-{record.run.id}" / "autocard.json"
        write_text(path, to_json(record))
        logger.warning(
            "autocard: the card was not written. The record is kept in %s; later: autocard fill CARD --record %s",
            path,
            path,
        )


def _module(name: str) -> Any:
    return importlib.import_module(f"autocard.capture.{name}")
