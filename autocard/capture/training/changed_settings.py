"""Settings that the run's code changes between steps: learning rate, decay, accumulation.

What was read when training began is true of the first step only, where a callback changes it later.
Looks right before each optimizer step, and compares numbers alone: tensors are not read, which
would wait for the GPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autocard import units
from autocard.capture.training.stand_ins import stood_for

_ARGUMENTS = {
    "gradient_accumulation_steps": "gradient accumulation steps",
    "max_grad_norm": "maximum gradient norm",
}
_MOST = 3
"""Changes of a setting that are told one by one."""


class Changes:
    """The changes of one training."""

    def __init__(self) -> None:
        self._last: dict[str, Any] = {}
        self._found: dict[str, list[str]] = {}

    def look(self, done: int, arguments: Mapping[str, Any], optimizer: Any, scheduler: Any) -> None:
        """Look at the settings of the step that comes after *done* steps."""
        groups = getattr(optimizer, "param_groups", None) or ()
        now = {words: arguments.get(name) for name, words in _ARGUMENTS.items()}
        now["weight decay"] = [group.get("weight_decay") for group in groups]
        if now != self._last:
            for name, value in now.items():
                self._compare(name, self._last.get(name, value), value, done + 1)
            self._last = now
        self._compare("learning rate", *_planned_and_used(groups, optimizer, scheduler), done + 1)

    def _compare(self, name: str, before: Any, now: Any, step: int) -> None:
        if before == now:
            return
        pairs = zip(before, now, strict=False) if isinstance(now, list) else [(before, now)]
        first = next(((one, other) for one, other in pairs if one != other), None)
        if first is None or not all(isinstance(one, int | float) for one in first):
            return
        self._found.setdefault(name, []).append(
            f"{units.setting(first[0])} → {units.setting(first[1])} at step {step}"
        )

    def changed(self, argument: str) -> bool:
        """Return whether the training's *argument*, or the setting of that name, was changed."""
        return _ARGUMENTS.get(argument, argument) in self._found

    def in_words(self) -> list[str]:
        """Return the changes of each setting."""
        found = []
        for name, changes in self._found.items():
            words = f"{name} {', '.join(changes[:_MOST])}"
            more = len(changes) - _MOST
            found.append(f"{words} and {units.plural(more, 'more step')}" if more > 0 else words)
        return found


def _planned_and_used(groups: Any, optimizer: Any, scheduler: Any) -> tuple[list[Any], list[Any]]:
    """Return the learning rates that the schedule set and those that the step uses.

    Both are empty where they are not known.
    """
    planned: Any = getattr(stood_for(scheduler, "scheduler"), "_last_lr", None)
    used = [group.get("lr") for group in groups]
    if (
        not isinstance(planned, list)
        or len(planned) != len(used)
        or hasattr(optimizer, "optimizer_dict")
    ):
        return [], []
    if not all(isinstance(rate, float) for rate in (*planned, *used)):
        return [], []
    return planned, used
