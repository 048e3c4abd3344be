"""Which learning-rate schedule ran: the one that the arguments name, or another."""

from __future__ import annotations

import sys
from typing import Any

from autocard.capture.observed import Observed
from autocard.capture.training.stand_ins import PACKAGES, package_of, stood_for

_WITHOUT_WARMUP = frozenset({"constant", "reduce_lr_on_plateau", "greedy"})
"""Schedules of transformers that `warmup_steps` is not given to (optimization.py, get_scheduler).
"""


def kind_of_schedule(observed: Observed) -> str:
    """Return the name of the schedule that the arguments ask for; "": they do not."""
    kind = observed.arguments.get("lr_scheduler_type", "") or ""
    return str(getattr(kind, "value", kind))


def warms_up(observed: Observed) -> bool:
    """Return whether the schedule begins below its highest learning rate, as it does in a warmup.

    transformers' schedules are factors of the highest rate, and pure functions of the step; other
    classes have no warmup that `warmup_steps` would set.
    """
    made = stood_for(observed.lr_scheduler, "scheduler")
    rules = [
        rule
        for rule in getattr(made, "lr_lambdas", ())
        if package_of(getattr(rule, "func", rule)) == "transformers"
    ]
    if rules:
        return float(rules[0](0)) < 1
    # Made by DeepSpeed, or for each parameter apart: only the arguments tell.
    return package_of(type(made)) in PACKAGES and kind_of_schedule(observed) not in _WITHOUT_WARMUP


def own_schedule(observed: Observed) -> bool:
    """Return whether the schedule is not the one that the arguments name."""
    made = stood_for(observed.lr_scheduler, "scheduler")
    if made is None or package_of(type(made)) in PACKAGES:
        return False
    if type(made).__name__ == "LambdaLR":  # what transformers makes most of its schedules of
        rules = [getattr(rule, "func", rule) for rule in getattr(made, "lr_lambdas", ())]
        return any(package_of(rule) != "transformers" for rule in rules) or _is_other_rule(
            made, observed
        )
    words = kind_of_schedule(observed).replace("_", "")
    return not type(made).__name__.lower().startswith(words)


def _is_other_rule(made: Any, observed: Observed) -> bool:
    """Return whether transformers *made* another schedule, or warmup, than was asked for."""
    module = sys.modules.get("transformers.optimization")
    makers = getattr(module, "TYPE_TO_SCHEDULER_FUNCTION", {})
    by_kind = {getattr(kind, "value", kind): maker for kind, maker in makers.items()}
    asked = getattr(by_kind.get(kind_of_schedule(observed)), "__code__", None)
    rule = next(iter(made.lr_lambdas), None)
    if asked is None or rule is None:
        return False
    if getattr(rule, "func", rule).__name__ not in asked.co_names:
        return True
    warmup = getattr(rule, "keywords", {}).get("num_warmup_steps")
    asked_for = observed.trainer.warmup_steps(observed.progress.max_steps)
    return warmup is not None and asked_for is not None and int(warmup) != asked_for
