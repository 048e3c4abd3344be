"""Whether the weights that an evaluation used are those that training ended with.

`take` keeps samples of the weights and the state of the adapters when training ends; `difference`
compares a model with them. Weights that are sharded, or not loaded, are not compared; the state of
their adapters is. Reads only.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autocard import units
from autocard.capture.observed import Observed
from autocard.capture.unwrap import adapted, original_name, without_wrappers

MOST_WHOLE = 4096
"""Numbers of a tensor that is compared as a whole; of a larger one as many are compared, evenly
spaced."""

_HALF_TYPES = ("bfloat16", "float16")
_OF_PEFT = "base_model.model."


@dataclass(frozen=True)
class Adapters:
    """Which adapters take part in the computation, and how strongly."""

    present: bool = False
    disabled: bool = False
    active: frozenset[str] = frozenset()
    scaling: frozenset[tuple[str, str, float]] = frozenset()
    """(layer, adapter, factor) of the active adapters."""


@dataclass(frozen=True)
class Effect:
    """The weights and adapters of one moment."""

    adapters: Adapters
    samples: Mapping[str, Any] = field(default_factory=dict)
    """Name of a parameter → numbers of it; empty: the weights cannot be compared."""
    under_adapters: frozenset[str] = frozenset()
    """Parameters that merging an adapter changes."""


@dataclass
class OfOthers:
    """Evaluations of other weights than those that were trained."""

    entries: dict[int, str] = field(default_factory=dict)
    """Place in the trainer's log → what was different, in words."""
    predictions: list[str] = field(default_factory=list)
    """What was different in each prediction."""

    def without(self, log: Sequence[Mapping[str, Any]] | None) -> list[Mapping[str, Any]]:
        """Return the entries of *log* but those of other weights."""
        return [entry for place, entry in enumerate(log or ()) if place not in self.entries]

    def reasons(self, *, left: bool) -> dict[str, str]:
        """Return the gap of the results that are left out; *left*: there are others."""
        different = [*self.entries.values(), *self.predictions]
        if not different:
            return {}
        words = "; ".join(dict.fromkeys(different))
        count = units.plural(len(different), "evaluation")
        reason = f"{count} left out, not of the trained weights: {words}"
        return {"results.of other weights" if left else "results": reason}


class Evaluated:
    """Compares the weights that the evaluations of one training use with those that are trained."""

    def __init__(self) -> None:
        self._begun: Effect | None = None
        self._last_step: Effect | None = None
        self._trained: Effect | None = None
        self._model: weakref.ref[Any] | None = None
        self.of_others = OfOthers()

    def begun(self, model: Any) -> None:
        """Note which adapters take part in the training that begins."""
        if model is not None:
            self._begun = Effect(adapters_of(model))

    def last_step(self, model: Any) -> None:
        """Note the weights after the last step: callbacks may change them before training ends."""
        if model is not None:
            self._last_step = take(model)

    def trained(self, model: Any, *, loads_best: bool = False) -> None:
        """Note the weights that training ended with.

        Args:
            model: the model.
            loads_best: they are those of the best checkpoint, not those of the last step.
        """
        if model is None:
            return
        self._trained, self._model = take(model), weakref.ref(model)
        if loads_best:
            self._last_step = None
        if self._begun is not None and self._begun.adapters != self._trained.adapters:
            # They changed in training: which of them an evaluation should have used is not known.
            self.of_others.entries.clear()

    def changed_since(self) -> bool:
        """Return whether weights changed after the last step, or after the best were loaded."""
        model = None if self._model is None else self._model()
        if model is None or self._trained is None:
            return False
        return any(
            weights_differ(one, model)
            for one in (self._last_step, self._trained)
            if one is not None
        )

    def look(self, observed: Observed, metrics: Mapping[str, Any]) -> bool:
        """Note an evaluation that has just ended; return whether it was of other weights."""
        words = self._difference(observed)
        if words is None:
            return False
        log = observed.progress.log
        place = next(
            (
                place
                for place in reversed(range(len(log)))
                if not log[place].keys().isdisjoint(metrics)
            ),
            None,
        )
        if place is not None:
            self.of_others.entries[place] = words
        return place is not None

    def look_at_prediction(self, observed: Observed) -> bool:
        """Note a prediction that has just ended; return whether it was of other weights."""
        words = self._difference(observed)
        if words is not None:
            self.of_others.predictions.append(words)
        return words is not None

    def _difference(self, observed: Observed) -> str | None:
        reference = self._trained or self._begun
        # What the events show is the model that the trainer was made with, which may have been
        # replaced since.
        in_use = observed.trainer.model_in_use()
        # Not by its truth: a compiled model forwards `len` to a model that may have none.
        model = observed.model if in_use is None else in_use
        if reference is None or model is None:
            return None
        return difference(reference, model, weights=self._trained is not None)


def take(model: Any) -> Effect:
    """Return the weights and adapters of *model* as they are now."""
    inner = without_wrappers(model)
    covered = frozenset(name for name, _ in _parameters(inner) if ".base_layer." in f".{name}")
    return Effect(adapters_of(model), _samples(inner), covered)


def adapters_of(model: Any) -> Adapters:
    """Return which adapters of *model* take part in the computation now."""
    holder = adapted(model)
    if holder is None:
        return Adapters()
    layers = [
        (name, layer)
        for name, layer in holder.named_modules()
        if isinstance(getattr(layer, "disable_adapters", None), bool)
        and hasattr(layer, "active_adapters")
    ]
    if not layers:
        # Prompt learning: PEFT keeps the state in the model itself, and disables by replacing
        # `forward`.
        if not any(
            getattr(settings, "is_prompt_learning", False)
            for settings in holder.peft_config.values()
        ):
            return Adapters()  # a shell that the adapter was taken out of
        disabled = bool(getattr(holder, "_adapters_disabled", False)) or "forward" in vars(holder)
        return Adapters(
            present=True, disabled=disabled, active=_names(getattr(holder, "active_adapter", None))
        )
    active = frozenset(name for _, layer in layers for name in layer.active_adapters)
    return Adapters(
        present=True,
        disabled=any(layer.disable_adapters for _, layer in layers),
        active=active,
        scaling=frozenset(_scaling(layers)),
    )


def difference(trained: Effect, model: Any, *, weights: bool = True) -> str | None:
    """Describe how *model* differs from *trained*; None: in nothing that matters.

    Args:
        trained: the weights at the end of training, or the adapters at its beginning.
        model: as an evaluation uses it.
        weights: whether the weights are compared too.
    """
    now = adapters_of(model)
    if trained.adapters.present and not now.present:
        return _without_adapter(trained, model) if weights else "the adapter had been taken off"
    words = _other_adapters(trained.adapters, now)
    if words is not None or not weights:
        return words
    found = _samples(without_wrappers(model))
    if not trained.samples or not found:
        return None
    if found.keys() != trained.samples.keys():
        return "the model had other parameters than at the end of training"
    return (
        "the weights were not those at the end of training"
        if weights_differ(trained, model)
        else None
    )


def weights_differ(before: Effect, model: Any) -> bool:
    """Return whether *model* has the parameters of *before* with other values.

    What merging an adapter changes does not count.
    """
    found = _samples(without_wrappers(model))
    if found.keys() != before.samples.keys():
        return False
    return not all(
        _same(before.samples[name], found[name]) for name in found.keys() - before.under_adapters
    )


def _other_adapters(trained: Adapters, now: Adapters) -> str | None:
    if now == trained:
        return None
    if now.disabled and not trained.disabled:
        return "the adapter was disabled"
    if now.active != trained.active:
        return f"the active adapter was {_listed(now.active)} instead of {_listed(trained.active)}"
    if now.disabled != trained.disabled:
        return "the adapter was enabled, and disabled in training"
    return "the adapter had another scaling" if now.present else None


def _without_adapter(trained: Effect, model: Any) -> str | None:
    """Describe how a *model* without its adapter differs; None: the adapter was merged into it."""
    found = {_plain(name): sample for name, sample in _samples(without_wrappers(model)).items()}
    covered = {
        _plain(name): trained.samples[name]
        for name in trained.under_adapters
        if name in trained.samples
    }
    both = [name for name in covered if name in found]
    if any(not _same(covered[name], found[name]) for name in both):
        return None
    return (
        "the adapter had been taken off"
        if both
        else "the model had other parameters than at the end of training"
    )


def _plain(name: str) -> str:
    """Return the *name* that a parameter has in the model without PEFT."""
    return original_name(name.removeprefix(_OF_PEFT))


def _scaling(layers: list[tuple[str, Any]]) -> Iterator[tuple[str, str, float]]:
    for name, layer in layers:
        factors = getattr(layer, "scaling", None)
        if not isinstance(factors, Mapping):
            continue
        for adapter in layer.active_adapters:
            if isinstance(factors.get(adapter), int | float):
                yield name, adapter, float(factors[adapter])


def _names(active: Any) -> frozenset[str]:
    return frozenset([active] if isinstance(active, str) else active or ())


def _listed(names: frozenset[str]) -> str:
    return " and ".join(f"`{name}`" for name in sorted(names)) or "none"


def _parameters(model: Any) -> Iterator[tuple[str, Any]]:
    if hasattr(model, "named_parameters"):
        yield from model.named_parameters()


def _samples(model: Any) -> dict[str, Any]:
    """Return numbers of each parameter, in main memory.

    Empty: not every parameter is on this process as a whole.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    parameters = dict(_parameters(model))
    if any(_is_apart(one) for one in parameters.values()):
        return {}
    with torch.no_grad():
        return _in_main_memory(torch, {name: _numbers(one) for name, one in parameters.items()})


def _is_apart(parameter: Any) -> bool:
    """Return whether *parameter* is sharded or not loaded (ZeRO-3, FSDP, meta device, lazy)."""
    kind = type(parameter).__name__
    return (
        hasattr(parameter, "ds_numel")
        or hasattr(parameter, "_local_tensor")
        or kind in {"DTensor", "FlatParameter", "UninitializedParameter"}
        or parameter.device.type == "meta"
        or hasattr(parameter, "_is_flat_param")
    )


def _numbers(parameter: Any) -> Any:
    plain = parameter.detach().reshape(-1)
    if plain.numel() <= MOST_WHOLE:
        return plain
    return plain[:: plain.numel() // MOST_WHOLE + 1]


def _in_main_memory(torch: Any, parts: dict[str, Any]) -> dict[str, Any]:
    """Return copies of *parts*, made together for each device and type, which saves waiting."""
    groups: dict[tuple[Any, Any], list[str]] = {}
    for name, part in parts.items():
        groups.setdefault((part.device, part.dtype), []).append(name)
    found: dict[str, Any] = {}
    for names in groups.values():
        sizes = [parts[name].numel() for name in names]
        joined = torch.cat([parts[name] for name in names]).cpu()
        found.update(zip(names, joined.split(sizes), strict=True))
    return {name: found[name] for name in parts}


def _same(before: Any, now: Any) -> bool:
    """Return whether numbers are equal, or equal after rounding to another type.

    `bf16_full_eval` and `model.half()` round.
    """
    torch = sys.modules["torch"]
    if before.shape != now.shape:
        return False
    if before.dtype == now.dtype and torch.equal(before, now):
        return True
    if not (before.is_floating_point() and now.is_floating_point()):
        return False
    if _equal(torch, before.to(now.dtype), now):
        return True
    return any(
        _equal(torch, before.to(getattr(torch, kind)).to(now.dtype), now) for kind in _HALF_TYPES
    )


def _equal(torch: Any, one: Any, other: Any) -> bool:
    # Weights of a training that diverged are not numbers, and the same all the same.
    return bool(torch.equal(torch.nan_to_num(one), torch.nan_to_num(other)))
