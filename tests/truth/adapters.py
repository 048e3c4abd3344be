"""Oracles of the adapters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from truth.common import Said, Truth, plain


def adapters_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    for said in known["adapters"]:
        config = true.adapters.get(said["name"])
        if config is None:
            if true.adapters:  # with none left they were unloaded or merged since training
                yield "adapters[].name", said["name"], False
            continue
        for name, value in said["config"].items():
            there = plain(getattr(config, name, None))
            if isinstance(there, int | float | str | bool):
                yield f"adapters[].config.{name}", value, value == there or str(value) == str(there)
            elif name == "target_modules" and isinstance(there, list):
                yield f"adapters[].config.{name}", value, sorted(value) == there
