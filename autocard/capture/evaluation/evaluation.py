"""What the trainer reported: results of the weights that the run ended with, the log, its mean loss.

Reads `state` only. Results are those of the step whose weights are in the model: the best one where
it was loaded at the end, else the last. A result that is not a finite number is not told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from autocard.capture.evaluation.results import counters, not_figures, predicted, results
from autocard.capture.evaluation.training_log import (
    is_evaluation,
    is_summary,
    number,
    prefix_of,
    summary_of,
    thinned,
)
from autocard.capture.evaluation.weights_in_effect import OfOthers
from autocard.capture.observed import Observed
from autocard.capture.training import divergence, rewards
from autocard.errors import UnavailableError
from autocard.guard import guard
from autocard.record import Best, Evaluation, Metric

MAX_POINTS = 1000
"""Points of the log that the record keeps."""


def capture(
    observed: Observed,
    missing: dict[str, str],
    predictions: Mapping[str, Any] | None = None,
    renamed: Mapping[str, str] | None = None,
    of_others: OfOthers | None = None,
) -> Evaluation:
    """Return results and log.

    Args:
        observed: what the trainer shows.
        missing: path → reason of what could not be had.
        predictions: metrics of a later `predict()`, which no log holds.
        renamed: beginning of a key of the log → what it begins with here.
        of_others: evaluations of other weights than those that were trained; they are left out.
    """
    facts: dict[str, Any] = {"results": []}
    of_others = of_others or OfOthers()
    log = [
        _with_names(entry, renamed or {})
        for entry in thinned(of_others.without(observed.progress.log))
    ]
    filtered = bool(observed.arguments.get("logging_nan_inf_filter", False))
    diverged_at: int | None = None
    with guard("evaluation.diverged", missing):
        facts["diverged"], diverged_at = divergence.signs(observed, log)
    diverged = bool(facts.get("diverged"))
    with guard("evaluation.best", missing):
        facts["best"] = _best(observed, missing)
    with guard("evaluation.results", missing):
        found = results(observed, log) + predicted(observed, predictions or {})
        facts["results"] = found
        facts["not_finite"] = _not_finite(log)
        missing.update(_why(found, facts["not_finite"]))
        missing.update(of_others.reasons(left=bool(found)))
        missing.update(not_figures(log))
    with guard("evaluation.counters", missing):
        facts["counters"] = counters(observed, log)
    with guard("evaluation.rewards", missing):
        facts["rewards"] = rewards.last_logged(log)
    with guard("evaluation.train_loss", missing):
        facts["train_loss"] = _train_loss(log, filtered=filtered, diverged=diverged)
    with guard("evaluation.history", missing):
        facts["history"] = history(_measured(log, diverged_at) if diverged and filtered else log)
    return Evaluation(**facts)


def history(
    log: Sequence[Mapping[str, Any]], points: int = MAX_POINTS
) -> list[dict[str, float | int | str]]:
    """Return the entries of the trainer's *log*, finite numbers only, thinned evenly to at most *points*.

    Evaluations, summaries, the first and the last entry are kept before others are.
    """
    entries = [(is_evaluation(entry) or is_summary(entry), _finite(entry)) for entry in log]
    entries = [(kept, entry) for kept, entry in entries if set(entry) - {"epoch", "step"}]
    if len(entries) <= points:
        return [entry for _, entry in entries]
    kept = [
        index for index, (first, _) in enumerate(entries) if first or index in {0, len(entries) - 1}
    ]
    kept = _evenly(kept, points)
    others = [index for index in range(len(entries)) if index not in set(kept)]
    chosen = sorted({*kept, *_evenly(others, points - len(kept))})
    return [entries[index][1] for index in chosen]


def _with_names(entry: Mapping[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    """Return *entry* with the keys that begin as *renamed* says under their other names."""
    found = {}
    for key, value in entry.items():
        begins = next((one for one in renamed if str(key).startswith(one)), None)
        found[str(key) if begins is None else renamed[begins] + str(key).removeprefix(begins)] = (
            value
        )
    return found


def _measured(log: Sequence[Mapping[str, Any]], diverged_at: int | None) -> list[dict[str, Any]]:
    """Return *log* of a training that diverged without losses that its filter made: means of what was finite, or 0."""
    return [
        {
            key: value
            for key, value in entry.items()
            if key != "loss" or not _made_up(entry, diverged_at)
        }
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


def _best(observed: Observed, missing: dict[str, str]) -> Best:
    progress = observed.progress
    if progress.best_metric is None:
        msg = "no metric was tracked (metric_for_best_model was not set, or nothing was evaluated)"
        raise UnavailableError(msg)
    value = number(progress.best_metric)
    step = progress.best_step
    if value is None:
        missing["evaluation.best.value"] = "the trainer's figure is not a finite number"
    if step is None:
        missing["evaluation.best.step"] = "the trainer kept no step for it"
    loaded = (
        bool(observed.arguments.get("load_best_model_at_end", False))
        and progress.best_checkpoint is not None
    )
    metric = observed.arguments.get("metric_for_best_model")
    if metric is None:
        missing["evaluation.best.metric"] = "metric_for_best_model was not set"
    return Best(metric=metric, value=value, step=step, loaded=loaded)


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
    return {"evaluation.results": "; ".join(words)} if words else {}


def _train_loss(
    log: Sequence[Mapping[str, Any]], *, filtered: bool = False, diverged: bool = False
) -> float:
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
