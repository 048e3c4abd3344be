"""Whose code works out the training loss: a library's, whose loss is known, or the run's own."""

from __future__ import annotations

from typing import Any

from autocard.capture import OwnLoss

_LIBRARIES = frozenset({"transformers", "trl", "sentence_transformers"})
"""Packages whose trainers' losses the arguments and the model's head tell."""


def own_loss(trainer: Any) -> OwnLoss | None:
    """Return what works out *trainer*'s loss in place of a library; None: nothing does, or there is no trainer."""
    given = getattr(trainer, "compute_loss_func", None)
    if callable(given) and not _of_library(given):  # TRL sets it to a text, to be asked no more than whether it is set
        return OwnLoss("compute_loss_func", calls_library=False)
    method = getattr(trainer, "compute_loss", None)
    if method is None or _of_library(method):
        return None
    code = getattr(getattr(method, "__func__", method), "__code__", None)
    return OwnLoss("compute_loss", calls_library=code is None or "compute_loss" in code.co_names)


def _of_library(made: Any) -> bool:
    """Return whether *made* is a function, or an object of a class, of one of the libraries."""
    made = getattr(made, "func", made)  # of functools.partial
    module = getattr(made, "__module__", None) or type(made).__module__
    return str(module).partition(".")[0] in _LIBRARIES
