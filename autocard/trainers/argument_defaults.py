"""Defaults of arguments, those included that a library derives where nothing was given.

Each rule repeats what the `__post_init__` of TrainingArguments, or of TRL's configs, does where
nothing was given.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

_METRIC_WANTED_BY = ("reduce_lr_on_plateau",)


def defaults(args: Any) -> dict[str, Any]:
    """Return argument → its value where nothing was given; empty: *args* is no dataclass."""
    if not dataclasses.is_dataclass(args):
        return {}
    found = {}
    for field in dataclasses.fields(args):
        value = derived(field.name, args)
        found[field.name] = _of_field(field) if value is None else value
    return found


def _of_field(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None


def derived(name: str, args: Any) -> Any:
    """Return the value that the library derives for argument *name*; None: it derives none."""
    rule = _RULES.get(name)
    return None if rule is None else rule(args)


def _metric(args: Any) -> str | None:
    schedule = getattr(args, "lr_scheduler_type", None)
    wanted = (
        getattr(args, "load_best_model_at_end", False)
        or getattr(schedule, "value", schedule) in _METRIC_WANTED_BY
    )
    return "loss" if wanted else None


def _greater_is_better(args: Any) -> bool | None:
    metric = getattr(args, "metric_for_best_model", None)
    return None if metric is None else not str(metric).endswith("loss")


def _eval_steps(args: Any) -> Any:
    return getattr(args, "logging_steps", None)


def _backend(args: Any) -> str | None:
    return "inductor" if getattr(args, "torch_compile", False) else None


def _bf16(args: Any) -> bool | None:
    """Return TRL's choice: bf16 unless fp16 was asked for.

    The field's default is None in TRL, and False elsewhere.
    """
    field = (
        type(args).__dataclass_fields__.get("bf16")
        if hasattr(type(args), "__dataclass_fields__")
        else None
    )
    return None if field is None or field.default is not None else not getattr(args, "fp16", False)


def _average_tokens(args: Any) -> bool | None:
    """Return False for one process, where transformers 4 turns it off."""
    version = str(getattr(sys.modules.get("transformers"), "__version__", ""))
    alone = int(getattr(args, "world_size", 1) or 1) == 1
    return False if alone and version.startswith("4.") else None


def _steps_per_generation(args: Any) -> Any:
    return getattr(args, "gradient_accumulation_steps", None)


def _generation_batch_size(args: Any) -> int | None:
    batch, steps = (
        getattr(args, "per_device_train_batch_size", None),
        getattr(args, "steps_per_generation", None),
    )
    if not isinstance(batch, int) or not isinstance(steps, int):
        return None
    return batch * int(getattr(args, "world_size", 1) or 1) * steps


_RULES = {
    "metric_for_best_model": _metric,
    "greater_is_better": _greater_is_better,
    "eval_steps": _eval_steps,
    "torch_compile_backend": _backend,
    "bf16": _bf16,
    "average_tokens_across_devices": _average_tokens,
    "steps_per_generation": _steps_per_generation,
    "generation_batch_size": _generation_batch_size,
}
