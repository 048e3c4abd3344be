"""Dimensions as a model is built, where its configuration is stale or has a default that the model never reads.

Reads attributes of modules and the source of their classes; the model is never run.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from typing import Any

_MIXES_TOKENS = re.compile(r"attention|attn|mixer|mamba")
"""Names of modules that a layer of a transformer or a state-space model has; convolutions before
the layers do not."""
_ONE_LAYER = re.compile(r"(Layer|Block)(?!.*(Group|Stage))")
"""Classes that are one layer each, and no group of layers that share their weights."""
_READS_IMAGE_SIZE = re.compile(r"\.image_size\b")


def has_vocabulary(model: Any, size: int) -> bool:
    """Return whether *model* has a table of embeddings, or a head beside its body, for a vocabulary of *size*."""
    body = getattr(model, "base_model_prefix", "")
    has_body = bool(body) and hasattr(model, body)
    for name, module in model.named_modules():
        is_head = "lm_head" in name or (has_body and name.split(".")[0] != body)
        is_table = "embed" in type(module).__name__.lower()
        sizes = {getattr(module, "num_embeddings", None)}
        if is_head:
            sizes.add(getattr(module, "out_features", None))
        if is_head or is_table:
            sizes.add(_rows(getattr(module, "weight", None)))
        if size in sizes:
            return True
    return False


def reads_image_size(model: Any, config: Any) -> bool:
    """Return whether the code of the modules that are built from *config* reads its `image_size`."""
    files = {type(holder).__module__ for holder in holders(model, config)}
    return not files or any(_source_reads_image_size(file) for file in files)


def layers(model: Any, config: Any, said: int, side: str | None = None) -> int | None:
    """Return how many layers the modules that are built from *config* have; None: they do not tell.

    Args:
        model: the whole model.
        config: of the whole model or of one part.
        said: how many *config* says; stands where a list of modules is that long, or where none is
            a list of layers.
        side: "encoder" or "decoder" of a configuration that describes both.
    """
    found = holders(model, config)
    inside = [(name, module) for holder in found for name, module in _own_modules(holder, config)]
    here = [(name, module) for name, module in inside if side is None or side in name.split(".")]
    if not found or not inside:
        return said
    if not here:
        return None
    lists = dict(_lists_of_layers(here))
    counts = [_length(one) for one in lists.values()]
    are_layers = all(
        _ONE_LAYER.search(type(layer).__name__) for one in lists.values() for layer in _full(one)
    )
    if not lists or said in counts or not are_layers:
        return said
    beside = [
        name
        for name, _ in here
        if _mixes(name) and not any(name.startswith(f"{one}.") for one in lists)
    ]
    if len(lists) == 1 and not beside:
        return counts[0]
    return said if beside else None


def holders(model: Any, config: Any) -> list[Any]:
    """Return the outermost modules of *model* that are built from *config*."""
    if not hasattr(model, "children"):
        return []
    if getattr(model, "config", None) is config:
        return [model]
    return [holder for child in model.children() for holder in holders(child, config)]


def _own_modules(holder: Any, config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the modules of *holder* by name, but for those of the parts that have a configuration inside *config*."""
    others = {id(value) for value in vars(config).values() if hasattr(value, "model_type")}
    for name, child in holder.named_children():
        if id(getattr(child, "config", None)) not in others:
            yield f"{prefix}{name}", child
            yield from _own_modules(child, config, f"{prefix}{name}.")


def _lists_of_layers(modules: list[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield the outermost lists among *modules* in which something mixes tokens."""
    seen: list[str] = []
    for name, module in modules:
        if type(module).__name__ != "ModuleList" or any(name.startswith(f"{one}.") for one in seen):
            continue
        if any(_mixes(inner) for inner, _ in module.named_modules()):
            seen.append(name)
            yield name, module


def _mixes(name: str) -> bool:
    return _MIXES_TOKENS.search(name.rpartition(".")[2]) is not None


def _full(modules: Any) -> list[Any]:
    """Return those of *modules* that hold weights: a layer may have been replaced by one that does nothing."""
    return [one for one in modules if next(iter(one.parameters()), None) is not None]


def _length(modules: Any) -> int:
    return len(_full(modules))


def _rows(weight: Any) -> int | None:
    shape = getattr(weight, "ds_shape", None) or getattr(weight, "shape", None)
    return int(shape[0]) if shape else None


def _source_reads_image_size(module: str) -> bool:
    """Return whether the source of *module* reads an `image_size`; True where there is no source."""
    try:
        return _READS_IMAGE_SIZE.search(inspect.getsource(sys.modules[module])) is not None
    except (KeyError, OSError, TypeError):
        return True
