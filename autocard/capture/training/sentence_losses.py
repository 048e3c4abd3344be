"""The loss of a sentence-transformers trainer: class, parameters off default, parts.

Only plain values are read: numbers, flags, short words. A loss of the run's own is named by its
class.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

from autocard.capture.training.loss_source import package_of

_PACKAGE = "sentence_transformers"
_WORD = re.compile(r"[A-Za-z_][\w.-]{0,60}")
"""A name such as "cos_sim" or "torch.nn.modules.activation.Sigmoid"; no path, no sentence."""
_SPEED_ONLY = frozenset({"mini_batch_size", "mini_batch_num_tokens", "score_mini_batch_size"})
"""Parameters that change the memory that is needed, and not the loss."""
_DEPTH = 4
"""Losses inside losses."""


def in_words(losses: Any) -> str | None:
    """Return the loss, or for several data sets the loss of each; None: there is none."""
    if losses is None:
        return None
    if not isinstance(losses, Mapping):
        return _loss(losses)
    each = {str(name): _loss(loss) for name, loss in losses.items()}
    if len(set(each.values())) == 1:
        return next(iter(each.values()))
    return "; ".join(f"{name}: {words}" for name, words in each.items())


def _loss(loss: Any, depth: int = 0) -> str:
    name = type(loss).__name__
    if package_of(type(loss).__module__) != _PACKAGE:
        return f"custom loss ({name})"
    inner = getattr(loss, "loss", None)
    around = (
        f" around {_loss(inner, depth + 1)}" if hasattr(inner, "forward") and depth < _DEPTH else ""
    )
    settings = ", ".join(f"{key} {_plain(value)}" for key, value in _settings(loss).items())
    return f"{name}{f' ({settings})' if settings else ''}{around}"


def _settings(loss: Any) -> dict[str, Any]:
    """Return the parameters of *loss* that differ from the library's defaults."""
    if not hasattr(loss, "get_config_dict"):
        return {}
    defaults = {
        name: one.default for name, one in inspect.signature(type(loss).__init__).parameters.items()
    }
    return {
        str(name): value
        for name, value in loss.get_config_dict().items()
        if name not in _SPEED_ONLY
        and name != "loss"
        and _tells(value)
        and not _is_default(value, defaults.get(name))
    }


def _tells(value: Any) -> bool:
    """Return whether *value* is plain, and not a row of ones (equal weights)."""
    if isinstance(value, list | tuple):
        plain = bool(value) and all(
            isinstance(one, int | float | str) and _tells(one) for one in value
        )
        return plain and any(one != 1 for one in value)
    if isinstance(value, str):
        return _WORD.fullmatch(value) is not None
    return isinstance(value, int | float)


def _is_default(value: Any, default: Any) -> bool:
    if isinstance(value, list | tuple) and isinstance(default, list | tuple):
        return list(value) == list(default)
    if isinstance(value, str) and not isinstance(default, str):  # the name of a function or a class
        name = getattr(default, "__name__", None) or type(default).__name__
        return value.rpartition(".")[2].lower() == str(name).lower()
    return bool(value == default)


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_plain(one) for one in value) + "]"
    if isinstance(value, str):
        return value.rpartition(".")[2]
    return f"{value:g}" if isinstance(value, float) else str(value)
