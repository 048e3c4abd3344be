"""The trainer adapters. A new kind of trainer is one module here and its name in the list."""

from __future__ import annotations

import importlib
from typing import Any

from autocard.capture.observed import Observed
from autocard.errors import UnavailableError
from autocard.settings import Settings
from autocard.trainers.base import TrainerAdapter

MODULES = [
    "transformers",
]
"""Modules of this package; each has an `ADAPTER`. The first one that reads a source is taken."""


def adapters() -> list[TrainerAdapter]:
    """Return the adapter of each module."""
    return [importlib.import_module(f"{__package__}.{name}").ADAPTER for name in MODULES]


def observe(settings: Settings, source: Any, /, **objects: Any) -> Observed:
    """Return what *source*, a trainer or an event of one, shows now.

    Raises:
        UnavailableError: no adapter reads it.
    """
    for adapter in adapters():
        if adapter.reads(source):
            return adapter.observe(settings, source, **objects)
    msg = f"no adapter reads a trainer of the class {type(source).__name__}"
    raise UnavailableError(msg)
