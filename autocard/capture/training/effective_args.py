"""Training arguments that the run's own optimizer, schedule or loss overrules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autocard.capture.observed import Observed
from autocard.capture.training import consumed_samples
from autocard.capture.training.schedule_kind import kind_of_schedule, own_schedule, warms_up
from autocard.capture.training.stand_ins import PACKAGES, package_of, stood_for

_GROUP = {"learning_rate": "lr", "weight_decay": "weight_decay", "adam_epsilon": "eps"}
_BETAS = ("adam_beta1", "adam_beta2")
_OPTIMIZER = {*_GROUP, *_BETAS, "optim", "optim_args"}
_SCHEDULE = frozenset({"lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "warmup_ratio"})
_WARMUP = frozenset({"warmup_steps", "warmup_ratio"})
_LOADER = frozenset({"dataloader_drop_last", "dataloader_num_workers", "remove_unused_columns"})
_SAMPLING = frozenset({"train_sampling_strategy", "group_by_length", "data_seed"})
_OWN_LOSS = frozenset({"label_smoothing_factor"})


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


def _is_other_optimizer(name: str, observed: Observed) -> bool:
    made = stood_for(observed.optimizer, "optimizer")
    groups = getattr(made, "param_groups", None)
    if (
        not groups
        or package_of(type(made)) in PACKAGES - {"transformers"}
        or hasattr(made, "optimizer_dict")
    ):
        return False
    asked = observed.trainer.optimizer_class()
    if asked is not None and type(made) is not asked:
        return True
    if name not in {*_BETAS, *_GROUP}:
        return False
    used = [_setting(name, group) for group in groups if _key(name) in group]
    # Adafactor has two epsilons of its own, SGD has no betas: what the arguments say of them had no
    # part in it.
    numbers = [float(value) for value in used if not isinstance(value, list | tuple)]
    return float(observed.arguments[name]) not in numbers


def _key(name: str) -> str:
    """Return the key that argument *name* has in the optimizer's parameter groups."""
    return "betas" if name in _BETAS else _GROUP[name]


def _setting(name: str, group: Mapping[str, Any]) -> Any:
    """Return what argument *name* is in a parameter group that has it."""
    key = _key(name)
    if key == "betas":
        return group[key][_BETAS.index(name)]
    if key == "lr":
        # A schedule has already changed `lr` to that of the first step.
        return group.get("initial_lr", group[key])
    return group[key]
