"""Figures that cannot be: below zero, not finite, a part that is larger than its whole.

A figure like this is a fault of autocard or of a tool that it asked. When a record is made it
becomes a gap with its reason; in a record that is read it is an error. Looks at records by their
fields, and imports nothing of them.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from autocard import units

Part = TypeVar("Part", bound=BaseModel)

_SIGNED = frozenset({"value", "train_loss", "seed", "unmetered_kwh"})
"""Leaves that may be below zero: metrics, losses, a difference of two meters, and the user's own
number."""
_AS_REPORTED = frozenset({"evaluation"})
"""Parts whose figures that are not finite numbers have a place of their own."""
_COUNTS_BY_NAME = frozenset({"dims", "peak_memory_bytes", "parallelism", "image_size_px"})
"""Mappings and lists of counts."""
_SHARES = frozenset({"cpu_share", "probability", "peak_share"})

LARGEST = 1e100
"""Sums and products of such figures are finite."""
_ROUNDING = 1.001
"""Factor by which a part may be larger than its whole."""
_CLOCKS = 1.01
"""The same for times that two clocks took."""
_CLOCKS_S = 1.0
"""And seconds on top of that."""


@dataclass(frozen=True)
class Impossible:
    """A figure that cannot be."""

    path: str
    """Of the leaf."""
    reason: str
    """What it was and why that cannot be, in words."""


def impossible(part: BaseModel, path: str = "") -> Iterator[Impossible]:
    """Yield the figures of *part*, which stands at *path* in the record, that cannot be."""
    yield from _of_leaves(part, path)
    for relation in _RELATIONS.get(type(part).__name__, ()):
        yield from (Impossible(_join(path, leaf), reason) for leaf, reason in relation(part))
    for name in type(part).model_fields:
        inner = getattr(part, name)
        if isinstance(inner, BaseModel):
            yield from impossible(inner, _join(path, name))
        elif isinstance(inner, list):
            for index, item in enumerate(inner):
                if isinstance(item, BaseModel):
                    yield from impossible(item, _join(path, f"{name}.{index}"))


def without_impossible(part: Part, path: str = "") -> tuple[Part, dict[str, str]]:
    """Return *part*, which is at *path* in the record, without the figures that cannot be.

    Also return path → reason of these figures.
    """
    missing: dict[str, str] = {}
    # From the back: where an item of a list goes, the places of those before it stay.
    for one in reversed(list(impossible(part, path))):
        keys = one.path.removeprefix(path).strip(".").split(".")
        part, gone = _without(part, keys)
        missing[_join(path, gone)] = one.reason
    return part, missing


# -- leaves ----------------------------------------------------------------------------------------


def _of_leaves(part: BaseModel, path: str) -> Iterator[Impossible]:
    signed = _AS_REPORTED & set(path.split(".")[:1])
    for name in type(part).model_fields:
        value = getattr(part, name)
        place = _join(path, name)
        if name in _COUNTS_BY_NAME:
            items = value.items() if isinstance(value, dict) else enumerate(value)
            found = [why for _, item in items if (why := _fault(name, item))]
            yield from (Impossible(place, why) for why in found[:1])
        elif (why := _fault(name, value)) and not (
            signed and isinstance(value, float) and not math.isfinite(value)
        ):
            yield Impossible(place, why)


def _fault(name: str, value: Any) -> str | None:
    """Return why the figure *value* cannot be; None: it is none, or can be."""
    if isinstance(value, str) and name.endswith("_at") and not _is_instant(value):
        return f"the time was {value[:40]!r}, which is none in ISO 8601"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _figure_fault(name, value)


def _figure_fault(name: str, value: float) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return f"the figure was {value}, which is no finite number"
    if abs(value) > LARGEST:
        return f"the figure was above {LARGEST:g}, which is no figure of a training"
    if value < 0 and name not in _SIGNED:
        return f"the figure was {value:g}, and this cannot be below zero"
    if value > 1 and name in _SHARES:
        return f"the figure was {value:g}, and a share cannot be above one"
    return None


def _is_instant(text: str) -> bool:
    try:
        units.instant(text)
    except (ValueError, OverflowError):
        return False
    return True


# -- a part and its whole --------------------------------------------------------------------------

Faults = Iterator[tuple[str, str]]
"""Leaf → why it cannot be."""


def _above(
    part: Any, leaf: str, whole: str, words: str, *, factor: float = 1.0, more: float = 0.0
) -> Faults:
    """Yield *leaf* where it is above *whole*, another leaf of *part*."""
    value, limit = getattr(part, leaf), getattr(part, whole)
    if value is not None and limit is not None and value > limit * factor + more:
        yield leaf, f"the figure was {value:g}, and {words} {limit:g}"


def _model(model: Any) -> Faults:
    yield from _above(
        model, "parameters_trainable", "parameters_total", "all parameters together are"
    )


def _leg(leg: Any) -> Faults:
    if leg.step_begin is not None and leg.step_end is not None and leg.step_end < leg.step_begin:
        yield (
            "step_end",
            f"the figure was {leg.step_end}, and the start began at step {leg.step_begin}",
        )
    yield from _above(
        leg, "repeated_s", "wall_clock_s", "the start took", factor=_CLOCKS, more=_CLOCKS_S
    )


def _time(time: Any) -> Faults:
    times = {"factor": _CLOCKS, "more": _CLOCKS_S}
    yield from _above(time, "eval_s", "wall_clock_s", "all of training took", **times)
    yield from _above(time, "repeated_s", "wall_clock_s", "all of training took", **times)
    used_s, given_s = time.gpu_s, time.allocated_gpu_s
    if used_s is not None and given_s is not None and used_s > given_s * _CLOCKS + _CLOCKS_S:
        yield (
            "allocated_gpu_s",
            f"the figure was {given_s:g}, and GPUs were used for {used_s:g} device-seconds",
        )


def _energy(energy: Any) -> Faults:
    total = ("total_kwh", "the total is")
    for leaf in ("gpu_kwh", "cpu_kwh", "ram_kwh", "repeated_kwh", "reported_kwh"):
        yield from _above(energy, leaf, *total, factor=_ROUNDING)
    yield from _above(
        energy, "total_kwh", "facility_kwh", "with the building's share it is", factor=_ROUNDING
    )


def _dataset(data: Any) -> Faults:
    if hasattr(data, "tokens_without_padding"):
        yield from _above(data, "tokens_without_padding", "tokens", "with padding there are")


_RELATIONS: dict[str, tuple[Callable[[Any], Faults], ...]] = {
    "Model": (_model,),
    "Leg": (_leg,),
    "Time": (_time,),
    "Energy": (_energy,),
    "Dataset": (_dataset,),
}
"""Part of the record → what must hold between its leaves."""


# -- leaving out -----------------------------------------------------------------------------------


def _without(part: Any, keys: list[str]) -> tuple[Any, str]:
    """Return *part* without the leaf at *keys*, and the path of what was left out.

    That is the leaf, or the item of a list that cannot lack it.
    A leaf that is never None, such as a count, has its default instead; an item of a list without
    one is left out.
    """
    name, *rest = keys
    value = getattr(part, name)
    if not rest:
        return part.model_copy(update={name: _nothing(part, name)}), name
    if isinstance(value, list):
        index = int(rest[0])
        item, leaf = value[index], rest[1:]
        if len(leaf) == 1 and not _can_lack(item, leaf[0]):
            return part.model_copy(update={name: value[:index] + value[index + 1 :]}), name
        item, gone = _without(item, leaf)
        changed = [*value[:index], item, *value[index + 1 :]]
        return part.model_copy(update={name: changed}), f"{name}.{index}.{gone}"
    inner, gone = _without(value, rest)
    return part.model_copy(update={name: inner}), f"{name}.{gone}"


def _can_lack(part: BaseModel, name: str) -> bool:
    return type(None) in typing.get_args(type(part).model_fields[name].annotation)


def _nothing(part: BaseModel, name: str) -> Any:
    return (
        None
        if _can_lack(part, name)
        else type(part).model_fields[name].get_default(call_default_factory=True)
    )


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
