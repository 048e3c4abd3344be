"""What `check` finds in a card."""

from __future__ import annotations

from dataclasses import dataclass, field

from autocard.card.check.hub_rules import Problem
from autocard.card.report import Report

WITHHELD = "the card names another base, so `fill` leaves it to you"
"""Why a fact that the record has is not in the card."""


@dataclass(frozen=True)
class EmptySlot:
    """A slot without a text.

    Attributes:
        slot: the fact, "yaml:" and a key, or "" for a slot that autocard does not know.
        label: how the card calls it.
        line: line of the card, counted from 1.
        who: machine, suggested (a machine can propose it) or person.
        why: of a machine's: why the record does not have it; of a person's: the form's guidance.
    """

    slot: str
    label: str
    line: int
    who: str
    why: str


@dataclass(frozen=True)
class Contradiction:
    """A slot that contradicts the record.

    Attributes:
        slot: the fact, or "yaml:" and a key.
        label: how the card calls it.
        line: line of the card, counted from 1.
        there: the card's text.
        record: the record's text.
    """

    slot: str
    label: str
    line: int
    there: str
    record: str


@dataclass
class Findings:
    """What is wrong with a card, or missing in it.

    Attributes:
        left_alone: why the card could not be read as one; None: it could.
        stale: slots that `fill` would change.
        empty: slots that are empty, and that `fill` cannot fill.
        contradictions: slots with a text that is not ours and contradicts the record.
        foreign: runs, other than the record's, whose figures the card claims to hold.
        front_matter: what the Hub refuses, or does not read or know.
        unknown_labels: labels of the card's own, where the table of words has none of them.
        warnings: what a person must read.
    """

    left_alone: str | None = None
    stale: list[Report] = field(default_factory=list)
    empty: list[EmptySlot] = field(default_factory=list)
    contradictions: list[Contradiction] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    front_matter: list[Problem] = field(default_factory=list)
    unknown_labels: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def wrong(self, *, strict: bool) -> bool:
        """Return whether a machine's slot is stale or contradicted, or the Hub refuses the card.

        With *strict*, also whether a person's slot is empty, or a key has a value that the Hub does
        not know.
        """
        if self.stale or self.contradictions or self.foreign:
            return True
        if any(problem.refused for problem in self.front_matter):
            return True
        if not strict:
            return False
        return bool(self.front_matter) or any(slot.who != "machine" for slot in self.empty)
