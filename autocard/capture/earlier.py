"""Which weights an earlier training of this process has trained: those are no longer what was loaded or initialised.

Rule: weights are known as objects, by weak references: what somebody copied or loaded anew is not recognised, and no
model is kept alive. Weights that a checkpoint has replaced are not asked for.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

from autocard.book import Opened


@dataclass(frozen=True)
class Earlier:
    """A training of this process."""

    run_id: str
    """`run.id`."""
    opened: Opened
    """Its leg, which goes on being told of."""
    before: Earlier | None = None
    """What had trained the same weights before it."""

    @property
    def steps(self) -> int:
        """Optimizer steps that the weights have seen in it and before it."""
        return self.opened.reached + (0 if self.before is None else self.before.steps)


_trained: dict[int, tuple[weakref.ref[Any], Earlier]] = {}


def find(model: Any) -> Earlier | None:
    """Return what has trained weights of *model* before; None: nothing that is known."""
    for weights in model.parameters():
        reference, earlier = _trained.get(id(weights), (None, None))
        if reference is not None and earlier is not None and reference() is weights and earlier.steps:
            return earlier
    return None


def note(model: Any, training: Earlier) -> None:
    """Note that *training* trains the weights of *model* from now on."""
    for key in [key for key, (reference, _) in _trained.items() if reference() is None]:
        del _trained[key]
    for weights in model.parameters():
        if weights.requires_grad:
            _trained[id(weights)] = weakref.ref(weights), training
