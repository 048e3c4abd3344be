"""What the trainer reported: results of the weights that the run ended with, the log, speeds.

Reads `state` only. Results are those of the step whose weights are in the model: the best one where it was loaded at
the end, else the last. A result that is not a finite number is not told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from autocard.capture import Seen, divergence
from autocard.capture.log import is_evaluation, is_summary, number, prefix_of, summary_of
from autocard.errors import UnavailableError
from autocard.guard import guard
from autocard.record import Best, Evaluation, Metric

MAX_POINTS = 1000
"""Points of the log that the record keeps."""

_SPEEDS = ("_runtime", "_samples_per_second", "_steps_per_second", "_tokens_per_second", "_model_preparation_time")


def capture(seen: Seen, missing: dict[str, str], predictions: Mapping[str, Any] | None = None) -> Evaluation:
    """Return results and log; *predictions* are the metrics of a later `predict()`, which no log holds."""
    facts: dict[str, Any] = {"results": []}
    log = list(seen.state.log_history or ())
    filtered = bool(getattr(seen.args, "logging_nan_inf_filter", False))
    diverged_at: int | None = None
    with guard("evaluation.diverged", missing):
        facts["diverged"], diverged_at = divergence.signs(seen, log)
    diverged = bool(facts.get("diverged"))
    with guard("evaluation.best", missing):
        facts["best"] = _best(seen, missing)
    with guard("evaluation.results", missing):
        results = _results(seen, log) + _predicted(predictions or {})
        facts["results"] = results
        facts["not_finite"] = _not_finite(log)
        missing.update(_why(results, facts["not_finite"]))
    with guard("evaluation.train_loss", missing):
        facts["train_loss"] = _train_loss(log, filtered=filtered, diverged=diverged)
    with guard("evaluation.history", missing):
        facts["history"] = history(_measured(log, diverged_at) if diverged and filtered else log)
    return Evaluation(**facts)


def history(log: Sequence[Mapping[str, Any]], points: int = MAX_POINTS) -> list[dict[str, float | int | str]]:
    """Return the entries of the trainer's *log*, finite numbers only, thinned evenly to at most *points*.

    Evaluations, the first and the last entry are kept before others are.
    """
    entries = [(is_evaluation(entry), _finite(entry)) for entry in log]
    entries = [(kept, entry) for kept, entry in entries if set(entry) - {"epoch", "step"}]
    if len(entries) <= points:
        return [entry for _, entry in entries]
    kept = [index for index, (evaluation, _) in enumerate(entries) if evaluation or index in {0, len(entries) - 1}]
    kept = _evenly(kept, points)
    others = [index for index in range(len(entries)) if index not in set(kept)]
    chosen = sorted({*kept, *_evenly(others, points - len(kept))})
    return [entries[index][1] for index in chosen]


def _measured(log: Sequence[Mapping[str, Any]], diverged_at: int | None) -> list[dict[str, Any]]:
    """Return *log* of a training that diverged without losses that its filter made: means of what was finite, or 0."""
    return [
        {key: value for key, value in entry.items() if key != "loss" or not _made_up(entry, diverged_at)}
        for entry in log
    ]


def _made_up(entry: Mapping[str, Any], diverged_at: int | None) -> bool:
    return entry["loss"] == 0 or (diverged_at is not None and entry.get("step", 0) >= diverged_at)


def _evenly(items: list[int], count: int) -> list[int]:
    """Return at most *count* of *items*, first and last among them, at equal distances."""
    if len(items) <= count:
        return items
    if count < 2:  # noqa: PLR2004
        return items[:count]
    return [items[round(index * (len(items) - 1) / (count - 1))] for index in range(count)]


def _finite(entry: Mapping[str, Any]) -> dict[str, float | int | str]:
    found: dict[str, float | int | str] = {}
    for key, value in entry.items():
        figure = number(value)
        if figure is not None:
            found[str(key)] = figure
    return found


def _best(seen: Seen, missing: dict[str, str]) -> Best:
    state, args = seen.state, seen.args
    if state.best_metric is None:
        msg = "no metric was tracked (metric_for_best_model was not set, or nothing was evaluated)"
        raise UnavailableError(msg)
    value = number(state.best_metric)
    step = getattr(state, "best_global_step", None)
    if value is None:
        missing["evaluation.best.value"] = "the trainer's figure is not a finite number"
    if step is None:
        missing["evaluation.best.step"] = "the trainer kept no step for it"
    loaded = bool(getattr(args, "load_best_model_at_end", False)) and state.best_model_checkpoint is not None
    metric = getattr(args, "metric_for_best_model", None)
    if metric is None:
        missing["evaluation.best.metric"] = "metric_for_best_model was not set"
    return Best(metric=metric, value=value, step=step, loaded=loaded)


def _results(seen: Seen, log: Sequence[Mapping[str, Any]]) -> list[Metric]:
    """Return the figures of each evaluation set, of the weights that the model holds at the end."""
    summary = max((index for index, entry in enumerate(log) if is_summary(entry)), default=-1)
    last_of_set: dict[str | None, Mapping[str, Any]] = {}
    for index, entry in enumerate(log):
        if is_evaluation(entry) and (index > summary or _is_of_final_weights(seen, entry)):
            last_of_set[_set_name(entry)] = entry
    return [metric for name, entry in last_of_set.items() for metric in _metrics(entry, name)]


def _is_of_final_weights(seen: Seen, entry: Mapping[str, Any]) -> bool:
    """Return whether *entry*, logged during training, is of the weights that the run ended with."""
    state = seen.state
    best = getattr(seen.args, "load_best_model_at_end", False) and state.best_model_checkpoint is not None
    best_step = getattr(state, "best_global_step", None)
    if best and best_step is not None:
        return bool(entry.get("step") == best_step)
    return True  # the last evaluation; its step says of which weights it is


def _set_name(entry: Mapping[str, Any]) -> str | None:
    prefix = prefix_of(entry)
    return None if prefix in {None, "eval"} else str(prefix).removeprefix("eval_")


def _metrics(entry: Mapping[str, Any], name: str | None) -> list[Metric]:
    prefix = f"{prefix_of(entry)}_"
    step = entry.get("step")
    found = []
    for key, value in entry.items():
        figure = number(value)
        if figure is None or not str(key).startswith(prefix) or str(key).endswith(_SPEEDS):
            continue
        found.append(Metric(name=str(key).removeprefix(prefix), value=figure, dataset=name, step=step))
    return found


def _predicted(metrics: Mapping[str, Any]) -> list[Metric]:
    """Return the figures of each prediction; each has a prefix of its own, "test" where the caller gave none."""
    runtimes = [str(key).removesuffix("_runtime") for key in metrics if str(key).endswith("_runtime")]
    prefixes = sorted(runtimes, key=len, reverse=True) or ["test"]
    found = []
    for key, value in metrics.items():
        figure = number(value)
        prefix = next((one for one in prefixes if str(key).startswith(f"{one}_")), None)
        if figure is not None and not str(key).endswith(_SPEEDS):
            name = str(key).removeprefix(f"{prefix}_")
            found.append(Metric(name=name, value=figure, dataset=prefix, split="prediction"))
    return found


def _not_finite(log: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the metrics of the log's last evaluations (of each set) that are infinite or not a number."""
    last = {prefix: entry for entry in log if (prefix := prefix_of(entry)) is not None}
    found = set()
    for prefix, entry in last.items():
        for key, value in entry.items():
            if isinstance(value, float) and not math.isfinite(value):
                found.add(str(key).removeprefix(f"{prefix}_"))
    return sorted(found)


def _why(results: Sequence[Metric], not_finite: Sequence[str] = ()) -> dict[str, str]:
    """Return the reason of the facts that are None in *results*: one for all of them."""
    if not results and not_finite:
        return {"evaluation.results": f"not a finite number: {', '.join(not_finite)}"}
    if not results:
        return {"evaluation.results": "nothing was evaluated"}
    words = []
    if any(metric.dataset is None for metric in results):
        words.append("dataset: it is the only one, and has no name")
    if any(metric.step is None for metric in results):
        words.append("step: a prediction after training has none")
    return {"evaluation.results": "; ".join(words)} if words else {}


def _train_loss(log: Sequence[Mapping[str, Any]], *, filtered: bool = False, diverged: bool = False) -> float:
    entry = summary_of(log)
    value = None if entry is None else number(entry["train_loss"])
    if value is None:
        msg = "the trainer logged no finite mean loss: the leg did not come to its end, or diverged"
        raise UnavailableError(msg)
    if filtered and diverged:
        msg = "training diverged, and the trainer's mean leaves out losses that are not finite (logging_nan_inf_filter)"
        raise UnavailableError(msg)
    if filtered and value == 0:
        msg = "the trainer logged 0, which is also what it makes of losses that are not finite (logging_nan_inf_filter)"
        raise UnavailableError(msg)
    return float(value)
