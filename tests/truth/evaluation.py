"""Oracles of the evaluation's results and of the losses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from truth.common import Said, Truth, near


def evaluation_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    said = known["evaluation"]
    figures: dict[str, list[float]] = {}
    for entry in [*true.log, true.metrics]:
        for name, value in entry.items():
            if isinstance(value, int | float):
                figures.setdefault(name, []).append(float(value))
    for one in said["results"]:
        fitting = [value for name, values in figures.items() if name.endswith(one["name"]) for value in values]
        if fitting and one["value"] is not None:
            found = any(near(one["value"], value, share=1e-5) for value in fitting)
            yield f"evaluation.results[{one['name']}]", one["value"], found
        elif one["split"] == "evaluation":
            yield f"evaluation.results[{one['name']}]", one["value"], False


def losses_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    said = known["evaluation"]
    if said["train_loss"] is not None and not said["diverged"]:
        yield "evaluation.train_loss", said["train_loss"], bool(near(said["train_loss"], true.summary("train_loss")))
    for entry in said["history"]:
        if "loss" in entry and "step" in entry:
            there = [one["loss"] for one in true.log if one.get("step") == entry["step"] and "loss" in one]
            if there:
                fits = any(near(entry["loss"], float(one), share=1e-5) for one in there)
                yield "evaluation.history[].loss", entry["loss"], fits
