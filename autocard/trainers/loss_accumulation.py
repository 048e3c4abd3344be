"""Whether the logged losses are sums over the batches of an optimizer step, and not means.

The Trainer tells the code that computes a loss how many labels the whole step has
(`num_items_in_batch`), and takes the loss for one that was divided by it (transformers 5.23,
trainer.py, `training_step`). A head that ignores the number returns the mean of its batch; the
Trainer then adds up these means, and multiplies them by the number of processes. Code is read,
never called.
"""

from __future__ import annotations

import ast
import dis
import inspect
import textwrap
from types import CodeType
from typing import Any

from autocard.capture.observed import Observed, StepBatches
from autocard.capture.training import consumed_samples
from autocard.capture.training.loss_source import of_library
from autocard.capture.training.model_loss import forward_of, names_used, uses_a_loss
from autocard.capture.unwrap import config_of, core

_ITEMS = "num_items_in_batch"
_BY_ITEMS = frozenset(
    {"ForCausalLMLoss", "ForMaskedLMLoss", "ForTokenClassification", "ForSemanticSegmentationLoss"}
)
"""transformers' loss functions that divide by the number of labels where they are given it."""
_BY_PROBLEM_TYPE = "ForSequenceClassificationLoss"
"""One that does so for classes, and not for numbers or several labels."""


def batches_summed(trainer: Any, observed: Observed) -> StepBatches | None:
    """Return over how many batches each logged loss is a sum; None: a mean, or unknown."""
    if trainer is None or not _by_the_trainer(trainer, "training_step"):
        return None
    # the run's code has said how it is scaled
    if getattr(trainer, "loss_is_scaled_for_ga", None) is not None:
        return None
    function = getattr(trainer, "compute_loss_func", None)
    if not getattr(trainer, "model_accepts_loss_kwargs", False) and function is None:
        return None
    whole = _by_the_trainer(trainer, "compute_loss")
    across_processes = whole and observed.arguments.get("average_tokens_across_devices", False)
    batches = _batches_of_steps(
        observed, max(observed.processes.count, 1) if across_processes else 1
    )
    if batches.usual < 2 or not _counts_labels(trainer, observed.model):  # noqa: PLR2004 - a sum of one is a mean
        return None
    if not whole:
        ignored = not of_library(trainer.compute_loss) and _ignores_items(trainer.compute_loss)
    elif callable(function):
        ignored = _ignores_items(function)
    else:
        ignored = not observed.arguments.get("label_smoothing_factor", 0) and _model_ignores_items(
            observed.model
        )
    return batches if ignored else None


def _batches_of_steps(observed: Observed, processes: int) -> StepBatches:
    """Return the batches of the steps; an epoch's last step takes what is left."""
    accumulation = int(observed.arguments["gradient_accumulation_steps"])
    in_epoch = consumed_samples.length_of(observed.train_dataloader)
    if not in_epoch:
        return StepBatches(accumulation * processes)
    usual, left = min(accumulation, in_epoch), in_epoch % accumulation
    epoch_steps = -(-in_epoch // accumulation)
    progress = observed.progress
    taken = progress.step or progress.max_steps
    if not left or usual == left or taken < epoch_steps:
        return StepBatches(usual * processes)
    return StepBatches(usual * processes, left * processes)


def _by_the_trainer(trainer: Any, name: str) -> bool:
    return getattr(getattr(trainer, name, None), "__module__", None) == "transformers.trainer"


def _counts_labels(trainer: Any, model: Any) -> bool:
    """Return whether batches have `labels` in one tensor, which the Trainer can count."""
    inner = core(model)
    if not hasattr(inner, "forward") or "labels" not in (
        getattr(trainer, "label_names", None) or ()
    ):
        return False
    objects = type(inner).__name__.endswith(
        ("ForObjectDetection", "ForInstanceSegmentation", "ForUniversalSegmentation")
    )
    return not objects and "labels" in inspect.signature(inner.forward).parameters


def _model_ignores_items(model: Any) -> bool:
    """Return whether the model's `forward` is known to ignore the number of labels."""
    inner = core(model)
    forward = forward_of(inner)
    if not of_library(forward):
        return _ignores_items(forward)
    used = names_used(forward)
    if _ITEMS in used or str(forward.__module__).partition(".")[0] != "transformers":
        return False
    if "loss_function" not in used:
        return uses_a_loss(used)
    passes_on = _passes_on(forward)
    return passes_on is False or (passes_on is True and _function_ignores_items(inner))


def _function_ignores_items(inner: Any) -> bool:
    """Return whether the loss function of a model leaves the number of labels out of account."""
    function = getattr(inner, "loss_function", None)
    name = getattr(function, "__name__", "")
    if name == _BY_PROBLEM_TYPE and of_library(function):
        return getattr(config_of(inner), "problem_type", None) in (
            "regression",
            "multi_label_classification",
        )
    return name not in _BY_ITEMS and _ignores_items(function)


def _passes_on(forward: Any) -> bool | None:
    """Return whether *forward* passes unknown arguments on to `loss_function`; None: unclear."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(forward)))
    except (OSError, TypeError, SyntaxError):
        return None
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "loss_function"
    ]
    return any(word.arg is None for call in calls for word in call.keywords) if calls else None


def _ignores_items(function: Any) -> bool:
    """Return whether *function* uses neither the number of labels nor unnamed arguments."""
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return False
    watched = {_ITEMS}
    if code.co_flags & inspect.CO_VARKEYWORDS:
        positional = (
            code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & inspect.CO_VARARGS)
        )
        watched.add(code.co_varnames[positional])
    loaded = {step.argval for step in dis.get_instructions(code) if step.opname.startswith("LOAD")}
    return loaded.isdisjoint(watched)
