"""What an adapter's layers in the model say of it: where it really is, which sizes PEFT derived, what is saved with it.

A configuration says what was asked for; PEFT works some of it out only when it makes the layers. Reads attributes only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

DERIVED = ("r", "oft_block_size", "boft_block_size", "boft_block_num")
"""Settings for which 0 means that PEFT derives them from another one, layer by layer (OFT, BOFT)."""
_NAMES = 12
"""Modules that are named."""


def carriers(model: Any, adapter: str) -> list[tuple[str, Any]]:
    """Return (name, layer) of the modules of *model* that hold weights of *adapter*."""
    if not hasattr(model, "named_modules"):
        return []
    return [(name, layer) for name, layer in model.named_modules() if _holds(layer, adapter)]


def _holds(layer: Any, adapter: str) -> bool:
    holders = getattr(type(layer), "adapter_layer_names", None) or getattr(layer, "adapter_layer_names", ())
    if not isinstance(holders, list | tuple):
        return False
    return any(adapter in _keys(getattr(layer, name, None)) for name in holders if isinstance(name, str))


def _keys(held: Any) -> list[str]:
    return list(held.keys()) if hasattr(held, "keys") else []


def parameters_of(model: Any, adapter: str) -> Iterator[Any]:
    """Yield the parameters of *adapter* in *model*."""
    for _, layer in carriers(model, adapter):
        for name in layer.adapter_layer_names:
            held: Any = getattr(layer, name, None)
            if adapter not in _keys(held):
                continue
            weights = held[adapter]
            yield from weights.parameters() if hasattr(weights, "parameters") else [weights]


def derived(model: Any, adapter: str, name: str) -> int | list[int] | None:
    """Return what PEFT made of the setting *name* in the layers of *adapter*: one value, or the different ones."""
    found = set()
    for _, layer in carriers(model, adapter):
        value = getattr(layer, name, None)
        value = value.get(adapter) if isinstance(value, dict) else value
        if isinstance(value, int) and value > 0:
            found.add(value)
    values = sorted(found)
    return values[0] if len(values) == 1 else values or None


def reached(names: list[str], model: Any, adapter: str) -> list[str]:
    """Return those of the target *names* that a layer of *adapter* stands for; all where there are no such layers."""
    there = [name for name, _ in carriers(model, adapter)]
    if not there:
        return names
    return [name for name in names if any(one == name or one.endswith(f".{name}") for one in there)]


def is_among(weight: Any, trained: Collection[int] | None) -> bool:
    """Return whether *weight* is among the *trained* ones, known by their ids; None: those that ask for gradients."""
    return bool(weight.requires_grad) if trained is None else id(weight) in trained


def trained_beside(holder: Any, model: Any, bias: str, trained: Collection[int] | None = None) -> list[str]:
    """Return the modules of *model* that are trained but are not saved with the adapters of *holder*.

    PEFT saves its own layers and the modules that `modules_to_save` names; *bias* says which biases go along.
    """
    marks = _marks_of_saved(holder, model)
    found = []
    for name, weight in model.named_parameters():
        is_bias = name.endswith(".bias") and bias in ("all", "lora_only")
        if is_among(weight, trained) and not is_bias and not any(mark in f".{name}" for mark in marks):
            found.append(name.rpartition(".")[0].removesuffix(".base_layer"))
    return _short_names(found)


def is_trained(holder: Any) -> bool:
    """Return whether an adapter of *holder* takes part in training, and not the weights under it alone.

    An adapter that is disabled gets no gradient, even where its weights ask for one. Where nothing asks for a gradient,
    or the adapter's own weights are not known, it is taken for trained.
    """
    names = [name for name, weight in holder.named_parameters() if weight.requires_grad]
    layers = [module for module in holder.modules() if _disabled(module) is not None]
    if layers and all(_disabled(module) for module in layers):
        return not names
    marks = _marks_of_saved(holder, holder)
    own = {name for name, _ in holder.named_parameters() if any(mark in f".{name}" for mark in marks)}
    return not names or not own or not own.isdisjoint(names)


def _disabled(layer: Any) -> bool | None:
    """Return whether PEFT's *layer* leaves its adapters out; None: it is no such layer."""
    found = getattr(layer, "disable_adapters", None) if hasattr(layer, "adapter_layer_names") else None
    return found if isinstance(found, bool) else None


def _marks_of_saved(holder: Any, model: Any) -> set[str]:
    """Return what the names of the parameters contain that PEFT saves with an adapter."""
    marks = {".modules_to_save.", "trainable_tokens_", "prompt_encoder", "internal_xlora", ".adaption_"}
    prefix = getattr(getattr(holder, "base_model", None), "prefix", None)
    if isinstance(prefix, str) and prefix:
        marks.add(prefix)
    for module in model.modules():
        names = getattr(module, "adapter_layer_names", ())
        if isinstance(names, list | tuple):
            marks.update(f".{name}" for name in names if isinstance(name, str))
    return marks


def trained_parts(model: Any, trained: Collection[int] | None = None) -> list[str]:
    """Return the modules of a partly frozen *model* that are trained, the largest that are trained whole."""
    return _short_names(list(_whole(model, "", trained)))


def _whole(module: Any, name: str, trained: Collection[int] | None) -> Iterator[str]:
    flags = [is_among(weight, trained) for weight in module.parameters()]
    if not any(flags):
        return
    if all(flags) or not list(module.children()):
        yield name
        return
    own = [is_among(weight, trained) for weight in module.parameters(recurse=False)]
    if any(own):
        yield name
    for child_name, child in module.named_children():
        yield from _whole(child, f"{name}.{child_name}" if name else child_name, trained)


def _short_names(names: list[str]) -> list[str]:
    """Return *names* once each; where they are many, by their last word that is no number."""
    names = [name for name in dict.fromkeys(names) if name]
    if len(names) <= _NAMES // 3:
        return names
    last = [next((word for word in reversed(name.split(".")) if not word.isdigit()), name) for name in names]
    return sorted(set(last))[:_NAMES]
