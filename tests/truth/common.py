"""What is known of a training without asking autocard, and small helpers that the oracles share."""

from __future__ import annotations

import functools
import importlib.metadata
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from truth.observe import Observed
from truth.replay import Replay

SMALL_ROWS = 64
"""Rows that are read for their tokens."""
UNSURE = None
"""An oracle's answer where it cannot judge."""

Said = tuple[str, Any, bool]
"""What is spoken of, what is said of it, whether that is so."""


class Weights(NamedTuple):
    """One tensor of a model."""

    count: int
    dtype: str
    trained: bool


@dataclass
class Truth:
    """What is known of a training without asking autocard."""

    trainer: Any
    state: Any
    step_begin: int = 0
    legs: int = 1
    """Of the record."""
    at_least_s: float = 0.0
    at_most_s: float = math.inf
    """Bounds of the training's time: from after our begin to before our end, and with both."""
    steps_s: float = 0.0
    """From after our begin to the end of the last step. The trainer computes its speeds between
    that and our end."""
    metrics: dict[str, float] = field(default_factory=dict)
    """What `evaluate` gave to its callbacks after training."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """What a person told autocard."""
    observed: Observed = field(default_factory=Observed)
    """What was seen while it ran."""
    evaluated: Mapping[str, float] = field(default_factory=dict)
    """What the last `evaluate` after training gave."""
    weights_evaluated: str | None = None
    """Fingerprint of the trained tensors that it evaluated."""
    batch: Any = None
    """A batch that the trained model has answered."""
    answer: float | None = None
    """The loss of the trained model for it, when training had ended."""
    answer_now: float | None = None
    """The loss of the model that was just evaluated, for the same batch."""
    at_end: Mapping[str, str] = field(default_factory=dict)
    """Name of a tensor → digest, when training had ended."""
    replay: Replay | None = None
    """One batch again, after training."""

    @property
    def args(self) -> Any:
        return self.trainer.args

    @functools.cached_property
    def whole(self) -> Any:
        """The model without what only distributes or compiles it."""
        model = self.trainer.model
        return getattr(model, "_orig_mod", None) or model

    @functools.cached_property
    def inner(self) -> Any:
        """The model whose class is the architecture."""
        model = self.whole
        if type(model).__module__.startswith("sentence_transformers"):
            return getattr(model, "transformers_model", None)
        return model.get_base_model() if hasattr(model, "get_base_model") else model

    @functools.cached_property
    def config(self) -> Any:
        return getattr(self.inner, "config", None)

    @functools.cached_property
    def adapters(self) -> Mapping[str, Any]:
        found = getattr(self.whole, "peft_config", None)
        if found is None and getattr(
            self.inner, "_hf_peft_config_loaded", False
        ):  # inside sentence-transformers' model
            found = self.inner.peft_config
        return found if isinstance(found, Mapping) else {}

    @functools.cached_property
    def parameters(self) -> list[Weights] | None:
        """Each tensor once; None: they cannot be counted as they are."""
        from torch import nn

        if not isinstance(self.whole, nn.Module):
            return None
        named = dict(self.whole.named_parameters())
        if type(self.args).__module__.startswith("trl."):
            # A copy of a loaded adapter that TRL keeps as the reference of its loss is no part of
            # the model.
            named = {
                name: one for name, one in named.items() if ".ref" not in name or one.requires_grad
            }
        found = {(one.device, one.data_ptr(), one.shape): one for one in named.values()}.values()
        if any(
            one.is_meta or not one.dtype.is_floating_point or type(one) is not nn.Parameter
            for one in found
        ):
            return None
        all_of_them = [
            Weights(one.numel(), str(one.dtype).removeprefix("torch."), one.requires_grad)
            for one in found
        ]
        return all_of_them if all(one.count for one in all_of_them) else None

    @functools.cached_property
    def adapters_are_trained(self) -> bool:
        """Whether there are adapters, and not only the weights under them were trained."""
        named = getattr(self.whole, "named_parameters", None)
        if not self.adapters or named is None:
            return bool(self.adapters)
        flags = [getattr(module, "disable_adapters", None) for module in self.whole.modules()]
        if True in flags:
            return False
        trained = [name for name, one in named() if one.requires_grad]
        kinds = ("lora_", "ia3_", "hada_", "lokr_", "oft_", "boft_", "vera_", "ln_tuning_")
        own = [name for name, _ in named() if any(kind in name for kind in kinds)]
        return not own or not trained or not set(own).isdisjoint(trained)

    @functools.cached_property
    def asking_for_gradients(self) -> frozenset[str]:
        """Names of the parameters that ask for gradients when training has ended."""
        named = getattr(self.whole, "named_parameters", None)
        return (
            frozenset()
            if named is None
            else frozenset(name for name, one in named() if one.requires_grad)
        )

    @functools.cached_property
    def trained_at_least(self) -> tuple[int, int] | None:
        """Numbers of the tensors whose bytes training changed, and the same with all that ask for gradients.

        A tensor with a gradient of 0 stays as it was. None: the tensors could not be compared.
        """
        begun = self.observed.tensors_at_begin
        named = (
            dict(self.whole.named_parameters()) if hasattr(self.whole, "named_parameters") else {}
        )
        if not self.at_end or not named or not named.keys() <= begun.keys() & self.at_end.keys():
            return None
        changed = {name for name in named if begun[name] != self.at_end[name]}
        either = changed | self.asking_for_gradients
        return sum(named[name].numel() for name in changed), sum(
            named[name].numel() for name in either
        )

    def fits_trained(self, said: int) -> bool | None:
        """Return whether *said* parameters can be those that were trained."""
        bounds = self.trained_at_least
        if bounds is not None:
            return bounds[0] <= said <= bounds[1]
        return (
            None
            if self.parameters is None
            else said == sum(one.count for one in self.parameters if one.trained)
        )

    def keep(self) -> None:
        """Look at the model now: later it may be merged, cast or unloaded, and the record tells of training."""
        _ = (
            self.inner,
            self.config,
            self.adapters,
            self.parameters,
            self.adapters_are_trained,
            self.asking_for_gradients,
        )

    @property
    def log(self) -> list[dict[str, Any]]:
        return list(self.state.log_history)

    def summary(self, key: str) -> float | None:
        """Return a figure of the trainer's own summary, the last one in its log."""
        return next((entry[key] for entry in reversed(self.log) if key in entry), None)


def near(
    said: float, true: float | None, *, share: float = 1e-6, at_most: float = 1e-9
) -> bool | None:
    return UNSURE if true is None else abs(said - true) <= share * abs(true) + at_most


def length_of(data: Any) -> int | None:
    try:
        return len(data)
    except TypeError:
        return None


def named(config: Any, *names: str) -> Any:
    return next(
        (value for name in names if (value := getattr(config, name, None)) is not None), None
    )


@functools.cache
def installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def plain(value: Any) -> Any:
    """Return a setting as JSON would hold it, where that is simple."""
    value = getattr(value, "value", value)
    return sorted(value) if isinstance(value, set) else value


def number(text: str) -> float:
    return float(text.replace(",", ""))
