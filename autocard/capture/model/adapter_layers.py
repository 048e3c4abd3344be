"""The layers of an adapter in the model: where they are, derived sizes, what is saved with them.

A configuration holds what was asked for; PEFT derives some of it only when it makes the layers.
Reads attributes only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

DERIVED = ("r", "oft_block_size", "boft_block_size", "boft_block_num")
"""Settings for which 0 means that PEFT derives them from another one, layer by layer (OFT, BOFT).
"""
_NAMES = 12
"""Most modules that are named."""


def carriers(model: Any, adapter: str) -> list[tuple[str, Any]]:
    """Return (name, layer) of the modules of *model* that hold weights of *adapter*."""
    if not hasattr(model, "named_modules"):
        return []
    return [(name, layer) for name, layer in model.named_modules() if _holds(layer, adapter)]


def _holds(layer: Any, adapter: str) -> bool:
    holders = getattr(type(layer), "adapter_layer_names", None)
    holders = holders or getattr(layer, "adapter_layer_names", ())
    if not isinstance(holders, list | tuple):
        return False
    names = [name for name in holders if isinstance(name, str)]
    return any(adapter in _keys(getattr(layer, name, None)) for name in names)


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
    """Return what PEFT derived for the setting *name* in the layers of *adapter*.

    One value, or a list where they differ.
    """
    found = set()
    for _, layer in carriers(model, adapter):
        value = getattr(layer, name, None)
        value = value.get(adapter) if isinstance(value, dict) else value
        if isinstance(value, int) and value > 0:
            found.add(value)
    values = sorted(found)
    return values[0] if len(values) == 1 else values or None


def reached(names: list[str], model: Any, adapter: str) -> list[str]:
    """Return those of the target *names* that have a layer of *adapter*; all if it has none."""
    there = [f".{name}" for name, _ in carriers(model, adapter)]
    if not there:
        return names
    return [name for name in names if any(one.endswith(f".{name}") for one in there)]


def is_among(weight: Any, trained: Collection[int] | None) -> bool:
    """Return whether *weight* is one of *trained* (ids); None: if it requires a gradient."""
    return bool(weight.requires_grad) if trained is None else id(weight) in trained


def trained_beside(
    holder: Any, model: Any, bias: str, trained: Collection[int] | None = None
) -> list[str]:
    """Return the modules of *model* that are trained but not saved with the adapters of *holder*.

    PEFT saves its own layers and the modules that `modules_to_save` names; *bias* says which biases
    go along.
    """
    marks = _marks_of_saved(holder, model)
    flags: dict[str, bool] = {}
    for name, weight in model.named_parameters():
        is_saved_bias = name.endswith(".bias") and bias in ("all", "lora_only")
        if not is_saved_bias and not any(mark in f".{name}" for mark in marks):
            flags[name.replace(".base_layer.", ".")] = is_among(weight, trained)
    in_part = {_module_of(name) for name, is_trained_one in flags.items() if not is_trained_one}
    names = []
    for name, is_trained_one in flags.items():
        if is_trained_one:
            module = _module_of(name)
            names.append(name if module in in_part else module or name)
    return _short_names(names, flags)


def is_trained(holder: Any) -> bool:
    """Return whether an adapter of *holder* is trained, and not the weights under it alone.

    An adapter that is disabled gets no gradient, even where its weights require one. Where nothing
    requires a gradient, or the adapter's own weights are not known, it is taken for trained.
    """
    names = [name for name, weight in holder.named_parameters() if weight.requires_grad]
    layers = [module for module in holder.modules() if _disabled(module) is not None]
    if layers and all(_disabled(module) for module in layers):
        return not names
    marks = _marks_of_saved(holder, holder)
    own = {
        name for name, _ in holder.named_parameters() if any(mark in f".{name}" for mark in marks)
    }
    return not names or not own or not own.isdisjoint(names)


def _disabled(layer: Any) -> bool | None:
    """Return whether PEFT's *layer* leaves its adapters out; None: it is no such layer."""
    if not hasattr(layer, "adapter_layer_names"):
        return None
    found = getattr(layer, "disable_adapters", None)
    return found if isinstance(found, bool) else None


def _marks_of_saved(holder: Any, model: Any) -> set[str]:
    """Return what the names of the parameters contain that PEFT saves with an adapter."""
    marks = {
        ".modules_to_save.",
        "trainable_tokens_",
        "prompt_encoder",
        "internal_xlora",
        ".adaption_",
    }
    prefix = getattr(getattr(holder, "base_model", None), "prefix", None)
    if isinstance(prefix, str) and prefix:
        marks.add(prefix)
    for module in model.modules():
        names = getattr(module, "adapter_layer_names", ())
        if isinstance(names, list | tuple):
            marks.update(f".{name}" for name in names if isinstance(name, str))
    return marks


def trained_parts(model: Any, trained: Collection[int] | None = None) -> list[str]:
    """Return the parts of a partly frozen *model* that are trained.

    Those are the largest modules that are trained whole. Of a module that is trained in part, and
    not in whole modules inside it, the tensors are named.
    """
    flags = {name: is_among(weight, trained) for name, weight in model.named_parameters()}
    return _short_names(list(_whole(model, "", trained)), flags)


def _whole(module: Any, name: str, trained: Collection[int] | None) -> Iterator[str]:
    flags = [is_among(weight, trained) for weight in module.parameters()]
    if not any(flags):
        return
    if all(flags):
        yield name
        return
    prefix = f"{name}." if name else ""
    for own_name, weight in module.named_parameters(recurse=False):
        if is_among(weight, trained):
            yield f"{prefix}{own_name}"
    for child_name, child in module.named_children():
        yield from _whole(child, f"{prefix}{child_name}", trained)


def _module_of(tensor: str) -> str:
    return tensor.rpartition(".")[0]


def _short_names(names: list[str], flags: dict[str, bool]) -> list[str]:
    """Return *names* once each; many names become short.

    A short name is the end of a name that is part of no frozen tensor's name.

    Args:
        names: of modules and tensors that are trained.
        flags: of each tensor of the model, by its name, whether it is trained.
    """
    names = [name for name in dict.fromkeys(names) if name]
    if len(names) <= _NAMES // 3:
        return names
    frozen = [f".{name}." for name, is_trained_one in flags.items() if not is_trained_one]
    return _in_ranges({_last_words(name, frozen) for name in names})[:_NAMES]


def _last_words(name: str, frozen: list[str]) -> str:
    """Return the shortest end of *name* that is part of no *frozen* tensor's name.

    It does not begin with a number.
    """
    words = name.split(".")
    for first in range(len(words) - 1, 0, -1):
        if words[first].isdigit():
            continue
        end = ".".join(words[first:])
        if not any(f".{end}." in one for one in frozen):
            return end
    return name


def _in_ranges(names: set[str]) -> list[str]:
    """Return *names* in order, those that differ in one number alone as one name: `layers.2-5`."""
    numbers: dict[tuple[str, str], list[int]] = {}
    others = []
    for name in names:
        words = name.split(".")
        places = [place for place, word in enumerate(words) if word.isdigit()]
        if len(places) != 1:
            others.append(name)
            continue
        ends = ".".join(words[: places[0]]), "".join(f".{word}" for word in words[places[0] + 1 :])
        numbers.setdefault(ends, []).append(int(words[places[0]]))
    ranges = [
        f"{start}.{run}{end}" for (start, end), found in numbers.items() for run in _runs(found)
    ]
    return sorted([*others, *ranges])


def _runs(numbers: list[int]) -> list[str]:
    """Return *numbers* as runs: 2-5, 7."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
