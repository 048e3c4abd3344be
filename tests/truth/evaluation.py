"""Oracles of the evaluation's results, of the weights that were evaluated, and of the losses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from truth.common import Said, Truth, near

COUNTERS = ("num_tokens", "num_input_tokens_seen")
"""What trainers log beside metrics and is none: how far the training was."""


def evaluation_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    said = known["evaluation"]
    figures: dict[str, list[float]] = {}
    for entry in [*true.log, true.metrics]:
        for name, value in entry.items():
            nested = (
                {f"{name} {key}": one for key, one in value.items()}
                if isinstance(value, dict)
                else {name: value}
            )
            for key, one in nested.items():
                if isinstance(one, int | float):
                    figures.setdefault(key, []).append(float(one))
    for one in said["results"]:
        if one["split"] == "prediction":  # no log holds these
            continue
        fitting = [
            value
            for name, values in figures.items()
            if name.endswith(one["name"])
            for value in values
        ]
        if fitting and one["value"] is not None:
            found = any(near(one["value"], value, share=1e-5) for value in fitting)
            yield f"evaluation.results[{one['name']}]", one["value"], found
        else:
            yield f"evaluation.results[{one['name']}]", one["value"], False
        if one["name"] in COUNTERS:
            yield "evaluation.results[] (a counter)", one["name"], False


def weights_evaluated(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    """Hold the step of what was just evaluated against the steps after which the weights were the same."""
    after, now = true.observed.weights_after, true.weights_evaluated
    steps = {step for step, weights in after.items() if weights == now}
    if now is None or not steps:
        return
    for one in known["evaluation"]["results"]:
        fitting = [value for name, value in true.evaluated.items() if name.endswith(one["name"])]
        if one["step"] is not None and one["value"] in fitting:
            yield (
                "evaluation.results[].step",
                f"{one['name']}: {one['step']} of {sorted(steps)}",
                one["step"] in steps,
            )


ROUNDING = 0.03
"""Share by which the loss of rounded weights may differ (`bf16_full_eval`)."""


def model_evaluated(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    """Hold what was just evaluated against the answer of the trained model: another's figures are no results of it."""
    if (
        true.answer is None
        or true.answer_now is None
        or near(true.answer_now, true.answer, share=ROUNDING)
    ):
        return
    earlier = {
        float(value)
        for entry in true.log[:-1]
        for value in entry.values()
        if isinstance(value, int | float)
    }
    for one in known["evaluation"]["results"]:
        theirs = [value for name, value in true.evaluated.items() if name.endswith(one["name"])]
        if one["split"] != "prediction" and one["value"] in theirs and one["value"] not in earlier:
            yield "evaluation.results[] (of another model)", f"{one['name']} {one['value']}", False


def losses_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    said = known["evaluation"]
    if said["train_loss"] is not None and not said["diverged"]:
        yield (
            "evaluation.train_loss",
            said["train_loss"],
            bool(near(said["train_loss"], true.summary("train_loss"))),
        )
    for entry in said["history"]:
        if "loss" in entry and "step" in entry:
            there = [
                one["loss"]
                for one in true.log
                if one.get("step") == entry["step"] and "loss" in one
            ]
            if there:
                fits = any(near(entry["loss"], float(one), share=1e-5) for one in there)
                yield "evaluation.history[].loss", entry["loss"], fits
