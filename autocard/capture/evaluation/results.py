"""Which figures of the trainer's log are results, of which data, and of the weights of which step.

A figure in a mapping is a result under two names (`PER f1`). Counters of TRL are no results. The
figures of a sentence-transformers evaluator belong to the evaluator's own data, even where the
trainer logged them with another set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from autocard.capture.evaluation.training_log import (
    is_evaluation,
    is_summary,
    number,
    prefix_of,
    prefixes_of,
    set_names,
)
from autocard.capture.observed import Observed
from autocard.record import Metric

EVALUATOR = "evaluator"
"""Name of the data of an evaluator's metrics."""

_SPEEDS = (
    "_runtime",
    "_samples_per_second",
    "_steps_per_second",
    "_tokens_per_second",
    "_model_preparation_time",
)
_COUNTERS = frozenset({"num_tokens", "entropy", "step_time", "frac_reward_zero_std"})
_COUNTED = ("clip_ratio/", "completions/", "sampling/", "tools/")
"""How the names of TRL's other counters begin."""


def results(observed: Observed, log: Sequence[Mapping[str, Any]]) -> list[Metric]:
    """Return the figures of each evaluation set, of the weights that the model holds at the end."""
    summary = max((index for index, entry in enumerate(log) if is_summary(entry)), default=None)
    last_of_set: dict[str, tuple[Mapping[str, Any], int | None]] = {}
    for index, entry in enumerate(log):
        after_training = summary is not None and index > summary
        # Without a summary training broke off: no best checkpoint was loaded.
        of_these = after_training or summary is None or _is_of_final_weights(observed, entry)
        if is_evaluation(entry) and of_these:
            step = step_of_weights(observed) if after_training else entry.get("step")
            last_of_set[str(prefix_of(entry))] = entry, step
    names = set_names(prefixes_of(log))
    every = [
        metric
        for prefix, (entry, step) in last_of_set.items()
        for metric in _metrics(observed, entry, names[prefix], step)
    ]
    once = {(metric.dataset, metric.name): metric for metric in every}
    return list(once.values())


def predicted(observed: Observed, metrics: Mapping[str, Any]) -> list[Metric]:
    """Return the figures of each prediction; the prefix identifies the prediction.

    The prefix is "test" where the caller gave none.
    """
    runtimes = [
        str(key).removesuffix("_runtime") for key in metrics if str(key).endswith("_runtime")
    ]
    prefixes = sorted(runtimes, key=len, reverse=True) or ["test"]
    step = step_of_weights(observed)
    found = []
    for key, value in _flat(metrics):
        prefix = next((one for one in prefixes if key.startswith(f"{one}_")), None)
        name = key.removeprefix(f"{prefix}_")
        if not key.endswith(_SPEEDS) and not _is_counter(observed, name):
            found.append(
                Metric(name=name, value=value, dataset=prefix, split="prediction", step=step)
            )
    return found


def step_of_weights(observed: Observed) -> int | None:
    """Return the step of the weights after training: the best one, where it was loaded."""
    best = observed.progress.best_step
    if _loads_best(observed) and best is not None:
        return int(best)
    return observed.progress.step


def counters(observed: Observed, log: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the evaluations' figures in *log* that are counters of TRL."""
    found = set()
    for entry in log:
        prefix = prefix_of(entry)
        if prefix is not None:
            names = (str(key).removeprefix(f"{prefix}_") for key in entry)
            found |= {name for name in names if _is_counter(observed, name)}
    return sorted(found)


def not_figures(log: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return gaps for what each set's last evaluation reported and what is no single figure."""
    last = {prefix: entry for entry in log if (prefix := prefix_of(entry)) is not None}
    found = {}
    for prefix, entry in last.items():
        for key, value in entry.items():
            name = str(key).removeprefix(f"{prefix}_")
            kind = _kind(value)
            if kind is not None and name != str(key):
                found[f"results.{name.replace('.', ' ')}"] = f"{kind}, and no figure"
    return found


def _kind(value: Any) -> str | None:
    """Return what *value* is, if neither it nor what it holds can be a figure."""
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, list | tuple) or (
        hasattr(value, "shape") and getattr(value, "size", 1) not in {1, ()}
    ):
        return "a list"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, Mapping) and not any(number(one) is not None for one in value.values()):
        return "a mapping"
    return None


def _loads_best(observed: Observed) -> bool:
    loads = observed.arguments.get("load_best_model_at_end", False)
    return bool(loads and observed.progress.best_checkpoint is not None)


def _is_of_final_weights(observed: Observed, entry: Mapping[str, Any]) -> bool:
    """Return whether *entry*, logged during training, is of the weights that the run ended with."""
    best_step = observed.progress.best_step
    if _loads_best(observed) and best_step is not None:
        return bool(entry.get("step") == best_step)
    return True  # the last evaluation; its step says of which weights it is


def _metrics(
    observed: Observed, entry: Mapping[str, Any], name: str | None, step: int | None
) -> Iterator[Metric]:
    prefix = f"{prefix_of(entry)}_"
    evaluator = _of_sentence_transformers(observed)
    for key, value in _flat(entry):
        own = key.startswith(prefix)
        if key.endswith(_SPEEDS) or not (own or (evaluator and key.startswith("eval_"))):
            continue
        metric = key.removeprefix(prefix) if own else key.removeprefix("eval_")
        if _is_counter(observed, metric):
            continue
        data = EVALUATOR if evaluator and not metric.endswith("loss") else name
        yield Metric(name=metric, value=value, dataset=data, step=step)


def _flat(entry: Mapping[str, Any]) -> Iterator[tuple[str, float | int]]:
    """Yield (key, figure) of *entry*; of a mapping in it each figure, its key behind a space."""
    for key, value in entry.items():
        inner = (
            {f"{key} {name}": one for name, one in value.items()}
            if isinstance(value, Mapping)
            else {str(key): value}
        )
        for name, one in inner.items():
            figure = number(one)
            if figure is not None:
                yield name, figure


def _is_counter(observed: Observed, name: str) -> bool:
    return "trl" in observed.trainer.libraries() and (
        name in _COUNTERS or name.startswith(_COUNTED)
    )


def _of_sentence_transformers(observed: Observed) -> bool:
    """Return whether the trainer is one of sentence-transformers.

    Its metrics come from an evaluator alone.
    """
    return "sentence_transformers" in observed.trainer.libraries()
