"""Which library with a card of its own trains a model: sentence-transformers or TRL."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

Library: TypeAlias = Literal["", "sentence-transformers", "trl"]
"""Which library writes the card; "": none whose card people would miss."""

_LAYERS = 8
"""Maximum number of nested wrappers around a model."""


def library_of(trainer: Any, model: Any) -> Library:
    """Return the library whose card *trainer* and *model* write."""
    if any(is_sentence_transformer(layer) for layer in layers(model)):
        return "sentence-transformers"
    return "trl" if writes_trl_card(trainer) else ""


def is_sentence_transformer(model: Any) -> bool:
    """Return whether *model* writes the cards of sentence-transformers."""
    return hasattr(type(model), "_create_model_card") and hasattr(model, "model_card_data")


def writes_trl_card(trainer: Any) -> bool:
    """Return whether *trainer* has the card writer of TRL, not one that an author put over it."""
    module = str(getattr(getattr(type(trainer), "create_model_card", None), "__module__", ""))
    return module.partition(".")[0] == "trl"


def layers(model: Any) -> list[Any]:
    """Return *model* and the models inside its wrappers (DDP, torch.compile)."""
    found: list[Any] = []
    while model is not None and len(found) < _LAYERS and all(model is not one for one in found):
        found.append(model)
        inside = vars(model).get("_modules", {})
        model = inside.get("module", inside.get("_orig_mod"))
    return found
