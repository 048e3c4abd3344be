"""The optimizer that ran, in words: class, variant (GaLore, 8 bits, paged), settings.

Everything is read from the optimizer and its parameter groups; of groups that differ, every value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autocard import units
from autocard.capture.observed import Observed
from autocard.capture.training.stand_ins import stood_for
from autocard.errors import UnavailableError

_SETTINGS = (
    "lr",
    "betas",
    "eps",
    "weight_decay",
    "momentum",
    "nesterov",
    "amsgrad",
    "alpha",
    "centered",
)
_WORDS = {"lr": "learning rate", "eps": "epsilon", "weight_decay": "weight decay"}

_FAMILIES = {"galore_torch": "GaLore", "apollo_torch": "APOLLO"}
"""Package whose classes have the names of the optimizers that they change → the name of the method.
"""
_LOW_RANK = {
    "rank": "rank",
    "update_proj_gap": "projection updated every {} steps",
    "scale": "scale",
    "proj_type": "projection type",
    "proj": "projection",
    "scale_type": "scale type",
}
"""Setting of a low-rank parameter group → its name for people; {} stands for the value."""
_TARGETS = 8
"""Target modules that are named."""


def in_words(observed: Observed) -> str:
    """Return the optimizer's name and settings.

    Raises:
        UnavailableError: there was no optimizer when training began.
    """
    inner, layerwise = _inside_layers(stood_for(observed.optimizer, "optimizer"))
    groups = getattr(inner, "param_groups", None)
    if inner is None or not groups:
        msg = "the trainer showed no optimizer when training began"
        raise UnavailableError(msg)
    words = [
        *_low_rank(groups, observed.arguments.get("optim_target_modules")),
        *_plain_settings(groups, observed.model),
    ]
    name = f"{name_of(inner)}{', layer by layer' if layerwise else ''}"
    return f"{name} ({', '.join(words)})" if words else name


def name_of(optimizer: Any) -> str:
    """Return the class of *optimizer*, with the method, bits and paging that it leaves out."""
    name = type(optimizer).__name__
    package = type(optimizer).__module__.partition(".")[0]
    family = _FAMILIES.get(package, "")
    if family and family.lower() not in name.lower():
        name = f"{family} {name}"
    if package in _FAMILIES and "8bit" in type(optimizer).__module__ and "8bit" not in name:
        name += " (8-bit)"
    if package != "bitsandbytes":
        return name
    bits = getattr(getattr(optimizer, "args", None), "optim_bits", None)
    marks = (
        ["paged"] if getattr(optimizer, "is_paged", False) and "paged" not in name.lower() else []
    )
    marks += (
        [f"{bits}-bit"] if isinstance(bits, int) and bits < 32 and "bit" not in name.lower() else []  # noqa: PLR2004
    )
    return " ".join([*marks, name])


def _inside_layers(optimizer: Any) -> tuple[Any, bool]:
    """Return the optimizer of one layer, and whether there is one for each parameter."""
    each = getattr(optimizer, "optimizer_dict", None)
    if not isinstance(each, Mapping) or not each:
        return optimizer, False
    low_rank = [one for one in each.values() if any("rank" in group for group in one.param_groups)]
    return (low_rank or list(each.values()))[0], True


def _low_rank(groups: Sequence[Mapping[str, Any]], targets: Any) -> list[str]:
    """Return the settings of the groups with projected gradients, and their modules."""
    group = next(
        (one for one in groups if one.get("rank") is not None and "update_proj_gap" in one), None
    )
    if group is None:
        return []
    found = []
    for key, words in _LOW_RANK.items():
        if group.get(key) is not None:
            value = _number(group[key])
            found.append(words.format(value) if "{}" in words else f"{words} {value}")
    named = _target_names(targets)
    if named:
        more = f" and {len(named) - _TARGETS} more" if len(named) > _TARGETS else ""
        found.append(f"on {', '.join(map(str, named[:_TARGETS]))}{more}")
    return found


def _target_names(targets: Any) -> list[Any]:
    """Return the modules that `optim_target_modules` names: one, several or none."""
    if isinstance(targets, str):
        return [targets]
    return list(targets) if isinstance(targets, list | tuple) else []


def _plain_settings(groups: Sequence[Mapping[str, Any]], model: Any) -> list[str]:
    words = []
    for name in _SETTINGS:
        # A schedule has already changed `lr` to that of the first step; `initial_lr` is what was
        # asked for.
        values = [
            group.get("initial_lr", group.get(name)) if name == "lr" else group.get(name)
            for group in groups
        ]
        said = list(
            dict.fromkeys(
                _number(value) for value in values if value is not None and value is not False
            )
        )
        # bitsandbytes keeps one for all its optimizers
        if said and not (name == "alpha" and said == ["0"]):
            words.append(_setting(name, said, groups, model))
    return words


def _setting(
    name: str, said: Sequence[str], groups: Sequence[Mapping[str, Any]], model: Any
) -> str:
    """Return a setting and its value; of groups that differ, every value."""
    words = _WORDS.get(name, name)
    if len(said) == 1:
        return f"{words} {said[0]}"
    if name == "weight_decay" and set(said[1:]) == {"0"} and _only_biases_and_norms(groups, model):
        return f"{words} {said[0]} (0 for biases and norms)"
    many = "learning rates" if name == "lr" else words
    return f"{many} {', '.join(said)} ({len(groups)} parameter groups)"


def _only_biases_and_norms(groups: Sequence[Mapping[str, Any]], model: Any) -> bool:
    """Return whether all parameters without weight decay are biases or weights of norm layers."""
    exempt: set[int] = set()
    for group in groups:
        if not group.get("weight_decay"):
            exempt.update(id(parameter) for parameter in group.get("params", ()))
    modules = model.modules() if hasattr(model, "modules") else ()
    for module in modules:
        is_norm = "norm" in type(module).__name__.lower()
        for name, parameter in module.named_parameters(recurse=False):
            if is_norm or name.endswith("bias"):
                exempt.discard(id(parameter))
    return not exempt


def _number(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"({', '.join(_number(item) for item in value)})"
    if hasattr(value, "item"):
        value = value.item()
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return units.setting(value) if is_number else str(value)
