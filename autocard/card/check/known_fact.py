"""What the record has about one fact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Known:
    """What the record has about one fact.

    Attributes:
        text: its words on a card.
        values: kind → further values that are right, too, in the unit of the kind.
        numbers: further numbers without a unit that are right.
        words: further words that are right, such as another name.
        gpus: how many GPUs may be meant; empty: not known.
        is_text: it has several figures, each with words of its own.
    """

    text: str
    values: Mapping[str, frozenset[float]] = field(default_factory=dict)
    numbers: frozenset[float] = frozenset()
    words: str = ""
    gpus: frozenset[int] = frozenset()
    is_text: bool = False
