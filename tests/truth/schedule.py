"""Oracles of the schedule: what is said of learning rates, against those of the optimizer before each step."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

from truth.common import Said, Truth

CLOSE = 1e-4


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= CLOSE * abs(other) + 1e-15


def rates_of(true: Truth) -> list[float]:
    """Return the highest rate of the optimizer's groups before each step."""
    rates = [max(step.learning_rates) for step in true.observed.steps if step.learning_rates]
    return rates if len(rates) == len(true.observed.steps) else []


def schedule_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    said, rates = known["training"]["scheduler"] or "", rates_of(true)
    if not said or not rates or true.step_begin:
        return
    shown = f"{said}: {[float(f'{rate:.3g}') for rate in rates[:8]]}"
    warmup = re.search(r"([\d,]+) warm-?up step", said)
    if warmup is not None:
        count = min(int(warmup[1].replace(",", "")), len(rates) - 1)
        rising = all(before < after for before, after in itertools.pairwise(rates[: count + 1]))
        yield "training.scheduler (warm-up)", shown, rising
    elif re.match(r"(linear|cosine|constant|polynomial)\b", said):
        yield "training.scheduler (warm-up)", shown, _near(rates[0], max(rates))
    if re.match(r"constant(?!.*warm)", said):
        yield "training.scheduler (constant)", shown, _near(min(rates), max(rates))
    if (
        said.startswith("linear")
        and len(rates) > 2
        and (warmup is None or int(warmup[1]) < len(rates) - 1)
    ):
        yield "training.scheduler (linear)", shown, rates[-1] < max(rates)


def warmup_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    """Hold a warm-up among the settings against the first rates: a setting that had no effect is not one."""
    rates = rates_of(true)
    steps = known["training"]["hyperparameters"].get("warmup_steps")
    if (
        steps
        and len(rates) > 1
        and not true.step_begin
        and "warmup_steps" in known["training"]["non_default"]
    ):
        yield (
            "training.hyperparameters.warmup_steps (used)",
            f"{steps}: {rates[:4]}",
            rates[0] < rates[1],
        )


def learning_rate_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    said = re.search(r"learning rates? ([\d.e+-]+)", known["training"]["optimizer"] or "")
    rates = [rate for step in true.observed.steps for rate in step.learning_rates]
    if said is None or not rates:
        return
    groups = getattr(true.trainer.optimizer, "param_groups", None) or []
    there = {*rates, *(float(group["initial_lr"]) for group in groups if "initial_lr" in group)}
    claimed = float(said[1].rstrip("."))
    yield (
        "training.optimizer (learning rate)",
        said[1],
        any(abs(claimed - one) <= 6e-3 * one for one in there),
    )
