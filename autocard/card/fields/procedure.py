"""How the model was trained: data, preprocessing, formats, hyperparameters, speeds and sizes."""

from __future__ import annotations

from collections.abc import Mapping

from autocard import units
from autocard.card.fact import Fact, code, escape
from autocard.card.fields.batch import total_train_batch_size
from autocard.card.fields.data_sets import data_sets
from autocard.card.fields.folds import folded
from autocard.card.fields.preprocessing import preprocessing
from autocard.card.fields.resumed import resumed_settings, setting
from autocard.card.fields.speeds import speeds
from autocard.card.fields.words import (
    bullets,
    cut_off,
    joined,
    labelled_line,
    listed,
    quantization,
    so_far,
)
from autocard.record import RunRecord, Scalar, Training

_ATTENTION = {
    "sdpa": "SDPA",
    "eager": "eager",
    "flash_attention_2": "FlashAttention-2",
    "flash_attention_3": "FlashAttention-3",
    "flex_attention": "FlexAttention",
}
"""Name of transformers' attention function → the usual one."""

_EARLY = {
    "stopped": "stopped before the planned end",
    "interrupted": "interrupted before the planned end",
}


def facts(record: RunRecord) -> dict[str, Fact | None]:
    """Return the facts that describe how the model was trained."""
    return {
        "training_data": data_sets(record.data.train),
        "preprocessing": preprocessing(record),
        "training_regime": _regime(record),
        "training_hyperparameters": _hyperparameters(record),
        "speeds_sizes_times": speeds(record),
    }


def _regime(record: RunRecord) -> Fact | None:
    """Return the form's own term first, and in brackets what it leaves open."""
    precision = record.precision
    if precision.regime is None:
        return None
    notes = [escape(precision.note)] if precision.note else []
    if precision.quantization:
        notes.append(f"base weights quantized: {quantization(precision.quantization)}")
    if precision.tf32:
        notes.append("fp32 matrix products may use TF32")
    return Fact(f"{precision.regime} ({'; '.join(notes)})" if notes else precision.regime)


# -- hyperparameters -------------------------------------------------------------------------------


def _hyperparameters(record: RunRecord) -> Fact | None:
    """Return what shapes the result in words, non-default arguments, the others folded."""
    training, run = record.training, record.run
    changed, others = _divided(training, _names_in_words(training))
    entries = {
        "Training length": _length(record),
        "Total train batch size": total_train_batch_size(record),
        "Resumed with different arguments": resumed_settings(record),
        "Optimizer": _escaped(training.optimizer),
        "Learning rate schedule": _escaped(training.scheduler),
        "Seed": None if training.seed is None else str(training.seed),
        "Attention implementation": _attention(training.attention_implementation),
        "Kernels": listed(map(escape, training.kernels)),
        "Compilation": "torch.compile" if training.compiled else None,
        "Gradient checkpointing": "on" if training.gradient_checkpointing else None,
        "Reward functions": _reward_functions(training),
        "End of training": _escaped(run.stop_reason) or _end(record),
        "Changed during training": joined(map(escape, training.changed), "; "),
        "Non-default arguments": _settings_line(changed),
    }
    block = bullets(entries)
    if block is None and not others:
        return None
    line = labelled_line(entries) or _settings_line(others)
    return Fact(line, joined([block, _folded(others)], "\n\n"))


_IN_WORDS = {
    "optimizer": ("optim", "learning_rate", "weight_decay", "adam_beta1", "adam_beta2"),
    "scheduler": ("lr_scheduler_type",),
    "seed": ("seed",),
}
"""What a line of its own says → the arguments that it is made of."""


def _names_in_words(training: Training) -> frozenset[str]:
    """Return the names of the settings that stand on a line of their own."""
    names: list[str] = []
    for field, of_field in _IN_WORDS.items():
        if getattr(training, field) is not None:
            names += of_field
    if "epsilon" in (training.optimizer or ""):
        names.append("adam_epsilon")
    return frozenset(names)


def _divided(
    training: Training, in_words: frozenset[str]
) -> tuple[dict[str, Scalar], dict[str, Scalar]]:
    """Return the non-default arguments and the others; those *in_words* have their own lines."""
    settings = {
        name: value for name, value in training.hyperparameters.items() if name not in in_words
    }
    changed = {name: settings[name] for name in training.non_default if name in settings}
    others = {name: value for name, value in settings.items() if name not in changed}
    return changed, others


def _escaped(text: str | None) -> str | None:
    return escape(text) if text else None


def _length(record: RunRecord) -> str | None:
    run = record.run
    if run.global_step is None:
        return None
    text = units.plural(run.global_step, "optimizer step")
    if so_far(record):
        text += " so far"
    if cut_off(record):
        text = f"at least {text}"
    if run.max_steps is not None and run.max_steps != run.global_step:
        text += f" of {units.count(run.max_steps)} planned"
    if run.epochs is not None:
        text += f" ({units.epochs(run.epochs)})"
    return text


def _end(record: RunRecord) -> str | None:
    """Return how training ended, if not as planned."""
    run = record.run
    is_after_last = run.global_step is not None and run.global_step == run.max_steps
    if run.status == "interrupted" and is_after_last:
        return "interrupted after the last planned step"
    return _EARLY.get(run.status or "")


def _attention(name: str | None) -> str | None:
    """Return the attention implementation by its usual name; an unknown one as it is."""
    return (_ATTENTION.get(name) or code(name)) if name else None


def _reward_functions(training: Training) -> str | None:
    """Return a policy's reward functions, with their weights where these differ from 1."""
    weights = training.reward_functions
    if all(weight == 1 for weight in weights.values()):
        return listed(map(code, weights)) or None
    return listed(
        f"{code(name)} (weight {units.shortest(weight)})" for name, weight in weights.items()
    )


def _settings_line(settings: Mapping[str, Scalar]) -> str:
    return ", ".join(f"{code(name)} {setting(value)}" for name, value in settings.items())


def _folded(settings: Mapping[str, Scalar]) -> str | None:
    """Return the arguments at their defaults, folded."""
    if not settings:
        return None
    one, many = "argument at its default", "arguments at their defaults"
    return folded(units.plural(len(settings), one, many), _settings_line(settings))
