"""What is wrong with one value of a front matter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fault:
    """What is wrong with a value.

    Attributes:
        place: place inside the key: "[1]", ".emissions", or "".
        text: what is wrong, and what would be right.
        refused: whether the Hub refuses it.
    """

    place: str
    text: str
    refused: bool = True


def each(data: Any) -> Iterator[tuple[str, Any]]:
    """Yield (place, value) of a value or of each value of a list."""
    if isinstance(data, list):
        for number, item in enumerate(data):
            yield f"[{number}]", item
    else:
        yield "", data


def shown(item: Any) -> str:
    """Return *item* with its type, as a message names it."""
    return "empty" if item is None else f"{item!r} ({type(item).__name__})"
