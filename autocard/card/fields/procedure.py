"""How the model was trained: data, preprocessing, formats, hyperparameters, speeds and sizes."""

from __future__ import annotations

from collections.abc import Mapping

from autocard import units
from autocard.card.fact import Fact, code, escape
from autocard.card.fields.batch import effective_batch_size
from autocard.card.fields.data_sets import data_sets
from autocard.card.fields.html_text import html_text
from autocard.card.fields.preprocessing import preprocessing
from autocard.card.fields.resumed import resumed_settings, setting
from autocard.card.fields.speeds import speeds
from autocard.card.fields.words import (
    bullets,
    count_of,
    joined,
    labelled_line,
    listed,
    quantization,
)
from autocard.record import RunRecord, Scalar, Training

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
    """Return what shapes the result in words, settings off their defaults, the others folded."""
    training, run = record.training, record.run
    changed, others = _divided(training)
    entries = {
        "Length": _length(record),
        "Effective batch size": effective_batch_size(record),
        "Resumed with other settings": resumed_settings(record),
        "Optimizer": _escaped(training.optimizer),
        "Learning-rate schedule": _escaped(training.scheduler),
        "Seed": None if training.seed is None else str(training.seed),
        "Layers run with": _execution(training),
        "Reward functions": _reward_functions(training),
        "Ended": _escaped(run.stop_reason) or _EARLY.get(run.status or ""),
        "Changed during training": joined(map(escape, training.changed), "; "),
        "Settings that differ from the library's defaults": _settings_line(changed),
    }
    block = bullets(entries)
    if block is None and not others:
        return None
    line = labelled_line(entries) or _settings_line(others)
    return Fact(line, joined([block, _folded(others)], "\n\n"))


def _divided(training: Training) -> tuple[dict[str, Scalar], dict[str, Scalar]]:
    """Return the settings that differ from the library's defaults, and the others."""
    settings = training.hyperparameters
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
    if run.max_steps is not None and run.max_steps != run.global_step:
        text += f" of {units.count(run.max_steps)} planned"
    if run.epochs is not None:
        text += f" ({count_of(run.epochs, 'epoch')})"
    return text


def _execution(training: Training) -> str | None:
    """Return what runs the layers: attention, kernels, compiling, checkpointing, if on."""
    attention, kernels = training.attention_implementation, training.kernels
    parts = [
        f"{code(attention)} attention" if attention else None,
        f"kernels of {listed(map(escape, kernels))}" if kernels else None,
        "torch.compile" if training.compiled else None,
        "gradient checkpointing" if training.gradient_checkpointing else None,
    ]
    return joined(parts) or None


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
    """Return the settings at their defaults, folded: HTML without Markdown or blank lines."""
    if not settings:
        return None
    items = ", ".join(
        f"<code>{html_text(name)}</code> {html_text(str(value))}"
        for name, value in settings.items()
    )
    summary = units.plural(len(settings), "setting") + " at the library's default"
    return f"<details>\n<summary>{summary}</summary>\n<p>{items}</p>\n</details>"
