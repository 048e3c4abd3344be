"""Which parameters the optimizer steps of one training change.

Reads the parameters right before an optimizer step, when they have their gradients. A parameter is
trained if the optimizer has it, with a learning rate that is not 0, and it has a gradient. Keeps no
tensor beyond the training.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import Any

from autocard.capture.model.sizes import size_of

EACH_STEP = 50
"""Steps that are read one by one; after them, one step a second is read."""
LOOK_S = 1.0


@dataclass(frozen=True)
class Changed:
    """The parameters that the steps changed."""

    parameters: int
    """How many, in numbers, not in tensors."""
    every: frozenset[int]
    """Ids of the tensors."""
    in_some_steps: frozenset[int]
    """Ids of those that were frozen, or not in the optimizer, in other steps."""


class Steps:
    """What the optimizer steps of one training change."""

    def __init__(self) -> None:
        self._looks = 0
        self._next_s = 0.0
        self._trained: set[int] = set()
        self._asking: set[int] | None = None
        self._all_asking: set[int] = set()
        self._open: list[Any] = []
        """Parameters that require a gradient and have had none so far."""

    def look(self, optimizer: Any, *, is_last: bool) -> None:
        """Read the parameters of *optimizer*, which makes its step next."""
        if self._looks < EACH_STEP or is_last or monotonic() >= self._next_s:
            self._look(optimizer)
        elif self._open:
            self._trained.update(id(one) for one in self._open if one.grad is not None)

    def _look(self, optimizer: Any) -> None:
        self._looks += 1
        self._next_s = monotonic() + LOOK_S
        asking, moving = _asking_and_moving(optimizer)
        with_gradient = {id(one) for one in moving if one.grad is not None}
        without = [one for one in moving if one.grad is None]
        self._asking = asking if self._asking is None else self._asking & asking
        self._all_asking |= asking
        # Where there is no gradient at all, gradients are kept elsewhere (DeepSpeed), or were
        # consumed in the backward pass.
        self._trained |= with_gradient or {id(one) for one in without}
        self._open = [one for one in without if id(one) not in self._trained]

    def changed(self, model: Any) -> Changed | None:
        """Return what was trained of *model*; None: no step showed it."""
        self._open = []
        if not self._looks or not hasattr(model, "parameters"):
            return None
        if any(type(module).__name__ == "FullyShardedDataParallel" for module in model.modules()):
            return None
        own = {id(one): one for one in model.parameters()}
        if self._all_asking.isdisjoint(own):
            return None  # the optimizer has copies, or shards
        trained = frozenset(self._trained & own.keys())
        part_time = trained - (self._asking or set())
        return Changed(sum(size_of(own[one]) for one in trained), trained, frozenset(part_time))


def _asking_and_moving(optimizer: Any) -> tuple[set[int], list[Any]]:
    """Return the ids of parameters that require a gradient, and those that have a learning rate."""
    asking: set[int] = set()
    moving: list[Any] = []
    for group in getattr(optimizer, "param_groups", None) or ():
        parameters = [one for one in group["params"] if one.requires_grad]
        asking.update(id(one) for one in parameters)
        if not _is_zero(group.get("lr")):
            moving += parameters
    return asking, moving


def _is_zero(rate: Any) -> bool:
    # A rate in a tensor is not read: that would wait for the GPU. None: the optimizer works it out
    # (Adafactor).
    return isinstance(rate, int | float) and rate == 0
