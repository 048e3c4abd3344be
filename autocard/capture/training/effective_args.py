"""Training arguments that the run's own optimizer, schedule or loss overrules."""

from __future__ import annotations

import sys
from typing import Any

from autocard.capture.observed import Observed
from autocard.capture.training import consumed_samples

_GROUP = {"learning_rate": "lr", "weight_decay": "weight_decay", "adam_epsilon": "eps"}
_BETAS = ("adam_beta1", "adam_beta2")
_OPTIMIZER = {*_GROUP, *_BETAS, "optim", "optim_args"}
_SCHEDULE = frozenset({"lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "warmup_ratio"})
_WARMUP = frozenset({"warmup_steps", "warmup_ratio"})
_WITHOUT_WARMUP = frozenset({"constant", "reduce_lr_on_plateau", "greedy"})
"""Schedules of transformers that `warmup_steps` is not given to (optimization.py, get_scheduler).
"""
_LOADER = frozenset({"dataloader_drop_last", "dataloader_num_workers", "remove_unused_columns"})
_SAMPLING = frozenset({"train_sampling_strategy", "group_by_length", "data_seed"})
_OWN_LOSS = frozenset({"label_smoothing_factor"})
_WRAPPERS = frozenset({"accelerate", "deepspeed", "transformers"})
"""Packages whose optimizers and schedules stand for others, whose class they do not show."""


def overruled(name: str, observed: Observed) -> bool:
    """Return whether argument *name* says something else than what the run trained with."""
    if name in _OWN_LOSS:
        return observed.own_loss is not None and not observed.own_loss.calls_library
    if name in _SCHEDULE:
        return own_schedule(observed) or _has_no_part(name, observed)
    if name in _LOADER | _SAMPLING or name.startswith("per_device_"):
        return _is_other_loader(name, observed)
    return name in _OPTIMIZER and _is_other_optimizer(name, observed)


def _is_other_loader(name: str, observed: Observed) -> bool:
    """Return whether the run's own data loader or sampler decides about argument *name*."""
    if name == "per_device_eval_batch_size":
        return observed.trainer.runs_own("get_eval_dataloader")
    if name in _SAMPLING and observed.trainer.runs_own("_get_train_sampler"):
        return True
    if not any(
        observed.trainer.runs_own(method) for method in ("get_train_dataloader", "_get_dataloader")
    ):
        return False
    if name == "per_device_train_batch_size":
        return consumed_samples.batch_size_of_loader(observed) != int(
            observed.arguments["train_batch_size"]
        )
    if name == "dataloader_num_workers":
        return bool(
            getattr(observed.train_dataloader, "num_workers", None)
            != observed.arguments["dataloader_num_workers"]
        )
    return True


def _has_no_part(name: str, observed: Observed) -> bool:
    """Return whether the schedule that ran does not use argument *name* of the schedule."""
    if name in _WARMUP:
        return (
            bool(observed.arguments.get(name, 0))
            and observed.lr_scheduler is not None
            and not warms_up(observed)
        )
    return name == "lr_scheduler_kwargs" and kind_of_schedule(observed) == "constant"


def kind_of_schedule(observed: Observed) -> str:
    """Return the name of the schedule that the arguments ask for; "": they do not."""
    kind = observed.arguments.get("lr_scheduler_type", "") or ""
    return str(getattr(kind, "value", kind))


def warms_up(observed: Observed) -> bool:
    """Return whether the schedule begins below its highest learning rate, as it does in a warmup.

    transformers' schedules are factors of the highest rate, and pure functions of the step; other
    classes have no warmup that `warmup_steps` would set.
    """
    made = inside(observed.lr_scheduler, "scheduler")
    rules = [
        rule
        for rule in getattr(made, "lr_lambdas", ())
        if _package(getattr(rule, "func", rule)) == "transformers"
    ]
    if rules:
        return float(rules[0](0)) < 1
    # Made by DeepSpeed, or for each parameter apart: only the arguments tell.
    return _package(type(made)) in _WRAPPERS and kind_of_schedule(observed) not in _WITHOUT_WARMUP


def inside(wrapper: Any, attribute: str) -> Any:
    """Return what accelerate wrapped, or the object itself."""
    if type(wrapper).__module__.startswith("accelerate"):
        return getattr(wrapper, attribute, wrapper)
    return wrapper


def _is_other_optimizer(name: str, observed: Observed) -> bool:
    made = inside(observed.optimizer, "optimizer")
    groups = getattr(made, "param_groups", None)
    if (
        not groups
        or _package(type(made)) in _WRAPPERS - {"transformers"}
        or hasattr(made, "optimizer_dict")
    ):
        return False
    asked = observed.trainer.optimizer_class()
    if asked is not None and type(made) is not asked:
        return True
    if name in _BETAS:
        place = _BETAS.index(name)
        used = [group["betas"][place] for group in groups if "betas" in group]
    elif name in _GROUP:
        key = _GROUP[name]
        # A schedule has already changed `lr` to that of the first step.
        used = [g.get("initial_lr", g[key]) if key == "lr" else g[key] for g in groups if key in g]
    else:
        return False
    # Adafactor has two epsilons of its own, SGD has no betas: what the arguments say of them had no
    # part in it.
    numbers = [float(value) for value in used if not isinstance(value, list | tuple)]
    return float(observed.arguments[name]) not in numbers


def own_schedule(observed: Observed) -> bool:
    """Return whether the schedule is not the one that the arguments name."""
    made = inside(observed.lr_scheduler, "scheduler")
    if made is None or _package(type(made)) in _WRAPPERS:
        return False
    if type(made).__name__ == "LambdaLR":  # what transformers makes most of its schedules of
        rules = [getattr(rule, "func", rule) for rule in getattr(made, "lr_lambdas", ())]
        return any(_package(rule) != "transformers" for rule in rules) or _is_other_rule(
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


def _package(made: Any) -> str:
    return str(getattr(made, "__module__", "")).partition(".")[0]
