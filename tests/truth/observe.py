"""What is seen of a training while it runs: its batches, learning rates and weights, before each optimizer step.

Stands around the Trainer's own method that collects the batches of one optimizer step, and only
looks: it draws no random number, and copies no tensor. Fingerprints are taken of small models
alone.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

SMALL_MODEL = 2_000_000
"""Parameters of a model whose weights are read."""
MOST_STEPS = 200
"""Steps whose weights are read."""


@dataclass
class Step:
    """What one optimizer step was given."""

    number: int
    """Steps of the run before it."""
    samples: int | None
    tokens: int | None
    """Entries of `input_ids`."""
    padding: int | None
    """Entries of the attention mask that are zero."""
    learning_rates: list[float]
    """Of the optimizer's groups, before the step."""


@dataclass
class Observed:
    """What was seen of one training."""

    steps: list[Step] = field(default_factory=list)
    weights_after: dict[int, str] = field(default_factory=dict)
    """Step → fingerprint of the trained tensors after it."""
    tensors_at_begin: dict[str, str] = field(default_factory=dict)
    """Name → digest."""
    statistics_at_begin: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Name → mean and standard deviation."""
    last_batch: Any = None
    trained_before: bool = False
    """Whether a training that was seen earlier left the model with these weights."""


def plain_model(model: Any) -> Any:
    """Return the model without what only compiles it."""
    return getattr(model, "_orig_mod", None) or model


def is_small(model: Any) -> bool:
    from torch import nn

    if not isinstance(model, nn.Module):
        return False
    parameters = list(model.parameters())
    # sharded, quantized, not loaded
    if any(type(one) is not nn.Parameter or one.is_meta for one in parameters):
        return False
    return 0 < sum(one.numel() for one in parameters) <= SMALL_MODEL


def digest(tensor: Any) -> str:
    """Return a digest of a tensor's bytes, shape and type."""
    import torch

    with torch.no_grad():
        plain = tensor.detach().cpu().contiguous()
        data = plain.reshape(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b""
    return hashlib.blake2b(
        data + str((tuple(plain.shape), plain.dtype)).encode(), digest_size=12
    ).hexdigest()


def digests(model: Any) -> dict[str, str]:
    return {
        name: digest(one)
        for name, one in plain_model(model).state_dict().items()
        if hasattr(one, "detach")
    }


def fingerprint(model: Any) -> str:
    """Return one digest over the trained tensors."""
    whole = hashlib.blake2b(digest_size=12)
    for name, one in plain_model(model).named_parameters():
        if one.requires_grad:
            whole.update(name.encode() + digest(one).encode())
    return whole.hexdigest()


def statistics(model: Any) -> dict[str, tuple[float, float]]:
    import torch

    with torch.no_grad():
        return {
            name: (float(one.float().mean()), float(one.float().std(correction=0)))
            for name, one in plain_model(model).named_parameters()
            if one.numel() and one.is_floating_point()
        }


def _flat(batch: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(batch, Mapping):
        for name, value in batch.items():
            yield from ((name, value),) if not isinstance(value, Mapping) else _flat(value)


def rows_of(batch: Any) -> int | None:
    """Return how many samples a batch has."""
    if isinstance(batch, list | tuple):
        return len(batch)
    sizes = [
        len(value)
        for _, value in _flat(batch)
        if getattr(value, "ndim", 0) or isinstance(value, list)
    ]
    return max(set(sizes), key=sizes.count) if sizes else None


def _tensors(batch: Any, name: str) -> list[Any]:
    """Return the tensors of that name; where there is none, those whose names end so, as in batches of pairs."""
    found = {
        path: value
        for path, value in _flat(batch)
        if path.endswith(name) and hasattr(value, "numel")
    }
    return [found[name]] if name in found else list(found.values())


def tokens_of(batch: Any) -> tuple[int | None, int | None]:
    """Return how many token ids and how many masked ones a batch has."""
    ids, masks = _tensors(batch, "input_ids"), _tensors(batch, "attention_mask")
    count = sum(value.numel() for value in ids) if ids else None
    shapes = [value.shape for value in ids]
    padding = (
        sum(int((value == 0).sum()) for value in masks)
        if [value.shape for value in masks] == shapes
        else None
    )
    return count, padding


def total(numbers: list[int | None]) -> int | None:
    known = [one for one in numbers if one is not None]
    return sum(known) if len(known) == len(numbers) and known else None


def learning_rates(trainer: Any) -> list[float]:
    groups = getattr(trainer.optimizer, "param_groups", None) or []
    return [float(group["lr"]) for group in groups if "lr" in group]


PAIRS = ("DPOConfig", "RewardConfig")
"""Arguments of trainers whose batches hold the chosen answers, then the rejected ones."""


def step_of(trainer: Any, batches: list[Any]) -> Step:
    counted = [tokens_of(batch) for batch in batches]
    samples = total([rows_of(batch) for batch in batches])
    if samples and any(cls.__name__ in PAIRS for cls in type(trainer.args).__mro__):
        samples //= 2
    return Step(
        number=int(trainer.state.global_step),
        samples=samples,
        tokens=total([one for one, _ in counted]),
        padding=total([one for _, one in counted]),
        learning_rates=learning_rates(trainer),
    )


def stand_around(look: Callable[[Any, list[Any]], None]) -> Callable[[], None]:
    """Call *look* with the trainer and the batches of each optimizer step; return what undoes it."""
    from transformers import Trainer

    theirs = Trainer.get_batch_samples

    @functools.wraps(theirs)
    def get_batch_samples(trainer: Any, *arguments: Any, **named: Any) -> Any:
        result = theirs(trainer, *arguments, **named)
        if result and result[0]:
            look(trainer, result[0])
        return result

    Trainer.get_batch_samples = get_batch_samples

    def undo() -> None:
        Trainer.get_batch_samples = theirs

    return undo
