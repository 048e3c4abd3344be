"""The entries of the Trainer's log: what each of them is, and its figures as plain numbers."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

MOST_STEPS = 20_000
"""Entries of training steps that are looked at."""


def thinned(
    log: Sequence[Mapping[str, Any]] | None, most: int = MOST_STEPS
) -> list[Mapping[str, Any]]:
    """Return the trainer's *log* with at most *most* training steps, evenly chosen, the last kept.

    A run that logs each of a million steps would hold up its end for seconds. Evaluations,
    summaries and everything else that is no entry of a training step are kept.
    """
    entries = list(log or ())
    if len(entries) <= most:
        return entries
    steps = [index for index, entry in enumerate(entries) if "learning_rate" in entry]
    every = -(-len(steps) // most)
    dropped = set(steps).difference(steps[::-1][::every] if every else ())
    return [entry for index, entry in enumerate(entries) if index not in dropped]


def number(value: Any) -> float | int | None:
    """Return *value* as a plain finite number (numpy's and torch's scalars too), or None."""
    if isinstance(value, str | bytes | bool) or value is None:
        return None
    if hasattr(value, "item") and getattr(value, "size", 1) in {1, ()}:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def prefix_of(entry: Mapping[str, Any]) -> str | None:
    """Return the prefix of the keys of an evaluation's *entry*; None: it is no evaluation.

    The prefix is eval, eval_<name>, or one of the user's.
    """
    if is_summary(entry):
        return None
    for key in map(str, entry):
        prefix = key.removesuffix("_runtime")
        if prefix != key and f"{prefix}_samples_per_second" in entry:
            return prefix
    return None


def prefixes_of(log: Sequence[Mapping[str, Any]] | None) -> list[str]:
    """Return the prefixes of the evaluations in *log*, each once."""
    return list(
        dict.fromkeys(prefix for entry in log or () if (prefix := prefix_of(entry)) is not None)
    )


def set_names(prefixes: Iterable[str]) -> dict[str, str | None]:
    """Return prefix of an evaluation's keys → name of its data set.

    The name is what follows "eval_", where that is unique.

    None: the data set without a name. `test` and `eval_test` keep their whole names beside each
    other.
    """
    every = set(prefixes)
    return {prefix: _set_name(prefix, every) for prefix in every}


def _set_name(prefix: str, every: Collection[str]) -> str | None:
    """Return the name of the data set with the key prefix *prefix*, one of *every* in the log."""
    if prefix == "eval":
        return None
    short = prefix.removeprefix("eval_")
    is_taken = short != prefix and short in every
    return prefix if is_taken else short


def is_evaluation(entry: Mapping[str, Any]) -> bool:
    """Return whether *entry* holds the results of an evaluation."""
    return prefix_of(entry) is not None


def is_summary(entry: Mapping[str, Any]) -> bool:
    """Return whether *entry* is the one that sums a leg up."""
    # Not by train_runtime: include_num_input_tokens_seen puts that into every entry.
    return "train_loss" in entry and "total_flos" in entry


def summary_of(log: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the last summary in the trainer's *log*, or None."""
    return next((entry for entry in reversed(log) if is_summary(entry)), None)
