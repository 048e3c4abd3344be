"""What `check` found, in words for people and as JSON for machines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from autocard.card.check.check import WITHHELD, EmptySlot, Findings
from autocard.card.fact import plain
from autocard.card.report import Report

WRONG = {
    "filled": "is empty, and the record knows it",
    "refreshed": "is out of date",
    "cleared": "is of an earlier run; this one does not know it",
}
"""State of a slot → what is wrong with it."""


def lines(card: str, findings: Findings, *, strict: bool, has_record: bool) -> Iterator[str]:
    """Yield what to tell people about *card*, the worst first, one finding a line."""
    for run in findings.foreign:
        yield (
            f"{card}: its co2_eq_emissions are those of run {run}, "
            + ("which the record beside it is not of" if has_record else "whose record is not here")
            + ": the card was copied, or its record lost"
        )
    for wrong in findings.contradictions:
        there, known = plain(wrong.there), plain(wrong.record)
        yield f'{card}:{wrong.line}: "{plain(wrong.label)}" says "{there}", and the record "{known}"'
    for problem in findings.front_matter:
        end = " (the Hub refuses such a card)" if problem.refused else ""
        yield f"{card}:{problem.line}: {problem.key}: {plain(problem.text)}{end}"
    for one in findings.stale:
        yield f'{_where(card, one)}: "{plain(one.label)}" {WRONG[one.state]}'
    for empty in findings.empty:
        yield f'{_where(card, empty)}: "{plain(empty.label)}" {_asks(empty)}'
    if findings.stale:
        yield f"Put it right: autocard fill {card}"
    if not has_record:
        yield f"{card}: no record beside it, so nothing was compared with a run"
    elif not findings.stale and not findings.contradictions and not findings.foreign:
        yield f"{card}: up to date"
    people = sum(empty.who != "machine" for empty in findings.empty)
    if people and not strict:
        yield f"{card}: {people} slots wait for a person; --strict asks for them"


def _asks(empty: EmptySlot) -> str:
    why = plain(empty.why)
    if empty.why == WITHHELD:
        return f"is empty, and the record knows it: {why}"
    if empty.who == "machine":
        return f"is empty, and the run does not know it: {why}"
    who = (
        "is for a person to fill, and empty"
        if empty.who == "person"
        else "is for a person to fill or to confirm, and empty"
    )
    return f"{who}: {why}" if why else who


def as_json(findings: Findings) -> dict[str, Any]:
    """Return *findings* as plain values."""
    return {
        "out_of_date": [
            {"slot": one.slot, "label": one.label, "line": one.line, "state": one.state}
            for one in findings.stale
        ],
        "empty": [asdict(one) for one in findings.empty],
        "contradictions": [asdict(one) for one in findings.contradictions],
        "other_runs": findings.foreign,
        "front_matter": [asdict(one) for one in findings.front_matter],
    }


def _where(card: str, one: Report | EmptySlot) -> str:
    return f"{card}:{one.line}" if one.line else card
