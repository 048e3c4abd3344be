"""The watch: it looks at each training of a process that has autocard."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from truth import observe
from truth.common import Said, Truth
from truth.judge import by_subject
from truth.replay import answer, replay

PENDING: tuple[str, ...] = ()
"""Beginnings of what is known to be false and is being repaired; it is counted, and fails no test.
Keep it empty."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Watch:
    """Looks at each training of this process that has autocard, when it ends and when it is evaluated after that."""

    def __init__(self) -> None:
        self.runs = self.fields = 0
        self.spent_s = self._told_s = 0.0
        self.all_false: list[str] = []
        self.false: list[str] = []
        """What a test fails by."""
        self.on_look: Callable[[int, list[str], float], None] | None = None
        """Is called with what each look found: fields, false ones, and the seconds since the last
        look."""
        self.subjects: dict[str, list[Said]] = {}
        """Subject → all that was judged."""
        self._under_way: dict[int, Truth] = {}
        self._clocks: dict[int, tuple[float, float]] = {}
        self._patched: Any = None
        self._theirs: dict[str, Any] = {}
        self._undo: Any = None
        self._ended: set[str] = set()
        """Fingerprints of the models that trainings have left."""

    def install(self) -> None:
        """Stand around the callback's events, once it has been imported."""
        module = sys.modules.get("autocard.callback")
        cls = getattr(module, "AutoCardCallback", None)
        if cls is None or self._patched is cls:
            return
        self._patched = cls
        self._theirs = {}
        for event in ("on_train_begin", "on_step_end", "on_train_end", "on_evaluate"):
            self._theirs[event] = getattr(cls, event)
            setattr(cls, event, self._around(getattr(cls, event), getattr(self, event)))

    def remove(self) -> None:
        """Take away what stands around the events and the Trainer."""
        if self._patched is None:
            return
        for event, theirs in self._theirs.items():
            setattr(self._patched, event, theirs)
        if self._undo is not None:
            self._undo()
        self._patched = self._undo = None

    @staticmethod
    def _around(event: Any, look: Any) -> Any:
        @functools.wraps(event)
        def watched(callback: Any, args: Any, state: Any, control: Any, **objects: Any) -> Any:
            before_s = time.monotonic()
            result = event(callback, args, state, control, **objects)
            look(callback, args, state, before_s, objects)
            return result

        return watched

    def on_train_begin(self, _: Any, args: Any, state: Any, before_s: float, __: Any) -> None:
        # only now: transformers is heavy, and not every process with the callback has it
        if self._undo is None:
            self._undo = observe.stand_around(self.on_batches)
        again = id(args) in self._clocks and getattr(args, "auto_find_batch_size", False)
        if not again:  # with smaller batches it is the same training
            self._clocks[id(args)] = before_s, time.monotonic()
        true = self._under_way[id(args)] = Truth(None, state, step_begin=int(state.global_step))
        begun_s = time.perf_counter()
        trainer = self._trainer(args)
        if trainer is not None and observe.is_small(trainer.model):
            seen = true.observed
            seen.tensors_at_begin = observe.digests(trainer.model)
            seen.statistics_at_begin = observe.statistics(trainer.model)
            seen.trained_before = observe.fingerprint(trainer.model) in self._ended
        self.spent_s += time.perf_counter() - begun_s

    def on_batches(self, trainer: Any, batches: list[Any]) -> None:
        """Look at the batches of one optimizer step, before it is made."""
        true = self._under_way.get(id(trainer.args))
        if true is None:
            return
        begun_s = time.perf_counter()
        true.observed.steps.append(observe.step_of(trainer, batches))
        true.observed.last_batch = batches[-1]
        self.spent_s += time.perf_counter() - begun_s

    def on_step_end(self, _: Any, args: Any, state: Any, before_s: float, objects: Any) -> None:
        true, model = self._under_way.get(id(args)), objects.get("model")
        if true is not None and id(args) in self._clocks:
            true.steps_s = before_s - self._clocks[id(args)][1]
        if (
            true is None
            or not true.observed.tensors_at_begin
            or len(true.observed.steps) > observe.MOST_STEPS
        ):
            return
        begun_s = time.perf_counter()
        true.observed.weights_after[int(state.global_step)] = observe.fingerprint(model)
        self.spent_s += time.perf_counter() - begun_s

    def on_train_end(self, callback: Any, args: Any, state: Any, before_s: float, _: Any) -> None:
        begun_s, begun_late_s = self._clocks.pop(id(args), (-math.inf, math.inf))
        true = self._under_way.get(id(args))
        trainer = self._trainer(args)
        if trainer is None or true is None:
            return
        true.at_least_s, true.at_most_s = before_s - begun_late_s, time.monotonic() - begun_s
        true.trainer, true.state = trainer, state
        true.keep()
        settings = getattr(getattr(callback, "_sessions", None), "_settings", None)
        true.given = {
            name: getattr(settings, name, None) for name in ("base_model", "datasets", "card")
        }
        looked_s = time.perf_counter()
        if true.observed.tensors_at_begin:
            true.at_end = observe.digests(trainer.model)
            _ = true.trained_at_least
            self._ended.add(observe.fingerprint(trainer.model))
            with quiet():  # a second look warns of what the training warned of
                true.replay = replay(trainer, true.observed.last_batch)
                true.batch = true.observed.last_batch
                true.answer = answer(trainer, true.batch)
        true.observed.last_batch = None
        self.spent_s += time.perf_counter() - looked_s
        self._look(true)

    def on_evaluate(self, _: Any, args: Any, state: Any, __: float, objects: Any) -> None:
        true = self._under_way.get(id(args))
        if true is None or true.trainer is None or true.trainer.is_in_train:
            return
        true.evaluated = objects.get("metrics") or {}
        true.state, true.metrics = state, {**true.metrics, **true.evaluated}
        if true.observed.weights_after:
            true.weights_evaluated = observe.fingerprint(true.trainer.model)
            with quiet():
                true.answer_now = answer(true.trainer, true.batch)
        self._look(true)

    def seen(self, args: Any) -> Truth:
        """Return what was seen of the last training with these arguments."""
        return self._under_way[id(args)]

    @staticmethod
    def _trainer(args: Any) -> Any:
        frame = sys._getframe(2)
        while frame is not None:
            found = frame.f_locals.get("self")
            if hasattr(found, "callback_handler") and getattr(found, "args", None) is args:
                return found
            frame = frame.f_back
        return None

    def _look(self, true: Truth) -> None:
        if not getattr(true.state, "is_world_process_zero", True):
            return
        begun_s = time.perf_counter()
        card = Path(true.given.get("card") or Path(true.args.output_dir) / "README.md")
        record = card.parent / "autocard.json"
        if not (card.is_file() and record.is_file()):
            return
        known = json.loads(record.read_text(encoding="utf-8"))
        # A person's card may be of any encoding; then it is left alone.
        self.runs += 1
        true.legs = len(known["legs"])
        with quiet():
            subjects = by_subject(
                known, card.read_text(encoding="utf-8", errors="replace"), card.name, true
            )
        told = [one for found in subjects.values() for one in found]
        for subject, found in subjects.items():
            self.subjects.setdefault(subject, []).extend(found)
        false = [f"{path}: {said}" for path, said, is_so in told if not is_so]
        self.fields += len(told)
        self.all_false += false
        self.false += [one for one in false if not one.startswith(PENDING)]
        self.spent_s += time.perf_counter() - begun_s
        if self.on_look is not None:
            self.on_look(len(told), false, self.spent_s - self._told_s)
            self._told_s = self.spent_s
