"""Oracles of the objective: the loss that is named, worked out from logits and labels; the trainers' own names."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

from truth.common import Said, Truth
from truth.replay import Replay

CLOSE = 2e-3
"""How far a loss may lie from what is worked out, as a share."""
COARSE = 2e-2
"""The same for logits of half precision."""
IGNORED = -100


def _cross_entropy(one: Replay) -> float:
    import torch

    logits, labels = one.logits.float(), one.labels
    return float(
        torch.nn.functional.cross_entropy(
            logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), ignore_index=IGNORED
        )
    )


def _next_token(one: Replay) -> float:
    import torch

    logits, labels = one.logits.float(), one.labels
    virtual = logits.shape[-2] - labels.shape[-1]  # tokens before the first, which predict it
    logits, labels = logits[..., max(virtual - 1, 0) : -1, :], labels[..., 0 if virtual else 1 :]
    return float(
        torch.nn.functional.cross_entropy(
            logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), ignore_index=IGNORED
        )
    )


def _squared_error(one: Replay) -> float:
    import torch

    logits, labels = one.logits.float().squeeze(), one.labels.float().squeeze()
    if logits.shape != labels.shape:
        raise ValueError(logits.shape, labels.shape)
    return float(torch.nn.functional.mse_loss(logits, labels))


def _binary(one: Replay) -> float:
    import torch

    return float(
        torch.nn.functional.binary_cross_entropy_with_logits(one.logits.float(), one.labels.float())
    )


LOSSES: tuple[tuple[str, Callable[[Replay], float]], ...] = (
    (r"next-token cross-entropy", _next_token),
    (r"binary cross-entropy", _binary),
    (r"mean squared error|\bMSE\b", _squared_error),
    (r"cross-entropy", _cross_entropy),
)
"""How a loss is named → what it is; the first that fits."""

MORE_THAN_THAT = r"label smoothing|own code|custom|auxiliary|load-balancing|\+|CTC|contrastive|distillation|weighted"
"""Words of an objective that is more, or something else."""


def loss_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    whole, one = known["training"]["objective"] or "", true.replay
    said, added = _without_adapters_term(whole, true)
    if (
        one is None
        or one.logits is None
        or not math.isfinite(one.loss)
        or re.search(MORE_THAN_THAT, said)
    ):
        return
    named = next((loss for pattern, loss in LOSSES if re.search(pattern, said)), None)
    if named is None:
        return
    try:
        worked_out = named(one) + added
    except (RuntimeError, ValueError, IndexError) as exc:
        yield "training.objective (loss)", f"{whole}: {exc}", False
        return
    close = CLOSE if str(one.logits.dtype) == "torch.float32" else COARSE
    fits = abs(worked_out - one.loss) <= close * abs(one.loss) + 1e-5
    yield "training.objective (loss)", f"{whole}: {worked_out:.5f}, trained: {one.loss:.5f}", fits


def _without_adapters_term(said: str, true: Truth) -> tuple[str, float]:
    """Return an objective without AdaLoRA's term, and the term: weight × mean of ‖PPᵀ − 1‖ over its A and B."""
    found = re.search(r" \+ ([\d.]+) × orthogonality regularization of AdaLoRA", said)
    if found is None:
        return said, 0.0
    import torch

    norms = []
    with torch.no_grad():
        for name, one in true.whole.named_parameters():
            if one.requires_grad and ("lora_A" in name or "lora_B" in name):
                short = one if "lora_A" in name else one.T
                norms.append(float(torch.linalg.norm(short @ short.T - torch.eye(len(short)))))
    return said.replace(found[0], ""), float(found[1]) * sum(norms) / max(len(norms), 1)


def names_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    """Hold the objective against the names that the trainer has for its losses."""
    said = known["training"]["objective"]
    if not said:
        return
    kinds = getattr(true.args, "loss_type", None)
    kinds = [kinds] if isinstance(kinds, str) else kinds
    preferences = any(cls.__name__ == "DPOConfig" for cls in type(true.args).__mro__)
    for kind in kinds or () if preferences else ():
        words = {"sigmoid": "dpo", "sft": "sft|supervised|cross-entropy|nll"}.get(
            kind, re.escape(kind).replace("_", ".")
        )
        yield (
            "training.objective (loss type)",
            f"{said}: {kind}",
            re.search(words, said, re.IGNORECASE) is not None,
        )
    if type(true.trainer).__module__.startswith("sentence_transformers"):
        loss = true.trainer.loss
        losses = list(loss.values()) if isinstance(loss, dict) else [loss]
        for one in losses:
            yield (
                "training.objective (loss's class)",
                f"{said}: {type(one).__name__}",
                type(one).__name__ in said,
            )
