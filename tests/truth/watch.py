"""The watch: it looks at each training of a process that has autocard."""

from __future__ import annotations

import functools
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

from truth.common import Truth
from truth.judge import judged


class Watch:
    """Looks at each training of this process that has autocard, when it ends and when it is evaluated after that."""

    def __init__(self) -> None:
        self.runs = self.fields = 0
        self.spent_s = 0.0
        self.false: list[str] = []
        self._under_way: dict[int, Truth] = {}
        self._clocks: dict[int, tuple[float, float]] = {}
        self._patched: Any = None

    def install(self) -> None:
        """Stand around the callback's events, once it has been imported."""
        module = sys.modules.get("autocard.callback")
        cls = getattr(module, "AutoCardCallback", None)
        if cls is None or self._patched is cls:
            return
        self._patched = cls
        for event in ("on_train_begin", "on_train_end", "on_evaluate"):
            setattr(cls, event, self._around(getattr(cls, event), getattr(self, event)))

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
        again = id(args) in self._clocks and getattr(args, "auto_find_batch_size", False)
        if not again:  # with smaller batches it is the same training
            self._clocks[id(args)] = before_s, time.monotonic()
        self._under_way[id(args)] = Truth(None, state, step_begin=int(state.global_step))

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
        true.given = {name: getattr(settings, name, None) for name in ("base_model", "datasets", "card")}
        self._look(true)

    def on_evaluate(self, _: Any, args: Any, state: Any, __: float, objects: Any) -> None:
        true = self._under_way.get(id(args))
        if true is None or true.trainer is None or true.trainer.is_in_train:
            return
        true.state, true.metrics = state, {**true.metrics, **(objects.get("metrics") or {})}
        self._look(true)

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
        begun_s = time.perf_counter()
        card = Path(true.given.get("card") or Path(true.args.output_dir) / "README.md")
        record = card.parent / "autocard.json"
        if not (card.is_file() and record.is_file()):
            return
        known = json.loads(record.read_text(encoding="utf-8"))
        told = judged(known, card.read_text(encoding="utf-8"), card.name, true)
        self.runs += 1
        self.fields += len(told)
        self.false += [f"{path}: {said}" for path, said, is_so in told if not is_so]
        self.spent_s += time.perf_counter() - begun_s
