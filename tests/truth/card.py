"""Oracles of the card: claims in the texts that autocard wrote into it."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from truth.common import UNSURE, Said, Truth, installed, length_of, named, near, number


def _version(package: str) -> Callable[[str, Truth], bool]:
    return lambda said, _: str(installed(package)).split("+")[0] == said.split("+")[0]


def _lora(name: str) -> Callable[[str, Truth], bool | None]:
    def is_so(said: str, true: Truth) -> bool | None:
        values = [getattr(one, name, None) for one in true.adapters.values()]
        if 0 in values:  # PEFT works it out of another setting
            return UNSURE
        return (
            number(said) in [float(one) for one in values if one is not None] if values else UNSURE
        )

    return is_so


def _parameters(said: str, true: Truth, *, trained: bool) -> bool | None:
    if true.parameters is None:
        return UNSURE
    if trained:
        return true.fits_trained(int(number(said)))
    return number(said) == sum(one.count for one in true.parameters)


def _setting(name: str) -> Callable[[str, Truth], bool | None]:
    return lambda said, true: near(float(said), float(getattr(true.args, name)))


def _rate(said: str, true: Truth) -> bool | None:
    """Return whether a learning rate is that of the arguments or one that the optimizer had."""
    rates = {rate for step in true.observed.steps for rate in step.learning_rates}
    groups = getattr(true.trainer.optimizer, "param_groups", None) or []
    started = {float(group["initial_lr"]) for group in groups if "initial_lr" in group}
    claimed = float(said.rstrip("."))
    there = {float(true.args.learning_rate), *rates, *started}
    if any(near(claimed, one, share=6e-3) for one in there):
        return True
    return False if rates else UNSURE


def _seconds(said: str, true: Truth) -> bool | None:
    """Return whether a time, such as 0.807 s or 1 min 4 s, lies within the bounds, give or take its last digit."""
    if math.isinf(true.at_most_s) or true.step_begin or true.legs > 1:
        return UNSURE
    units = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
    pieces = re.findall(r"([\d.,]+) (ms|min|[shd])\b", said)
    total = sum(number(amount) * units[unit] for amount, unit in pieces)
    return 0.99 * true.at_least_s - 0.05 <= total <= 1.01 * true.at_most_s + 0.05


def _loss(said: str, true: Truth) -> bool | None:
    there = [entry["eval_loss"] for entry in [*true.log, true.metrics] if "eval_loss" in entry]
    return (
        any(near(number(said), one, share=1e-3, at_most=6e-5) for one in there) if there else UNSURE
    )


LAYERS = ("num_hidden_layers", "n_layer")


def parts_of(config: Any) -> dict[str, Any]:
    """Return the configurations of a model's parts, by their names."""
    names = getattr(config, "sub_configs", None) or {}
    found = {name: getattr(config, name, None) for name in {*names, "encoder", "decoder"}}
    return {
        name: one for name, one in found.items() if named(one, "hidden_size", "d_model") is not None
    }


OF_CARD: dict[str, tuple[str, str, Callable[[str, Truth], bool | None]]] = {
    "parameters": (
        "model_specs",
        r"Parameters: (?:[\d.]+ [KMBT] \()?([\d,]+)(?![\d,.]| trained| [KMBT])",
        functools.partial(_parameters, trained=False),
    ),
    "trained parameters": (
        "model_specs",
        r"(\d[\d,]*)\)? trained",
        functools.partial(_parameters, trained=True),
    ),
    "rank": ("model_specs", r"\br = (\d+)", _lora("r")),
    "alpha": ("model_specs", r"\balpha = (\d+)", _lora("lora_alpha")),
    "layers": (
        "model_specs",
        r"Dimensions: (\d+) layers?",
        lambda said, true: (
            UNSURE
            if true.config is None or parts_of(true.config)
            else int(said) == named(true.config, *LAYERS)
        ),
    ),
    "steps": (
        "training_hyperparameters",
        r"Training length: ([\d,]+) optimizer step",
        lambda said, true: number(said) == true.state.global_step,
    ),
    "seed": ("training_hyperparameters", r"(?m)^- Seed: (\d+)", _setting("seed")),
    "learning rate": (
        "training_hyperparameters",
        r"(?m)^- Optimizer: [^\n]*?\(learning rate ([\d.e+-]+)",
        _rate,
    ),
    "rows": (
        "training_data",
        r"\A[^;\n]*?, ([\d,]+) rows",
        lambda said, true: (
            UNSURE
            if (rows := length_of(true.trainer.train_dataset)) is None
            or hasattr(true.trainer.train_dataset, "datasets")
            else number(said) == rows
        ),
    ),
    "time": ("speeds_sizes_times", r"(?m)Wall-clock time: (.*)$", _seconds),
    "hours used": ("hours_used", r"\A((?:[\d.,]+ (?:ms|min|[shd]) ?)+)wall-clock", _seconds),
    "loss": ("results", r"(?m)^\| loss \| ([\d.]+) \|$", _loss),
    "regime": (
        "training_regime",
        r"\A(fp32)\b",
        lambda _, true: UNSURE if true.parameters is None else not true.args.bf16,
    ),
    "library": (
        "yaml:library_name",
        r'"(.*)"',
        lambda said, true: said != "peft" or bool(true.adapters),
    ),
    "Transformers": ("software", r"(?m)^- Transformers (\S+)$", _version("transformers")),
    "PyTorch": ("software", r"(?m)^- PyTorch (\S+)$", _version("torch")),
    "PEFT": ("software", r"(?m)^- PEFT (\S+)$", _version("peft")),
}
"""Claim → (slot, how it is said there, whether that is so)."""


def of_card(slots: Mapping[str, str], card: str, true: Truth) -> Iterator[Said]:
    """Yield the claims of the texts that we wrote into a card, and whether they stand in it."""
    for claim, (slot, pattern, is_so) in OF_CARD.items():
        found = re.search(pattern, slots.get(slot, ""))
        if found is None or found[0].splitlines()[0] not in card:
            continue
        answer = is_so(found[1], true)
        if answer is not UNSURE:
            yield f"card: {claim}", found[1], answer
