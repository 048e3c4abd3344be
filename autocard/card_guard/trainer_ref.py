"""Weak reference to the trainer whose cards are guarded: the card guard keeps no trainer alive."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

from autocard.hub import remote


class TrainerRef:
    """What the card guard reads of the trainer; all None if it was not found or is gone."""

    def __init__(self) -> None:
        """Refer to no trainer."""
        self._ref: weakref.ref[Any] | None = None

    def refer_to(self, trainer: Any) -> None:
        """Refer to *trainer*."""
        self._ref = weakref.ref(trainer)

    @property
    def trainer(self) -> Any:
        """The trainer."""
        return None if self._ref is None else self._ref()

    @property
    def args(self) -> Any:
        """Its `TrainingArguments`."""
        return getattr(self.trainer, "args", None)

    @property
    def model(self) -> Any:
        """Its model."""
        return getattr(self.trainer, "model", None)

    @property
    def pushes(self) -> bool:
        """Whether it uploads the output folder during training or at its end."""
        return bool(getattr(self.args, "push_to_hub", False))

    @property
    def uploads_in_training(self) -> bool:
        """Whether it uploads the output folder during training."""
        return getattr(self.args, "hub_strategy", "end") != "end"

    @property
    def repository_name(self) -> str | None:
        """Name of its repository on the Hub."""
        name: str | None = getattr(self.trainer, "hub_model_id", None)
        return name or getattr(self.args, "hub_model_id", None)

    def repository(self, pushing: Mapping[str, Any]) -> remote.Repository | None:
        """Return its repository on the Hub; *pushing*: the arguments of the upload."""
        name = self.repository_name
        if name is None:
            return None
        token = pushing.get("token") or getattr(self.args, "hub_token", None)
        revision = pushing.get("revision") or getattr(self.args, "hub_revision", None)
        return remote.Repository(name, token, revision)

    def has(self, callback: Any) -> bool:
        """Return whether *callback* is still the trainer's; True where the trainer is gone."""
        handler = getattr(self.trainer, "callback_handler", None)
        return handler is None or any(one is callback for one in handler.callbacks)
