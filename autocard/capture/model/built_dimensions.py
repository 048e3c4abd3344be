"""Dimensions as a model is built, where its configuration is stale or has an unused default.

Reads attributes of modules and the source of their classes; the model is never run.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

_MIXES_TOKENS = re.compile(r"attention|attn|mixer|mamba")
"""Names of modules that a layer of a transformer or a state-space model has; convolutions before
the layers do not."""
_ONE_LAYER = re.compile(r"(Layer|Block)(?!.*(Group|Stage))")
"""Classes that are one layer each, such as BertLayer; not AlbertLayerGroup, whose layers share
their weights."""
_READS_IMAGE_SIZE = re.compile(r"\.image_size\b")


def has_vocabulary(model: Any, size: int) -> bool:
    """Return whether *model* has embeddings, or a head, for a vocabulary of *size*."""
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
    """Return whether the code of the modules built from *config* reads its `image_size`."""
    files = {type(holder).__module__ for holder in holders(model, config)}
    return not files or any(_source_reads_image_size(file) for file in files)


def layers(model: Any, config: Any, said: int, side: str | None = None) -> int | None:
    """Return how many layers the modules built from *config* have; None: it is not known.

    Args:
        model: the whole model.
        config: of the whole model or of one part.
        said: how many *config* has. That is returned where a list of modules is that long, or where
            none is a list of layers.
        side: "encoder" or "decoder" of a configuration that describes both.
    """
    inside: list[tuple[str, Any]] = []
    for holder in holders(model, config):
        inside += _own_modules(holder, config)
    if not inside:
        return said
    here = [(name, module) for name, module in inside if side is None or side in name.split(".")]
    if not here:
        return None
    lists = {name: _full(one) for name, one in _lists_of_layers(here)}
    counts = [len(one) for one in lists.values()]
    if not lists or said in counts or not _are_layers(lists.values()):
        return said
    if any(_mixes(name) and not _is_in(name, lists) for name, _ in here):
        return said  # there are layers beside the lists
    return counts[0] if len(lists) == 1 else None


def _are_layers(lists: Iterable[list[Any]]) -> bool:
    """Return whether the classes of all modules in *lists* are those of single layers."""
    return all(_ONE_LAYER.search(type(layer).__name__) for one in lists for layer in one)


def _is_in(name: str, lists: Iterable[str]) -> bool:
    """Return whether the module *name* is inside one of the modules *lists*."""
    return any(name.startswith(f"{one}.") for one in lists)


def holders(model: Any, config: Any) -> list[Any]:
    """Return the outermost modules of *model* that are built from *config*."""
    if not hasattr(model, "children"):
        return []
    if getattr(model, "config", None) is config:
        return [model]
    return [holder for child in model.children() for holder in holders(child, config)]


def _own_modules(holder: Any, config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the modules of *holder* by name, without parts that have a configuration of their own.

    Those configurations are inside *config*.
    """
    others = {id(value) for value in vars(config).values() if hasattr(value, "model_type")}
    for name, child in holder.named_children():
        if id(getattr(child, "config", None)) not in others:
            yield f"{prefix}{name}", child
            yield from _own_modules(child, config, f"{prefix}{name}.")


def _lists_of_layers(modules: list[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield the outermost lists among *modules* in which something mixes tokens."""
    seen: list[str] = []
    for name, module in modules:
        if type(module).__name__ != "ModuleList" or _is_in(name, seen):
            continue
        if any(_mixes(inner) for inner, _ in module.named_modules()):
            seen.append(name)
            yield name, module


def _mixes(name: str) -> bool:
    return _MIXES_TOKENS.search(name.rpartition(".")[2]) is not None


def _full(modules: Any) -> list[Any]:
    """Return those of *modules* that hold weights.

    A layer may have been replaced by one that does nothing.
    """
    return [one for one in modules if next(iter(one.parameters()), None) is not None]


def _rows(weight: Any) -> int | None:
    shape = getattr(weight, "ds_shape", None) or getattr(weight, "shape", None)
    return int(shape[0]) if shape else None


def _source_reads_image_size(module: str) -> bool:
    """Return whether the source of *module* reads an `image_size`; True: there is no source."""
    try:
        return _READS_IMAGE_SIZE.search(inspect.getsource(sys.modules[module])) is not None
    except (KeyError, OSError, TypeError):
        return True
