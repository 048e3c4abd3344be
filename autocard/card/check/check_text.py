"""What `check` found, in words for people and as JSON for machines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from autocard.card.check.findings import WITHHELD, EmptySlot, Findings
from autocard.card.fact import plain
from autocard.card.report import Report

WRONG = {
    "filled": "is empty, and the record has it",
    "refreshed": "is out of date",
    "cleared": "is of an earlier run; this run did not record it",
}
"""State of a slot → what is wrong with it."""


def lines(card: str, findings: Findings, *, strict: bool, has_record: bool) -> Iterator[str]:
    """Yield the findings about *card* for people, the worst first, one a line."""
    for run in findings.foreign:
        whose = "which the record beside it is not of" if has_record else "whose record is not here"
        yield (
            f"{card}: its co2_eq_emissions are those of run {run}, {whose}: "
            "the card was copied, or its record lost"
        )
    for wrong in findings.contradictions:
        there, known = plain(wrong.there), plain(wrong.record)
        label = plain(wrong.label)
        yield f'{card}:{wrong.line}: "{label}" says "{there}", and the record "{known}"'
    for problem in findings.front_matter:
        end = " (the Hub refuses such a card)" if problem.refused else ""
        yield f"{card}:{problem.line}: {problem.key}: {plain(problem.text)}{end}"
    for stale in findings.stale:
        yield f'{_where(card, stale)}: "{plain(stale.label)}" {WRONG[stale.state]}'
    for empty in findings.empty:
        yield f'{_where(card, empty)}: "{plain(empty.label)}" {_empty_text(empty)}'
    yield from _conclusions(card, findings, strict=strict, has_record=has_record)


def _conclusions(card: str, findings: Findings, *, strict: bool, has_record: bool) -> Iterator[str]:
    """Yield what to do next."""
    if findings.stale:
        yield f"To update it: autocard fill {card}"
    if not has_record:
        yield f"{card}: no record beside it, so nothing was compared with a run"
    elif not findings.stale and not findings.contradictions and not findings.foreign:
        yield f"{card}: up to date"
    people = sum(empty.who != "machine" for empty in findings.empty)
    if people and not strict:
        yield f"{card}: {people} slots are for a person to fill; --strict asks for them"


def _empty_text(empty: EmptySlot) -> str:
    """Return who can fill an empty slot, and why it is empty or what belongs there."""
    why = plain(empty.why)
    if empty.why == WITHHELD:
        return f"is empty, and the record has it: {why}"
    if empty.who == "machine":
        return f"is empty, and the record does not have it: {why}"
    who = "is for a person to fill or to confirm, and empty"
    if empty.who == "person":
        who = "is for a person to fill, and empty"
    return f"{who}: {why}" if why else who


def as_json(findings: Findings) -> dict[str, Any]:
    """Return *findings* as plain values."""
    return {
        "out_of_date": [
            {"slot": stale.slot, "label": stale.label, "line": stale.line, "state": stale.state}
            for stale in findings.stale
        ],
        "empty": [asdict(slot) for slot in findings.empty],
        "contradictions": [asdict(slot) for slot in findings.contradictions],
        "other_runs": findings.foreign,
        "front_matter": [asdict(problem) for problem in findings.front_matter],
    }


def _where(card: str, slot: Report | EmptySlot) -> str:
    return f"{card}:{slot.line}" if slot.line else card
