"""What the trainer reported: results of the final weights, the log, its mean loss.

Results are those of the step whose weights are in the model: the best step if its checkpoint was
loaded at the end, else the last step. Results that are not finite numbers are left out.
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
from autocard.capture.training.throughput import NO_LOG
from autocard.errors import UnavailableError
from autocard.record import Best, Evaluation, Metric
from autocard.record.gaps import Part, PartBuilder

MAX_POINTS = 1000
"""Points of the log that the record keeps."""


def capture(
    observed: Observed,
    predictions: Mapping[str, Any] | None = None,
    renamed: Mapping[str, str] | None = None,
    of_others: OfOthers | None = None,
) -> Part[Evaluation]:
    """Return results and log.

    Args:
        observed: what the trainer shows.
        predictions: metrics of a later `predict()`, which no log holds.
        renamed: beginning of a key of the log → what it begins with here.
        of_others: evaluations of other weights than those that were trained; they are left out.
    """
    part = PartBuilder(Evaluation, "evaluation")
    part.fields["results"] = []
    of_others = of_others or OfOthers()
    log = [
        _with_names(entry, renamed or {})
        for entry in thinned(of_others.without(observed.progress.log))
    ]
    filtered = bool(observed.arguments.get("logging_nan_inf_filter", False))
    diverged_at: int | None = None
    with part.guard("diverged"):
        part.fields["diverged"], diverged_at = divergence.signs(observed, log)
    diverged = bool(part.fields.get("diverged"))
    with part.guard("best"):
        part.include("best", _best(observed))
    with part.guard("results"):
        found = results(observed, log) + predicted(observed, predictions or {})
        not_finite = _not_finite(log)
        part.fields.update(results=found, not_finite=not_finite)
        part.gaps.update(_why(found, not_finite))
        part.gaps.update(of_others.reasons(left=bool(found)))
        part.gaps.update(not_figures(log))
    with part.guard("counters"):
        part.fields["counters"] = counters(observed, log)
    with part.guard("rewards"):
        part.fields["rewards"] = rewards.last_logged(log)
    with part.guard("train_loss"):
        if not observed.trainer.keeps_log():
            raise UnavailableError(NO_LOG)
        part.fields["train_loss"] = _train_loss(log, filtered=filtered, diverged=diverged)
    with part.guard("history"):
        measured = _measured(log, diverged_at) if diverged and filtered else log
        part.fields["history"] = history(measured)
    return part.build()


def history(
    log: Sequence[Mapping[str, Any]], points: int = MAX_POINTS
) -> list[dict[str, float | int | str]]:
    """Return the trainer's *log*, finite numbers only, thinned evenly to at most *points* entries.

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
    """Return *log* of a diverged training without losses that the trainer's filter made up.

    The filter logs means of the finite losses, or 0.
    """
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


def _best(observed: Observed) -> Part[Best]:
    progress = observed.progress
    if progress.best_metric is None:
        msg = "no metric was tracked (metric_for_best_model was not set, or nothing was evaluated)"
        raise UnavailableError(msg)
    part = PartBuilder(Best, "evaluation.best")
    value, metric = number(progress.best_metric), observed.arguments.get("metric_for_best_model")
    part.put("value", value, "the trainer's figure is not a finite number")
    part.put("step", progress.best_step, "the trainer kept no step for it")
    part.put("metric", metric, "metric_for_best_model was not set")
    loads = bool(observed.arguments.get("load_best_model_at_end", False))
    part.fields["loaded"] = loads and progress.best_checkpoint is not None
    return part.build()


def _not_finite(log: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the metrics of each set's last evaluation that are not finite numbers."""
    last = {prefix: entry for entry in log if (prefix := prefix_of(entry)) is not None}
    found = set()
    for prefix, entry in last.items():
        for key, value in entry.items():
            if isinstance(value, float) and not math.isfinite(value):
                found.add(str(key).removeprefix(f"{prefix}_"))
    return sorted(found)


def _why(results: Sequence[Metric], not_finite: Sequence[str] = ()) -> dict[str, str]:
    """Return the gap of the facts that are None in *results*: one for all of them."""
    if not results and not_finite:
        return {"results": f"not a finite number: {', '.join(not_finite)}"}
    if not results:
        return {"results": "nothing was evaluated"}
    words = []
    if any(metric.dataset is None for metric in results):
        words.append("dataset: it is the only one, and has no name")
    return {"results": "; ".join(words)} if words else {}


def _train_loss(
    log: Sequence[Mapping[str, Any]], *, filtered: bool = False, diverged: bool = False
) -> float:
    entry = summary_of(log)
    value = None if entry is None else number(entry["train_loss"])
    if value is None:
        msg = "the trainer logged no finite mean loss: training did not finish, or diverged"
        raise UnavailableError(msg)
    if filtered and diverged:
        msg = (
            "training diverged, and the trainer's mean leaves out losses that are not finite "
            "(logging_nan_inf_filter)"
        )
        raise UnavailableError(msg)
    if filtered and value == 0:
        msg = (
            "the trainer logged 0, which is also what it makes of losses that are not finite "
            "(logging_nan_inf_filter)"
        )
        raise UnavailableError(msg)
    return float(value)
