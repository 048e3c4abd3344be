"""What the trainer reported: results of the weights that the run ended with, the log, speeds.

Reads `state` only. Results are those of the step whose weights are in the model: the best one where it was loaded at
the end, else the last. A result that is not a finite number is not told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from autocard.capture import Seen
from autocard.errors import UnavailableError
from autocard.guard import guard
from autocard.record import Best, Evaluation, Metric

MAX_POINTS = 1000
"""Points of the log that the record keeps."""

FLOPS_METHOD = (
    "6 × parameters without embeddings × input tokens (forward and backward pass); padding is counted, frozen "
    "parameters like trained ones, evaluation not: the Trainer's own figure"
)
"""What `state.total_flos` counts (transformers, trainer.py, `floating_point_ops`)."""

_SPEEDS = ("_runtime", "_samples_per_second", "_steps_per_second", "_tokens_per_second", "_model_preparation_time")


def capture(seen: Seen, missing: dict[str, str], predictions: Mapping[str, Any] | None = None) -> Evaluation:
    """Return results and log; *predictions* are the metrics of a later `predict()`, which no log holds."""
    facts: dict[str, Any] = {"results": []}
    log = list(seen.state.log_history or ())
    with guard("evaluation.best", missing):
        facts["best"] = _best(seen, missing)
    with guard("evaluation.results", missing):
        results = _results(seen, log) + _predicted(predictions or {})
        facts["results"] = results
        facts["not_finite"] = _not_finite(log)
        missing.update(_why(results, facts["not_finite"]))
    with guard("evaluation.train_loss", missing):
        facts["train_loss"] = _train_loss(log, filtered=bool(getattr(seen.args, "logging_nan_inf_filter", False)))
    with guard("evaluation.history", missing):
        facts["history"] = history(log)
    return Evaluation(**facts)


def time_parts(seen: Seen, missing: dict[str, str], step_begin: int) -> dict[str, Any]:
    """Return `eval_s`, `samples_per_s`, `steps_per_s`, `tokens`, `flops` and `flops_method` of `record.Time`.

    Speeds and evaluation are those of the leg that began at the global step *step_begin*; tokens and operations are
    the whole run's, as the trainer carries them over a resume.
    """
    facts: dict[str, Any] = {}
    log = list(seen.state.log_history or ())
    with guard("time.eval_s", missing):
        facts["eval_s"] = _eval_s(log, step_begin)
    with guard("time.steps_per_s", missing):
        facts.update(_speeds(seen, log, step_begin, missing))
    with guard("time.tokens", missing):
        facts["tokens"] = _tokens(seen, log)
    with guard("time.flops", missing):
        missing["time.flops_method"] = "the trainer counted no operations"
        if not seen.state.total_flos:
            msg = "the trainer counted no operations: it knows them only for models with its own interface"
            raise UnavailableError(msg)
        facts["flops"] = float(seen.state.total_flos)
        facts["flops_method"] = FLOPS_METHOD
        del missing["time.flops_method"]
    return facts


def history(log: Sequence[Mapping[str, Any]], points: int = MAX_POINTS) -> list[dict[str, float | int | str]]:
    """Return the entries of the trainer's *log*, finite numbers only, thinned evenly to at most *points*.

    Evaluations, the first and the last entry are kept before others are.
    """
    entries = [(_is_evaluation(entry), _finite(entry)) for entry in log]
    entries = [(kept, entry) for kept, entry in entries if set(entry) - {"epoch", "step"}]
    if len(entries) <= points:
        return [entry for _, entry in entries]
    kept = [index for index, (evaluation, _) in enumerate(entries) if evaluation or index in {0, len(entries) - 1}]
    kept = _evenly(kept, points)
    others = [index for index in range(len(entries)) if index not in set(kept)]
    chosen = sorted({*kept, *_evenly(others, points - len(kept))})
    return [entries[index][1] for index in chosen]


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
        number = _number(value)
        if number is not None:
            found[str(key)] = number
    return found


def _number(value: Any) -> float | int | None:
    """Return *value* as a plain finite number (numpy's and torch's scalars too), or None."""
    if isinstance(value, str | bytes | bool) or value is None:
        return None
    if hasattr(value, "item") and getattr(value, "size", 1) in {1, ()}:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def _prefix(entry: Mapping[str, Any]) -> str | None:
    """Return what stands before the keys of an evaluation's *entry* (eval, eval_<name>, one of the user's), or None."""
    for key in map(str, entry):
        prefix = key.removesuffix("_runtime")
        if prefix not in {key, "train"} and f"{prefix}_samples_per_second" in entry:
            return prefix
    return None


def _is_evaluation(entry: Mapping[str, Any]) -> bool:
    return _prefix(entry) is not None


def _is_summary(entry: Mapping[str, Any]) -> bool:
    # Not by train_runtime: include_num_input_tokens_seen puts that into every entry.
    return "train_loss" in entry and "total_flos" in entry


def _best(seen: Seen, missing: dict[str, str]) -> Best:
    state, args = seen.state, seen.args
    if state.best_metric is None:
        msg = "no metric was tracked (metric_for_best_model was not set, or nothing was evaluated)"
        raise UnavailableError(msg)
    value = _number(state.best_metric)
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
    summary = max((index for index, entry in enumerate(log) if _is_summary(entry)), default=-1)
    last_of_set: dict[str | None, Mapping[str, Any]] = {}
    for index, entry in enumerate(log):
        if _is_evaluation(entry) and (index > summary or _is_of_final_weights(seen, entry)):
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
    prefix = _prefix(entry)
    return None if prefix in {None, "eval"} else str(prefix).removeprefix("eval_")


def _metrics(entry: Mapping[str, Any], name: str | None) -> list[Metric]:
    prefix = f"{_prefix(entry)}_"
    step = entry.get("step")
    found = []
    for key, value in entry.items():
        number = _number(value)
        if number is None or not str(key).startswith(prefix) or str(key).endswith(_SPEEDS):
            continue
        found.append(Metric(name=str(key).removeprefix(prefix), value=number, dataset=name, step=step))
    return found


def _predicted(metrics: Mapping[str, Any]) -> list[Metric]:
    prefix = next((str(key).removesuffix("runtime") for key in metrics if str(key).endswith("_runtime")), "test_")
    found = []
    for key, value in metrics.items():
        number = _number(value)
        if number is not None and not str(key).endswith(_SPEEDS):
            name = str(key).removeprefix(prefix)
            found.append(Metric(name=name, value=number, split="prediction"))
    return found


def _not_finite(log: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the metrics of the log's last evaluations (of each set) that are infinite or not a number."""
    last = {prefix: entry for entry in log if (prefix := _prefix(entry)) is not None}
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


def _train_loss(log: Sequence[Mapping[str, Any]], *, filtered: bool = False) -> float:
    entry = _summary(log)
    value = None if entry is None else _number(entry["train_loss"])
    if value is None:
        msg = "the trainer logged no finite mean loss: the leg did not come to its end, or diverged"
        raise UnavailableError(msg)
    if filtered and value == 0:
        msg = "the trainer logged 0, which is also what it makes of losses that are not finite (logging_nan_inf_filter)"
        raise UnavailableError(msg)
    return float(value)


def _summary(log: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    return next((entry for entry in reversed(log) if _is_summary(entry)), None)


def _eval_s(log: Sequence[Mapping[str, Any]], step_begin: int) -> float:
    """Return the seconds of evaluations inside the leg: after its first step, before the trainer's summary."""
    found = []
    for entry in log:
        if _is_summary(entry):
            break
        prefix = _prefix(entry)
        if prefix is not None and (entry.get("step", 0) > step_begin or step_begin == 0):
            found.append(float(entry[f"{prefix}_runtime"]))
    return math.fsum(found)


def _speeds(seen: Seen, log: Sequence[Mapping[str, Any]], step_begin: int, missing: dict[str, str]) -> dict[str, Any]:
    """Return samples and optimizer steps per second of the leg, evaluations and saving included.

    Steps are those done, not those planned: older trainers divide the whole plan by the time of a leg that was resumed
    or stopped early. Their samples are put right by the same factor.
    """
    entry = _summary(log)
    runtime_s = None if entry is None else _number(entry.get("train_runtime"))
    done = int(seen.state.global_step) - step_begin
    if entry is None or not runtime_s or done <= 0:
        msg = "the trainer logged no summary: the leg did not come to its end"
        missing["time.samples_per_s"] = msg
        raise UnavailableError(msg)
    steps_per_s = done / runtime_s
    samples_per_s, told = _number(entry.get("train_samples_per_second")), _number(entry.get("train_steps_per_second"))
    if not samples_per_s or samples_per_s < 0:
        missing["time.samples_per_s"] = "the trainer did not count its samples"
        return {"steps_per_s": steps_per_s}
    planned = int(seen.state.max_steps) / runtime_s
    if told and done != int(seen.state.max_steps) and math.isclose(told, planned, rel_tol=0.01, abs_tol=0.001):
        samples_per_s *= steps_per_s / planned
    return {"steps_per_s": steps_per_s, "samples_per_s": samples_per_s}


def _tokens(seen: Seen, log: Sequence[Mapping[str, Any]]) -> int:
    asked = getattr(seen.args, "include_num_input_tokens_seen", "no")
    if asked not in {"no", False, None} and seen.state.num_input_tokens_seen:
        return int(seen.state.num_input_tokens_seen)
    for entry in reversed(log):
        tokens = _number(entry.get("num_tokens"))  # TRL's own count
        if tokens:
            return int(tokens)
    msg = "the trainer did not count tokens; include_num_input_tokens_seen makes it"
    raise UnavailableError(msg)
