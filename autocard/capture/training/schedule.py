"""The learning-rate schedule that ran: name, warmup, rates before the first and last steps.

Warmup is told from the schedule itself: `constant` and `reduce_lr_on_plateau` have none, whatever
`warmup_steps` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autocard import units
from autocard.capture.observed import Observed
from autocard.capture.training.schedule_kind import kind_of_schedule, own_schedule, warms_up
from autocard.capture.training.stand_ins import stood_for
from autocard.errors import UnavailableError

FIRST_STEPS = 5
"""Steps whose learning rate is read, from the first one on; and the last planned one."""
_KINDS = {
    "constant_with_warmup": "constant",
    "inverse_sqrt": "inverse square root",
    "warmup_stable_decay": "warmup-stable-decay",
}
"""`lr_scheduler_type` → the schedule, whose warmup is given beside it."""
_MADE_BY_TRANSFORMERS = frozenset({"LambdaLR", "LayerWiseDummyScheduler"})


class LearningRates:
    """The first parameter group's learning rates before the first steps and before the last."""

    def __init__(self, begin: int = 0, max_steps: int = 0) -> None:
        self._until = begin + FIRST_STEPS
        self._before_last = max_steps - 1
        self.by_step: dict[str, float] = {}
        """Step → learning rate; in the order of the steps."""

    def look(self, done: int, optimizer: Any) -> None:
        """Note the learning rate of the step after *done* steps, if it is one of those kept."""
        if done < self._until or done == self._before_last:
            groups = getattr(optimizer, "param_groups", None)
            rate = groups[0].get("lr") if groups else None
            if rate is not None and done <= self._before_last:
                self.by_step[str(done + 1)] = float(rate)

    def until(self, done: int) -> dict[str, float]:
        """Return the learning rates of the steps that were made, *done* in all."""
        return {step: rate for step, rate in self.by_step.items() if int(step) <= done}


def in_words(observed: Observed, rates: Mapping[str, float] | None = None) -> str:
    """Return the schedule's name and warmup; of the run's own, the rates *rates* that were read.

    Raises:
        UnavailableError: there was no schedule when training began.
    """
    if observed.lr_scheduler is None:
        msg = "the trainer showed no schedule when training began"
        raise UnavailableError(msg)
    made = type(stood_for(observed.lr_scheduler, "scheduler")).__name__
    if own_schedule(observed):
        name = "custom LambdaLR" if made == "LambdaLR" else made
        read = ", ".join(
            f"{units.setting(rate, units.MEASURED)} at step {step}"
            for step, rate in (rates or {}).items()
        )
        return f"{name} (learning rate {read})" if read else name
    # transformers makes its schedules as LambdaLR; any other class was named by the argument.
    name = _usual(kind_of_schedule(observed)) if made in _MADE_BY_TRANSFORMERS else made
    warmup = _warmup_steps(observed) if warms_up(observed) else 0
    return " ".join(
        filter(None, [name or made, _warmup_in_words(warmup, observed.progress.max_steps)])
    )


def _usual(kind: str) -> str:
    """Return the kind of a schedule of transformers as people write it: cosine with restarts."""
    return _KINDS.get(kind, kind.replace("_", " "))


def _warmup_in_words(warmup: int, planned: int) -> str:
    """Return how many of the *planned* steps are warmup, in words; empty: none."""
    if not warmup:
        return ""
    words = f"with {units.plural(warmup, 'warmup step')}"
    if warmup > planned:  # the peak learning rate is never reached
        return f"{words} (more than the {units.plural(planned, 'step')} of the run)"
    return f"{words} (of {units.count(planned)} in total)"


def _warmup_steps(observed: Observed) -> int:
    asked = observed.trainer.warmup_steps(observed.progress.max_steps)
    return int(observed.arguments.get("warmup_steps", 0) or 0) if asked is None else asked
