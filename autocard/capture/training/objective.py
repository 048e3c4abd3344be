"""What was optimized: the model's task and the loss that was used, by the code that computed it.

A loss is named only where that code is a library's and its loss is known. Otherwise the objective
says that the loss is the run's own, and where it is computed. The Trainer's label smoother takes
the place of a loss of `labels` alone.
"""

from __future__ import annotations

from typing import NoReturn

from autocard.capture.model.tasks import head_of
from autocard.capture.observed import Observed, OwnLoss
from autocard.capture.training import sentence_losses
from autocard.capture.training.model_loss import (
    BY_PROBLEM_TYPE,
    NEXT_TOKEN,
    START_AND_END,
    ModelLoss,
    loss_of,
)
from autocard.capture.unwrap import config_of, is_sentence_transformer, without_wrappers
from autocard.errors import UnavailableError

_LOSSES = {
    "single_label_classification": "cross-entropy",
    "multi_label_classification": "binary cross-entropy, several labels",
    "regression": "mean squared error",
}
"""`config.problem_type` → loss (transformers, loss/loss_utils.py)."""


def objective(observed: Observed) -> str:
    """Return task and loss in words.

    Raises:
        UnavailableError: the model's class is not one whose task or loss is known.
    """
    method = observed.trainer.method()
    if method is not None:
        if observed.own_loss is not None:
            return _with_own_loss(method.without_loss, observed.own_loss)
        return method.words
    head = head_of(observed.model, without_wrappers(observed.model))
    task = None if head is None else _task(observed, head.task)
    if observed.own_loss is not None:
        return _with_own_loss(task, observed.own_loss)
    if is_sentence_transformer(without_wrappers(observed.model)):
        loss = sentence_losses.in_words(observed.trainer.loss())
        return ", ".join(filter(None, [task, loss])) or _unknown()
    return _of_model(observed, task, loss_of(observed.model))


def purpose(observed: Observed) -> str:
    """Return what training did to the model, for the middle of a sentence; "": its task says it."""
    method = observed.trainer.method()
    if method is not None:
        return method.purpose
    pairs = None if observed.own_loss else loss_of(observed.model).of_pairs
    return f"trained with a {pairs}" if pairs else ""


def _of_model(observed: Observed, task: str | None, loss: ModelLoss) -> str:
    """Return *task* and the model's loss, or that of the label smoothing that replaces it."""
    smoothing = observed.arguments.get("label_smoothing_factor", 0) or 0
    if smoothing and not loss.of_pairs and loss.words != START_AND_END:
        causal = (task or "").startswith("causal")
        smoothed = NEXT_TOKEN if causal else "cross-entropy"
        return f"{_joined(task, smoothed)}, label smoothing {smoothing:g}"
    if loss.own is not None:
        custom = _with_own_loss(task, loss.own)
        return f"{custom} + {loss.extra}" if loss.extra else custom
    words = (
        _LOSSES.get(_problem_type(observed) or "") if loss.words == BY_PROBLEM_TYPE else loss.words
    )
    if loss.of_pairs:
        return str(words)
    return _joined(task, " + ".join(filter(None, [words, loss.extra])))


def _joined(task: str | None, loss: str) -> str:
    """Return "task (loss)", without saying a thing twice."""
    if not loss and task is None:
        _unknown()
    if not loss:
        return str(task)
    if loss.startswith("CTC") and task:
        task = task.removesuffix(" (CTC)")
    return f"{task} ({loss})" if task else loss


def _with_own_loss(task: str | None, own: OwnLoss) -> str:
    loss = (
        f"custom loss code ({own.where}, calls the library's)"
        if own.calls_library
        else f"custom loss ({own.where})"
    )
    return ", ".join(filter(None, [task, loss]))


def _unknown() -> NoReturn:
    msg = (
        "the model's class is not one whose loss is known, and callbacks do not see the loss "
        "function"
    )
    raise UnavailableError(msg)


def _task(observed: Observed, task: str) -> str:
    """Return what the head does; of a classifier that predicts numbers, that it does."""
    regression = task == "sequence classification" and _problem_type(observed) == "regression"
    return "sequence regression" if regression else task


def _problem_type(observed: Observed) -> str | None:
    """Return the head's problem type, which may be decided by the labels of the first batch."""
    config = config_of(observed.model)
    decided = getattr(config, "problem_type", None)
    if decided is not None:
        return str(decided)
    if getattr(config, "num_labels", None) == 1:
        return "regression"
    features = getattr(getattr(observed.train_dataloader, "dataset", None), "features", None) or {}
    label = next((features[name] for name in ("labels", "label") if name in features), None)
    kind = str(getattr(label, "dtype", ""))
    return "single_label_classification" if kind.startswith(("int", "uint")) else None
