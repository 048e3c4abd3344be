"""What transformers' Trainer passes to a callback in each event.

Imports nothing heavy, since the callback imports it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from autocard.capture.observed import Step


@dataclasses.dataclass(frozen=True)
class TrainerEvent:
    """What every event shows."""

    args: Any
    """`TrainingArguments` or a subclass."""
    state: Any
    """`TrainerState`; the Trainer makes a new one in each `train()`."""


def step_of(args: Any, state: Any, objects: Mapping[str, Any]) -> Step:
    """Return what the event of one optimizer step shows."""
    return Step(
        state.global_step,
        state.max_steps,
        Arguments(args),
        objects.get("model"),
        objects.get("optimizer"),
        objects.get("lr_scheduler"),
    )


class Arguments(Mapping[str, Any]):
    """`TrainingArguments` as a mapping; properties that it computes are in it, too."""

    def __init__(self, args: Any) -> None:
        self._args = args

    def __getitem__(self, name: str) -> Any:
        """Return the argument.

        Raises:
            KeyError: the arguments have none of this name.
        """
        try:
            return getattr(self._args, name)
        except AttributeError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of what a person can set."""
        if dataclasses.is_dataclass(self._args):
            return iter([field.name for field in dataclasses.fields(self._args)])
        return iter(getattr(self._args, "__dict__", {}))

    def __len__(self) -> int:
        """Return how many arguments a person can set."""
        return len(list(iter(self)))
