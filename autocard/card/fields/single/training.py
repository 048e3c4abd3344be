"""Single figures of how it was trained: settings, lengths, losses."""

from __future__ import annotations

from autocard import units
from autocard.card.fact import Fact, code, escape
from autocard.card.fields.batch import total_train_batch_size
from autocard.card.fields.single.values import fact, hyperparameter, number, yes_or_no
from autocard.card.fields.words import joined
from autocard.record import RunRecord


def facts(record: RunRecord) -> dict[str, Fact | None]:
    """Return the settings of the training, one by one."""
    training = record.training
    return {
        "learning_rate": _learning_rate(record),
        "epochs": _epochs(record),
        "steps": _steps(record),
        "batch_size": _batch_size(record),
        "device_batch_size": _setting(record, "per_device_train_batch_size"),
        "total_batch_size": fact(total_train_batch_size(record)),
        "eval_batch_size": _setting(record, "per_device_eval_batch_size"),
        "gradient_accumulation": _setting(record, "gradient_accumulation_steps"),
        "optimizer": fact(escape(training.optimizer) if training.optimizer else None),
        "lr_scheduler": fact(escape(training.scheduler) if training.scheduler else None),
        "warmup": _warmup(record),
        "weight_decay": _setting(record, "weight_decay"),
        "adam_betas": _betas(record),
        "adam_epsilon": _setting(record, "adam_epsilon"),
        "max_grad_norm": _setting(record, "max_grad_norm"),
        "label_smoothing": _setting(record, "label_smoothing_factor"),
        "seed": number(training.seed),
        "gradient_checkpointing": yes_or_no(training.gradient_checkpointing),
        "attention": fact(_code(training.attention_implementation)),
        "loss_function": fact(escape(training.objective) if training.objective else None),
    }


def _setting(record: RunRecord, name: str) -> Fact | None:
    return fact(hyperparameter(record, name))


def _code(name: str | None) -> str | None:
    return code(name) if name else None


def _learning_rate(record: RunRecord) -> Fact | None:
    """Return the learning rate; code of the run may have changed it between two steps."""
    text = hyperparameter(record, "learning_rate")
    changes = [change for change in record.training.changed if "learning rate" in change.lower()]
    if text is None or not changes:
        return fact(text)
    return fact(f"{text} ({joined(map(escape, changes), '; ')})")


def _epochs(record: RunRecord) -> Fact | None:
    run = record.run
    if run.epochs is None:
        return None
    planned = record.training.hyperparameters.get("num_train_epochs")
    text = units.shortest(run.epochs)
    # With max_steps the number of epochs is no plan.
    if not isinstance(planned, int | float) or _has_max_steps(record):
        return Fact(text)
    if run.status != "finished" and planned != run.epochs:
        text += f" of {units.shortest(planned)} planned"
    return Fact(text)


def _has_max_steps(record: RunRecord) -> bool:
    steps = record.training.hyperparameters.get("max_steps")
    return isinstance(steps, int) and steps > 0


def _steps(record: RunRecord) -> Fact | None:
    run = record.run
    if run.global_step is None:
        return None
    text = units.count(run.global_step)
    if run.max_steps is not None and run.max_steps != run.global_step:
        text += f" of {units.count(run.max_steps)} planned"
    return Fact(text)


# -- batches ---------------------------------------------------------------------------------------


def _batch_size(record: RunRecord) -> Fact | None:
    """Return the samples of an optimizer step, or of a device where only these are known."""
    device = hyperparameter(record, "per_device_train_batch_size")
    return fact(total_train_batch_size(record) or (f"{device} per device" if device else None))


def _warmup(record: RunRecord) -> Fact | None:
    """Return warmup steps; a figure below 1 is a share of the steps, as transformers takes it."""
    settings = record.training.hyperparameters
    steps, ratio = settings.get("warmup_steps"), settings.get("warmup_ratio")
    if isinstance(steps, int | float) and steps >= 1:
        return Fact(units.plural(round(steps), "step"))
    share = next((value for value in (steps, ratio) if isinstance(value, float) and value), None)
    if share is not None:
        return Fact(f"{units.shortest(100 * share)} % of the steps")
    return Fact("0 steps") if steps is not None or ratio is not None else None


def _betas(record: RunRecord) -> Fact | None:
    first, second = hyperparameter(record, "adam_beta1"), hyperparameter(record, "adam_beta2")
    return Fact(f"({first}, {second})") if first and second else None
