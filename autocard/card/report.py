"""What a fill did, slot by slot. Imports nothing but the standard library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["filled", "refreshed", "kept", "removed", "cleared", "empty", "same"]


@dataclass(frozen=True)
class Report:
    """What became of one slot.

    Attributes:
        slot: its name: a fact, or "yaml:" and a key.
        label: how the card calls it.
        line: line of the card before the fill, counted from 1; 0: it was not there.
        state: filled, refreshed, same (ours, up to date), kept (a person's), removed (ours, which a
            person removed), cleared (ours, without a fact now), empty.
        who: machine, suggested or person: who can fill it.
        ours_before: autocard wrote the text of a kept slot first, and a person edited it.
        there: what stands in a kept slot.
        wanted: what the record has for it.
    """

    slot: str
    label: str
    line: int
    state: State
    who: str = "machine"
    ours_before: bool = False
    there: str = ""
    wanted: str = ""

    def option(self) -> str:
        """Return the option of `autocard fill` that writes the slot, even over a person's text."""
        key = self.slot.removeprefix("yaml:")
        return f"--overwrite {key}" if key != self.slot else f'--overwrite "{self.label}"'

    def message(self, card: str) -> str:
        """Return the message about a kept slot: where it is, what it has, what can be done."""
        reason = (
            "was edited by hand since autocard wrote it"
            if self.ours_before
            else "has a text that autocard did not write"
        )
        return (
            f'{card}:{self.line}: slot "{self.label}" {reason}. Nothing was written there.\n'
            "Keep your text: do nothing. Take the measured value: "
            f"autocard fill {card} {self.option()}"
        )


@dataclass(frozen=True)
class Filled:
    """A card after the fill.

    Attributes:
        text: its new text; the old one where nothing changed.
        slots: what is ours in it now; the next fill needs it.
        reports: one for each slot that a fact asks for, in the order of the card.
    """

    text: str
    slots: dict[str, str]
    reports: tuple[Report, ...]
