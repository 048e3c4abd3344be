"""The reward functions of a policy's training (GRPO, RLOO): names, weights, log keys."""

from __future__ import annotations

from typing import Any

_NAMELESS = "a function without a name"


def functions(trainer: Any) -> dict[str, float]:
    """Return the name of each reward function → its weight; empty: *trainer* has none."""
    made = getattr(trainer, "reward_funcs", None)
    if not isinstance(made, list) or not made:
        return {}
    weights = getattr(trainer, "reward_weights", None)
    each = [float(weight) for weight in weights] if weights is not None else [1.0] * len(made)
    return dict(zip(shown_names(trainer), each, strict=False))


def shown_names(trainer: Any) -> list[str]:
    """Return the names of *trainer*'s reward functions; of a reward model, its class."""
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
    """Return beginning of a key of TRL's log → beginning in the record, where they differ.

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
