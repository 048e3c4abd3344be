"""Why a training stopped early: early stopping with its settings, or a callback.

A callback is named only if its own code can stop a training, and no other one's can. Code is read,
never called.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType
from typing import Any

from autocard import units

_SWITCH = "should_training_stop"
_FLOW = "DefaultFlowCallback"
"""transformers' callback that stops a training at its planned end."""


def stop_reason(trainer: Any) -> str:
    """Return why *trainer* stopped early, in words; "": it is not known."""
    if not getattr(getattr(trainer, "control", None), _SWITCH, False):
        return ""
    callbacks = list(getattr(getattr(trainer, "callback_handler", None), "callbacks", ()))
    for callback in callbacks:
        patience = _patience_used_up(callback)
        if patience:
            return patience
    able = [
        one
        for one in callbacks
        if type(one).__name__ != _FLOW and not _is_early_stopping(one) and _can_stop(one)
    ]
    if len(able) == 1:
        return f"stopped by {type(able[0]).__name__}"
    return "stopped by a callback" if able else ""


def _is_early_stopping(callback: Any) -> bool:
    return hasattr(callback, "early_stopping_patience") and hasattr(
        callback, "early_stopping_patience_counter"
    )


def _patience_used_up(callback: Any) -> str:
    """Return an early stopping in words, if *callback* is one and has lost its patience."""
    if not _is_early_stopping(callback):
        return ""
    patience = int(callback.early_stopping_patience)
    if int(callback.early_stopping_patience_counter) < patience:
        return ""
    threshold = getattr(callback, "early_stopping_threshold", 0) or 0
    least = f", threshold {units.shortest(threshold)}" if threshold else ""
    return f"early stopping (patience {units.plural(patience, 'evaluation')}{least})"


def _can_stop(callback: Any) -> bool:
    """Return whether the code of *callback*'s class or its parents can stop a training."""
    for cls in type(callback).__mro__:
        for value in vars(cls).values():
            code = getattr(value, "__code__", None)
            if isinstance(code, CodeType) and _SWITCH in set(_names(code)):
                return True
    return False


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
