"""Whether training diverged: logged figures or trained weights that are not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from autocard.capture.evaluation.training_log import is_summary, prefix_of
from autocard.capture.observed import Observed

_TENSORS = 8
"""Trained parameters that are looked at: what is not a number spreads to all of them within a step
or two."""
_NUMBERS = 65536
"""Numbers of each of them."""

WEIGHTS = "trained weights are not finite numbers"


def signs(observed: Observed, log: Sequence[Mapping[str, Any]]) -> tuple[list[str], int | None]:
    """Return the signs of divergence, in words, and the first logged step that shows one.

    A figure counts where it stays so to the end: with fp16 the gradient norm is infinite wherever
    the loss scale was too high, and such a step is left out. There it needs weights that say the
    same.
    """
    weights = bad_weights(observed.model)
    steps = _steps(log)
    if observed.arguments.get("fp16", False) and not weights:
        steps.pop("gradient norm", None)
    found = [
        f"{name} was not a finite number from step {step} on"
        for name, step in sorted(steps.items())
    ]
    return [*found, *([WEIGHTS] if weights else [])], min(steps.values(), default=None)


def _steps(log: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return name of a figure → step from which on no value of it in *log* is finite."""
    since: dict[str, int | None] = {}
    for entry in log:
        for name, value in _figures(entry).items():
            if math.isfinite(value):
                since[name] = None
            elif since.get(name) is None:
                since[name] = int(entry.get("step", 0))
    return {name: step for name, step in since.items() if step is not None}


def _figures(entry: Mapping[str, Any]) -> dict[str, float]:
    """Return name for people → figure of *entry* that stays finite in a healthy training."""
    if is_summary(entry):
        return {}
    prefix = prefix_of(entry)
    keys = (
        {"training loss": "loss", "gradient norm": "grad_norm"}
        if prefix is None
        else {f"evaluation loss{'' if prefix == 'eval' else f' ({prefix})'}": f"{prefix}_loss"}
    )
    return {
        name: float(entry[key])
        for name, key in keys.items()
        if isinstance(entry.get(key), int | float)
    }


def bad_weights(model: Any) -> bool:
    """Return whether parts of *model*'s trained parameters are not finite.

    Of shards, those of this process are read.
    """
    if not hasattr(model, "parameters"):
        return False
    trained = [
        one
        for one in model.parameters()
        if one.requires_grad and one.numel() and one.device.type != "meta"
    ]
    every = max(len(trained) // _TENSORS, 1)
    return any(not _finite(one) for one in trained[::every][:_TENSORS] + trained[-1:])


def _finite(parameter: Any) -> bool:
    data = parameter.detach()
    # a shard: the whole would have to be asked of the other processes
    if hasattr(data, "to_local"):
        data = data.to_local()
    part = data.reshape(-1)[:_NUMBERS]
    return bool((part - part == 0).all().item())
