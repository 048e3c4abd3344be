"""The rewards that a policy's training (TRL's GRPO, RLOO) logged last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autocard.capture.evaluation.training_log import number, prefix_of

_FIGURES = ("reward", "kl", "completions/mean_length")
"""Figures of TRL's log that are kept beside the mean reward of each function."""


def last_logged(log: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the last rewards in the trainer's *log*, by TRL's names, with their step."""
    for entry in reversed(log):
        if "reward" not in entry or prefix_of(entry) is not None:
            continue
        names = [name for name in map(str, entry) if name in _FIGURES or _is_mean(name)]
        figures = {name: number(entry[name]) for name in [*names, "step"] if name in entry}
        return {name: float(value) for name, value in figures.items() if value is not None}
    return {}


def _is_mean(name: str) -> bool:
    return name.startswith("rewards/") and name.endswith("/mean")
