"""Whether a model's weights are as its class initialized them: evidence of "trained from scratch".

`from_pretrained` leaves marks, but `load_state_dict`, `torch.load` and copies from another model
leave none, so the absence of marks proves nothing. Initialized weights are recognized by their
values (normalization layers start at one, or at zero, with biases of zero) and, in a small model,
by how often torch has written into each of them in place. Only transformers' models are checked;
it is not known how others start.
"""

from __future__ import annotations

import contextlib
import copy
import sys
from collections.abc import Iterator
from typing import Any

from autocard.capture.unwrap import backbone, original_name

_SMALL = 5_000_000
"""Most parameters of a model that is built again to compare with: some tenths of a second."""
_SAMPLE = 4096
"""Values that are read of each normalization layer."""


def is_fresh(model: Any) -> bool | None:
    """Return whether the weights of *model* are freshly initialized; None: it is not known.

    Call it before training, before a checkpoint is loaded and before anything shards or broadcasts
    the weights.
    """
    inner = backbone(model)
    if inner is None:
        return None
    norms = list(_norm_layers(inner))
    # The values of such a layer are elsewhere.
    if any(layer.weight.is_meta or not layer.weight.numel() for layer in norms):
        return None
    if any(not _starts_like(layer) for layer in norms):
        return False
    written = _written_as_often(inner)
    if written is not None:
        return written
    return True if norms else None


def _norm_layers(model: Any) -> Iterator[Any]:
    """Yield the normalization layers of *model* that have weights."""
    for module in model.modules():
        is_norm = "norm" in type(module).__name__.lower() and not list(module.children())
        if is_norm and getattr(module, "weight", None) is not None:
            yield module


def _starts_like(layer: Any) -> bool:
    """Return whether a normalization *layer* is as it starts; Gemma's weights start at zero."""
    weight = _values(layer.weight)
    bias = _values(layer.bias) if getattr(layer, "bias", None) is not None else None
    starts = bool((weight == 1).all()) or bool((weight == 0).all())
    return starts and (bias is None or bool((bias == 0).all()))


def _values(tensor: Any) -> Any:
    local = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return local.detach().flatten()[:_SAMPLE]


def _written_as_often(model: Any) -> bool | None:
    """Return whether each weight was written into as often as in a new model; None: not comparable.

    Embeddings are left out: resizing them is no loading.
    """
    if not type(model).__module__.startswith("transformers.") or model.num_parameters() > _SMALL:
        return None
    torch = sys.modules["torch"]
    try:
        with torch.random.fork_rng(devices=[]):  # random numbers of the run stay as they are
            other = type(model)(copy.deepcopy(model.config))
    except (TypeError, ValueError, AttributeError, RuntimeError, NotImplementedError, ImportError):
        return None
    expected = {name: _writes(weight) for name, weight in other.named_parameters()}
    resized = {id(weight) for weight in _embeddings(model)}
    found = {
        original_name(name): _writes(weight)
        for name, weight in model.named_parameters()
        if id(weight) not in resized
    }
    shared = found.keys() & expected.keys()
    if not shared:
        return None
    return all(found[name] == expected[name] for name in shared)


def _writes(weight: Any) -> int:
    """Return how often torch has written into *weight* in place; it has no public count."""
    return int(weight._version)  # noqa: SLF001


def _embeddings(model: Any) -> list[Any]:
    """Return the weights that `resize_token_embeddings` replaces.

    Models of several parts may have none of these methods.
    """
    layers = []
    for name in ("get_input_embeddings", "get_output_embeddings"):
        with contextlib.suppress(NotImplementedError):
            layers.append(getattr(model, name)())
    return [layer.weight for layer in layers if getattr(layer, "weight", None) is not None]
