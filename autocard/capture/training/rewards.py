"""What a policy was rewarded for (TRL's GRPO, RLOO): reward functions, their weights, the rewards logged last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autocard.capture.evaluation.training_log import number, prefix_of

_NAMELESS = "a function without a name"
_FIGURES = ("reward", "kl", "completions/mean_length")
"""Figures of TRL's log that are kept beside the mean reward of each function."""


def functions(trainer: Any) -> dict[str, float]:
    """Return the name of each reward function → its weight; empty: *trainer* has none."""
    made = getattr(trainer, "reward_funcs", None)
    if not isinstance(made, list) or not made:
        return {}
    weights = getattr(trainer, "reward_weights", None)
    each = [float(weight) for weight in weights] if weights is not None else [1.0] * len(made)
    return dict(zip(shown_names(trainer), each, strict=False))


def shown_names(trainer: Any) -> list[str]:
    """Return the names of *trainer*'s reward functions; a reward model is named by its class, not by its folder."""
    names = list(getattr(trainer, "reward_func_names", ()))
    found: list[str] = []
    for index, made in enumerate(trainer.reward_funcs):
        name = (
            str(names[index])
            if index < len(names)
            else str(getattr(made, "__name__", type(made).__name__))
        )
        if hasattr(made, "parameters"):
            name = f"reward model {type(made).__name__}"
        name = _NAMELESS if name == "<lambda>" else name
        found.append(name if name not in found else f"{name} ({index + 1})")
    return found


def renamed(trainer: Any) -> dict[str, str]:
    """Return key of TRL's log → key under which it is kept, where the name of a reward function is not TRL's.

    Of functions with one name TRL logs one figure, their average.
    """
    if not isinstance(getattr(trainer, "reward_funcs", None), list):
        return {}
    shown: dict[str, list[str]] = {}
    for name, own in zip(
        getattr(trainer, "reward_func_names", ()), shown_names(trainer), strict=False
    ):
        shown.setdefault(name, []).append(own)
    kept = {
        name: own[0] if len(own) == 1 else f"{' and '.join(own)}, averaged"
        for name, own in shown.items()
    }
    return {f"rewards/{name}/": f"rewards/{own}/" for name, own in kept.items() if name != own}


def last_logged(log: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the rewards of the last entry of the trainer's *log* that has them, by TRL's names; its step too."""
    for entry in reversed(log):
        if "reward" not in entry or prefix_of(entry) is not None:
            continue
        names = [name for name in map(str, entry) if name in _FIGURES or _is_mean(name)]
        figures = {name: number(entry[name]) for name in [*names, "step"] if name in entry}
        return {name: float(value) for name, value in figures.items() if value is not None}
    return {}


def _is_mean(name: str) -> bool:
    return name.startswith("rewards/") and name.endswith("/mean")
