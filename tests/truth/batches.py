"""Oracles of batch, speed and tokens: against the batches that the training was given."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from truth.common import Said, Truth, length_of
from truth.observe import total

SLACK_S = 0.3
"""By how many seconds the trainer's clock may lie beside ours: it begins earlier."""


def _generates(true: Truth) -> bool:
    """Return whether batches of prompts become batches of completions: what is one sample is then a matter of words."""
    return getattr(true.args, "num_generations", None) is not None


def _packs(true: Truth) -> bool:
    return bool(getattr(true.args, "packing", False) or getattr(true.args, "padding_free", False))


def batch_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    said = known["training"]["effective_batch_size"]
    samples = [step.samples for step in true.observed.steps]
    if said is None or not samples or None in samples or _generates(true) or _packs(true):
        return
    most = max(samples) * int(true.args.world_size)
    yield "training.effective_batch_size", f"{said}: {samples[:6]}", said == most


def speed_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    time, samples = known["time"], total([step.samples for step in true.observed.steps])
    for name in ("samples_per_s", "steps_per_s", "tokens_per_s"):
        if time[name] is not None:
            yield f"time.{name} (positive)", time[name], time[name] > 0
    whole = len(known["legs"]) == 1 and not true.step_begin and not known["run"]["earlier_run"]
    # The trainer's clock begins again with each attempt at a smaller batch, and the speeds are
    # those of the last one.
    whole = whole and not true.args.auto_find_batch_size
    # Processes of a group wait for each other in events, inside one clock's window and outside the
    # other's.
    whole = whole and int(true.args.world_size) == 1
    if not whole or true.steps_s <= 0 or not true.observed.steps:
        return
    if time["steps_per_s"]:
        seconds = len(true.observed.steps) / time["steps_per_s"]
        yield "time.steps_per_s", f"{time['steps_per_s']}", _within(seconds, true)
    if time["samples_per_s"] and samples and not _generates(true) and not _packs(true):
        seconds = samples * int(true.args.world_size) / time["samples_per_s"]
        yield (
            "time.samples_per_s",
            f"{time['samples_per_s']}: {samples} in {true.steps_s:.3f} s at least",
            _within(seconds, true),
        )


def _within(seconds: float, true: Truth) -> bool:
    return 0.9 * true.steps_s - 0.02 <= seconds <= 1.1 * true.at_most_s + SLACK_S


def tokens_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    steps, said = true.observed.steps, known["time"]["tokens"]
    tokens, padding = (
        total([step.tokens for step in steps]),
        total([step.padding for step in steps]),
    )
    first = not true.step_begin and len(known["legs"]) == 1 and not known["run"]["earlier_run"]
    if said is None or tokens is None or not first or _generates(true) or true.args.world_size > 1:
        return
    allowed = {tokens, tokens - (padding or 0)}
    yield "time.tokens", f"{said} of {sorted(allowed)}", said in allowed


def padding_of(known: dict[str, Any], card: str, true: Truth) -> Iterator[Said]:
    """Hold the card's count of seen tokens against the batches: where padding is in it, the card says so."""
    steps = true.observed.steps
    tokens, padding = (
        total([step.tokens for step in steps]),
        total([step.padding for step in steps]),
    )
    said = re.search(r"(?m)tokens seen: ([\d,]+)(.*)$", card)
    if (
        said is None
        or not tokens
        or not padding
        or known["time"]["tokens"] is None
        or true.step_begin
    ):
        return
    if int(said[1].replace(",", "")) == tokens:
        yield "card: tokens seen (padding)", said[0], "padding" in said[2]


def epochs_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    """Hold the epochs against the rows that were drawn, where the whole run was seen and nothing is drawn twice."""
    rows = (
        length_of(true.trainer.train_dataset)
        if hasattr(true.trainer.train_dataset, "features")
        else None
    )
    samples = total([step.samples for step in true.observed.steps])
    said, first = known["run"]["epochs"], not true.step_begin and len(known["legs"]) == 1
    if not rows or not samples or said is None or not first or _generates(true) or _packs(true):
        return
    if known["run"]["earlier_run"] or true.args.dataloader_drop_last or true.args.world_size > 1:
        return
    drawn = samples / rows
    batch = max(step.samples or 0 for step in true.observed.steps) / rows
    yield "run.epochs (rows)", f"{said}: {drawn:.4f}", abs(said - drawn) <= batch + 1e-3
