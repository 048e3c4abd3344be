"""Whether a model's weights are still those of the checkpoint that it names.

A name is where weights were loaded from; `merge_and_unload`, `load_state_dict` or training may have
changed them since. The first values of up to 200 tensors are compared with the checkpoint's files,
and with what an earlier training of this process began with. Files are read in place, a few values
each; nothing is loaded.
"""

from __future__ import annotations

import importlib
import json
import math
import sys
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from autocard import files
from autocard.capture.unwrap import adapted, backbone, original_name, quantization_of

State = Literal["same", "changed", "replaced"]
"""replaced: none of the weights that were compared are the checkpoint's, or most are another
model's; else changed."""

_TENSORS = 200
_VALUES = 64
_UNDER = 8
"""Most weights under adapters that are read."""
_INDEX_BYTES = 20_000_000
_ALIKE = 0.5
"""Correlation with the checkpoint's values from which on a tensor may be made from them, as by a
merged adapter.

Of tensors of two models that were trained apart it is near 0.
"""
_CHANGES_BASE = ("pissa", "olora", "corda", "lora_ga")
"""Initializations of LoRA that take what the adapter starts with out of the base's weights (peft,
lora/layer.py)."""

_begun: weakref.WeakKeyDictionary[Any, dict[str, Weight]] = weakref.WeakKeyDictionary()
"""Model → its weights when the last training of this process on it began."""


@dataclass(frozen=True)
class Weight:
    """What is compared of one tensor of a model."""

    shape: tuple[int, ...]
    dtype: Any
    values: tuple[float, ...]
    """The first values of its first row."""


def compare(model: Any, folder: Path | None) -> State | None:
    """Return how the weights of *model* relate to the checkpoint in *folder*.

    Args:
        model: whole or wrapped.
        folder: of the checkpoint; None: its files are not on this machine.

    Returns:
        None where nothing could be compared.
    """
    inner = backbone(model)
    if inner is None or quantization_of(model) is not None:
        return None
    now = _weights_of(inner, model)
    if folder is not None:
        found = _state(_compared_with_files(folder, now, str(inner.base_model_prefix)))
        if found is not None:
            return found
    before = _begun.get(inner, {})
    return _state([_compared(now[name], weight) for name, weight in before.items() if name in now])


def remember(model: Any) -> None:
    """Keep some values of the weights of *model*: a training begins."""
    inner = backbone(model)
    if inner is not None:
        _begun[inner] = _weights_of(inner, model)


@dataclass(frozen=True)
class _Comparison:
    """How one tensor of a model relates to the checkpoint's of the same name."""

    numel: int
    same: bool
    alike: bool
    """Whether it is the same, or may be made from the checkpoint's."""
    same_shape: bool = True


def _compared(now: Weight, before: Weight) -> _Comparison:
    same = now == before
    alike = same or (
        now.shape == before.shape and _correlation(now.values, before.values) >= _ALIKE
    )
    return _Comparison(math.prod(now.shape), same, alike)


def _correlation(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Return the correlation of two lists of values; 0 where one of them has only one value."""
    mean_one, mean_other = sum(one) / len(one), sum(other) / len(other)
    product = variance_one = variance_other = 0.0
    for left, right in zip(one, other, strict=True):
        product += (left - mean_one) * (right - mean_other)
        variance_one += (left - mean_one) ** 2
        variance_other += (right - mean_other) ** 2
    spread = math.sqrt(variance_one) * math.sqrt(variance_other)
    return product / spread if spread > 0 else 0.0


def _state(compared: list[_Comparison]) -> State | None:
    same = [one.same for one in compared if one.same_shape]
    if not same:
        return None
    alike = sum(one.numel for one in compared if one.alike)
    if not any(same) or 2 * alike < sum(one.numel for one in compared):
        return "replaced"
    return "same" if all(same) else "changed"


def _weights_of(inner: Any, model: Any) -> dict[str, Weight]:
    """Return the weights of *inner* that can be compared, by name.

    An adapter's are not among them, and none whose values are all the same.
    """
    rewritten = _adapter_rewrites_base(model)
    named = [
        (original_name(name), weight)
        for name, weight in inner.named_parameters()
        if weight.is_floating_point()
        and weight.numel()
        and not weight.is_meta
        and not (rewritten and ".base_layer." in name)
    ]
    found = {}
    for name, weight in named[:: max(1, len(named) // _TENSORS)]:
        values = _first(weight)
        if len(set(values)) > 1:  # those of a new normalization layer are the same in every model
            found[name] = Weight(tuple(weight.shape), weight.dtype, values)
    return found


def _adapter_rewrites_base(model: Any) -> bool:
    holder = adapted(model)
    configs = () if holder is None else holder.peft_config.values()
    starts = [getattr(settings, "init_lora_weights", None) for settings in configs]
    return any(
        isinstance(start, str) and start.lower().startswith(_CHANGES_BASE) for start in starts
    )


def _first(weight: Any) -> tuple[float, ...]:
    local = weight.to_local() if hasattr(weight, "to_local") else weight
    row = local[0] if local.dim() > 1 and len(local) else local
    return tuple(row.detach().flatten()[:_VALUES].float().cpu().tolist())


def _compared_with_files(folder: Path, now: Mapping[str, Weight], prefix: str) -> list[_Comparison]:
    """Compare each weight that the safetensors files in *folder* hold.

    A weight with another number of rows is left out unless its first row is the same: it is a new
    head.
    """
    if "safetensors" not in sys.modules:
        return []
    safe_open = importlib.import_module("safetensors").safe_open
    wanted = {name.removeprefix(f"{prefix}."): weight for name, weight in now.items()}
    compared = []
    for file in _weight_files(folder):
        with safe_open(str(file), framework="pt") as tensors:
            for key in tensors.keys():  # noqa: SIM118 - it is no mapping
                weight = wanted.get(key.removeprefix(f"{prefix}."))
                if weight is not None:
                    compared.append(_compared_with_saved(weight, tensors.get_slice(key)))
    return [one for one in compared if one is not None]


def _compared_with_saved(weight: Weight, saved: Any) -> _Comparison | None:
    """Compare *weight* with its slice *saved* of a file; None: it is a new head."""
    shape, numel = tuple(saved.get_shape()), math.prod(weight.shape)
    if shape[1:] != weight.shape[1:] or len(shape) != len(weight.shape):
        return _Comparison(numel, same=False, alike=False, same_shape=False)
    rows = saved[0:1] if len(shape) > 1 else saved[0:_VALUES]
    same = _is_same(weight, rows)
    if shape == weight.shape:
        alike = same or _correlation(weight.values, _first(rows)) >= _ALIKE
        return _Comparison(numel, same, alike)
    return _Comparison(numel, same, alike=True, same_shape=False) if same else None


def _is_same(weight: Weight, saved: Any) -> bool:
    """Return whether *weight* has the *saved* values, as they are or by way of 16 bits."""
    torch = sys.modules["torch"]
    for between in (weight.dtype, torch.bfloat16, torch.float16):
        if _first(saved.to(between).to(weight.dtype)) == weight.values:
            return True
    return False


def _weight_files(folder: Path) -> Iterator[Path]:
    """Yield the safetensors files of a checkpoint that are there."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        parts = json.loads(files.read_bytes(index, _INDEX_BYTES)).get("weight_map", {})
        for name in sorted(set(parts.values())):
            if "/" not in name and (folder / name).is_file():
                yield folder / name
    elif (folder / "model.safetensors").is_file():
        yield folder / "model.safetensors"


class UnderAdapters:
    """Some values of the weights under a model's adapters, from when training began.

    Keeps no model alive.
    """

    def __init__(self, model: Any) -> None:
        """Read the weights of *model*."""
        inner = backbone(model)
        self._inner = None if inner is None else weakref.ref(inner)
        named = [] if inner is None else list(inner.named_parameters())
        under = [
            (name, weight)
            for name, weight in named
            if ".base_layer." in name and not weight.is_meta
        ]
        self._before = {original_name(name): _first(weight) for name, weight in under[:_UNDER]}

    def bare(self) -> bool:
        """Return whether the adapters have been taken off and not merged into these weights."""
        inner = None if self._inner is None else self._inner()
        if inner is None or not self._before:
            return False
        now = dict(inner.named_parameters())
        if any(".base_layer." in name for name in now):
            return False
        return all(
            name in now and _first(now[name]) == values for name, values in self._before.items()
        )
