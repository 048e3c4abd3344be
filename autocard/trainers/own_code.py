"""Code of the run's own that stands in the place of the Trainer's: its loss, its data loaders.

Reads the trainer's methods without calling them. `capture.training.model_loss` does the same for
the model's `forward`.
"""

from __future__ import annotations

from typing import Any

from autocard.capture.observed import OwnLoss
from autocard.capture.training.loss_source import of_library

_METHODS = ("compute_loss", "training_step")
"""What the Trainer calls for the loss of a batch."""


def own_loss(trainer: Any) -> OwnLoss | None:
    """Return the code that computes *trainer*'s loss instead of a library; None: none."""
    overridden = (getattr(trainer, name, None) for name in _METHODS)
    runs_model = any(method is not None and not of_library(method) for method in overridden)
    given = getattr(trainer, "compute_loss_func", None)
    if callable(given) and not of_library(given):  # older versions of TRL set it to a text
        return OwnLoss("compute_loss_func", calls_library=False, runs_model=runs_model)
    for name in [*_METHODS, *_own_loss_methods(type(trainer))]:
        method = getattr(trainer, name, None)
        if method is None or of_library(method):
            continue
        code = getattr(getattr(method, "__func__", method), "__code__", None)
        calls = code is None or not {name, "compute_loss"}.isdisjoint(code.co_names)
        return OwnLoss(f"{name} overridden", calls_library=calls, runs_model=runs_model)
    return None


def runs_own(trainer: Any, name: str) -> bool:
    """Return whether *trainer*'s method *name* is code of the run's own."""
    method = getattr(trainer, name, None)
    return method is not None and not of_library(method)


def _own_loss_methods(cls: type) -> list[str]:
    """Return the loss methods (TRL's `dpo_loss`) that a class of the run's own overrides."""
    own = [parent for parent in cls.__mro__ if parent is not object and not of_library(parent)]
    libraries = [parent for parent in cls.__mro__ if of_library(parent)]
    return [
        name
        for parent in own
        for name, value in vars(parent).items()
        if name.endswith("_loss")
        and callable(value)
        and any(name in vars(library) for library in libraries)
    ]
