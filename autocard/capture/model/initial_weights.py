"""Whether a model's weights are as its class initialized them: the evidence that "trained from scratch" needs.

`from_pretrained` leaves marks, but `load_state_dict`, `torch.load` and copies from another model
leave none, so the absence of marks proves nothing. Initialized weights are recognized by their
values (normalization layers start at one, or at zero, with biases of zero) and, in a small model,
by how often torch has written into each of them in place. Only transformers' models are judged; of
others it is not known how they start.
"""

from __future__ import annotations

import contextlib
import copy
import sys
from collections.abc import Iterator
from typing import Any

from autocard.capture.unwrap import backbone, original_name

_SMALL = 5_000_000
"""Parameters of a model that is built a second time to compare with: some tenths of a second."""
_SAMPLE = 4096
"""Values of each normalization layer that are looked at."""


def is_fresh(model: Any) -> bool | None:
    """Return whether the weights of *model* are freshly initialized; None: nothing tells.

    Call it before training, before a checkpoint is loaded and before anything shards or broadcasts
    the weights.
    """
    inner = backbone(model)
    if inner is None:
        return None
    norms = list(_norm_layers(inner))
    # its values are elsewhere
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
    """Return whether each weight was written into as often as in a second, fresh model; None: not comparable.

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
    expected = {name: weight._version for name, weight in other.named_parameters()}  # noqa: SLF001 - torch's only count
    resized = _embeddings(model)
    found = {
        original_name(name): weight._version  # noqa: SLF001
        for name, weight in model.named_parameters()
        if not any(weight is one for one in resized)
    }
    shared = found.keys() & expected.keys()
    if not shared:
        return None
    return all(found[name] == expected[name] for name in shared)


def _embeddings(model: Any) -> list[Any]:
    """Return the weights that `resize_token_embeddings` replaces; models of several parts may name none of theirs."""
    layers = []
    for name in ("get_input_embeddings", "get_output_embeddings"):
        with contextlib.suppress(NotImplementedError):
            layers.append(getattr(model, name)())
    return [layer.weight for layer in layers if getattr(layer, "weight", None) is not None]
