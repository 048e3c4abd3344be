"""Which weights an earlier training of this process has trained.

Those are no longer what was loaded or initialized. Rule: weights are identified as objects, by weak
references. A copy, or weights that were loaded again, are not recognized, and no model is kept
alive. Weights that a checkpoint has replaced are not looked up.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class HasReached(Protocol):
    """A leg, as far as it is used here."""

    reached: int
    """Global steps done; it grows while training runs."""


@dataclass
class StepsDone:
    """The steps of a leg of another process."""

    reached: int


@dataclass(frozen=True)
class PriorTraining:
    """A training of this process."""

    run_id: str
    """`run.id`."""
    opened: HasReached
    """Its leg, whose steps may still be counted."""
    before: PriorTraining | None = None
    """What had trained the same weights before it."""
    fresh: bool = False
    """Whether the weights were freshly initialized when the first of these trainings began."""

    @property
    def steps(self) -> int:
        """Optimizer steps on these weights, in this training and before it."""
        return self.opened.reached + (0 if self.before is None else self.before.steps)


_ID = re.compile(r"[0-9a-f]{12}")

_trained: dict[int, tuple[weakref.ref[Any], PriorTraining]] = {}


def find(model: Any) -> PriorTraining | None:
    """Return the last training of weights of *model*; None: none is known."""
    for weights in model.parameters():
        found = _trained.get(id(weights))
        if found is None:
            continue
        reference, earlier = found
        if reference() is weights and earlier.steps:
            return earlier
    return None


def packed(earlier: PriorTraining | None) -> dict[str, Any] | None:
    """Return what a checkpoint keeps of *earlier*."""
    return None if earlier is None else {"run_id": earlier.run_id, "steps": earlier.steps}


def unpacked(raw: Any) -> PriorTraining | None:
    """Return the training that a checkpoint kept (`packed`); None: it kept none of autocard's."""
    if not isinstance(raw, Mapping):
        return None
    run_id, steps = raw.get("run_id"), raw.get("steps")
    if not isinstance(run_id, str) or not _ID.fullmatch(run_id):
        return None
    if not isinstance(steps, int) or steps < 1:
        return None
    return PriorTraining(run_id, StepsDone(steps))


def note(model: Any, training: PriorTraining) -> None:
    """Note that *training* trains the weights of *model* from now on."""
    for key in [key for key, (reference, _) in _trained.items() if reference() is None]:
        del _trained[key]
    for weights in model.parameters():
        if weights.requires_grad:
            _trained[id(weights)] = weakref.ref(weights), training
