"""What `check` found, in words for people and as JSON for machines: the verdict, then groups."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from autocard.card.check.findings import WITHHELD, Contradiction, EmptySlot, Findings
from autocard.card.check.hub_rules import Problem
from autocard.card.fact import plain
from autocard.card.fill.base_statements import ABOUT_THE_BASE
from autocard.card.fill.written_text import YAML
from autocard.card.report import Report
from autocard.units import plural

_STALE = {
    "filled": "empty, and the record has it",
    "refreshed": "not what the record has",
    "cleared": "of an earlier run; this run did not record it",
}
"""State of a slot → what is wrong with it."""
_BESIDE_ANOTHER_BASE = "not written beside another base model than the record's"
_BASE = frozenset({"base_model", f"{YAML}base_model"})
_ABSENT = "not in the card yet"
_WIDTH = 80
_LEAST_SHOWN = 16
"""Characters of a text that are shown, however long its label is."""


@dataclass(frozen=True)
class _Line:
    """One line of a group: its number in the card (0: it has none), label and text.

    Attributes:
        whole: the text goes on in further lines, because its end says what to do.
    """

    number: int
    label: str
    text: str
    whole: bool = False


@dataclass(frozen=True)
class _Group:
    title: str
    lines: list[_Line]


def lines(
    card: str, findings: Findings, *, strict: bool, has_record: bool, width: int = _WIDTH
) -> Iterator[str]:
    """Yield the verdict on *card* for people, then what was found, in groups, the worst first."""
    head = f"{card}: {verdict(findings, has_record=has_record)}"
    yield from textwrap.wrap(
        head, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    for group in _groups(card, findings, strict=strict, has_record=has_record):
        if group.lines:
            yield ""
            yield group.title
            for line in group.lines:
                yield from _printed(line, width)


def verdict(findings: Findings, *, has_record: bool) -> str:
    """Return what is wrong with a card, on one line: "3 lines out of date", "up to date"."""
    contradicting = len(findings.contradictions) + len(findings.foreign)
    counted = {
        "out of date": len(findings.stale),
        "contradicts the record" if contradicting == 1 else "contradict the record": contradicting,
        "refused by the Hub": len(refused(findings)),
        "not read by the Hub": len(not_read(findings)),
    }
    faults: list[str] = []
    for what, number in counted.items():
        if number:
            faults.append(f"{number if faults else plural(number, 'line')} {what}")
    if not faults and not has_record:
        text = "nothing was compared: there is no record beside it"
    else:
        text = ", ".join(faults) or "up to date"
    if findings.unknown_labels:
        text += ", but none of its own labels is known"
    people = len(for_people(findings))
    return f"{text}; {plural(people, 'line')} for you to write" if people else text


# -- groups ----------------------------------------------------------------------------------------


def refused(findings: Findings) -> list[Problem]:
    """Return the problems for which the Hub refuses the card."""
    return [problem for problem in findings.front_matter if problem.refused]


def not_read(findings: Findings) -> list[Problem]:
    """Return what the Hub accepts and does not read or know."""
    return [problem for problem in findings.front_matter if not problem.refused]


def for_people(findings: Findings) -> list[EmptySlot]:
    """Return the empty slots that only a person can fill or confirm."""
    return [empty for empty in findings.empty if empty.who != "machine"]


def not_recorded(findings: Findings) -> list[EmptySlot]:
    """Return the empty slots of a machine, which the record has no text for."""
    return [empty for empty in findings.empty if empty.who == "machine"]


def _groups(card: str, findings: Findings, *, strict: bool, has_record: bool) -> Iterator[_Group]:
    yield _Group(
        f"Out of date (to update: autocard fill {card})",
        [_stale_line(stale, findings) for stale in findings.stale],
    )
    yield _Group("Contradicts the record", list(_contradicting(findings, has_record=has_record)))
    yield _Group("The Hub would refuse", _problem_lines(refused(findings)))
    yield _Group("The Hub does not read", _problem_lines(not_read(findings)))
    yield _Group("No known label", _unknown_labels(findings.unknown_labels))
    missing = "" if strict else " (an error with --strict)"
    yield _Group(
        f"For you to write{missing}",
        [_Line(empty.line, plain(empty.label), plain(empty.why)) for empty in for_people(findings)],
    )
    yield _Group(
        "Not recorded" if has_record else "For a record to fill",
        [_not_recorded_line(empty) for empty in not_recorded(findings)],
    )


def _stale_line(stale: Report, findings: Findings) -> _Line:
    text = _STALE[stale.state]
    if stale.state == "filled" and not stale.line:
        text = _ABSENT
    elif stale.state == "cleared" and stale.slot in ABOUT_THE_BASE:
        names_other = any(wrong.slot in _BASE for wrong in findings.contradictions)
        text = _BESIDE_ANOTHER_BASE if names_other else text
    return _Line(stale.line, plain(stale.label), text)


def _contradicting(findings: Findings, *, has_record: bool) -> Iterator[_Line]:
    for run in findings.foreign:
        whose = "not of the record's" if has_record else "whose record is not here"
        text = f"the figures are of run {run}, {whose}: the card was copied, or its record lost"
        yield _Line(0, "co2_eq_emissions", text, whole=True)
    for wrong in findings.contradictions:
        yield _Line(wrong.line, plain(wrong.label), _both(wrong))


def _both(wrong: Contradiction) -> str:
    """Return what the card says, and what the record has."""
    return f'"{_unquoted(wrong.there)}", the record: "{_unquoted(wrong.record)}"'


def _unquoted(text: str) -> str:
    """Return *text* on one line; a string of the front matter without JSON's quotes."""
    return plain(text).removeprefix('"').removesuffix('"')


def _problem_lines(problems: Iterable[Problem]) -> list[_Line]:
    return [
        _Line(problem.line, problem.key, plain(problem.text), whole=True) for problem in problems
    ]


def _unknown_labels(labels: list[str]) -> list[_Line]:
    if not labels:
        return []
    named = ", ".join(plain(label) for label in labels[:3]) + (", …" if labels[3:] else "")
    text = (
        f"{named}: say in autocard.labels.yaml, beside the card, which facts they ask for; "
        "`autocard facts` lists the facts"
    )
    return [_Line(0, "", text, whole=True)]


def _not_recorded_line(empty: EmptySlot) -> _Line:
    why = plain(empty.why)
    if empty.why == WITHHELD:
        why = f"the record has it: {why}"
    return _Line(empty.line, plain(empty.label), why)


def _printed(line: _Line, width: int) -> Iterator[str]:
    """Yield *line* as it is printed: whole, or cut where the screen ends."""
    start = f"{line.number or '':>6}  " + (f"{line.label}: " if line.label else "")
    if line.whole:
        indent = " " * 8
        text = start + line.text
        yield from textwrap.wrap(
            text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        return
    room = max(width - len(start), _LEAST_SHOWN)
    yield (start + _cut(line.text, room)).rstrip().removesuffix(":")


def _cut(text: str, room: int) -> str:
    """Return *text* within *room* characters; of two quoted texts each gets its share."""
    if len(text) <= room:
        return text
    there, mark, known = text.partition('", the record: "')
    if not mark:
        return text[: room - 1].rstrip() + "…"
    # Each text may take what the other one leaves.
    left = room - len(mark)
    for_known = min(len(known), max(left // 2, left - len(there)))
    for_there = left - for_known
    if len(there) > for_there:
        there = there[: for_there - 1].rstrip() + "…"
    if len(known) > for_known:
        known = known[: for_known - 2].rstrip() + '…"'
    return there + mark + known


# -- for machines ----------------------------------------------------------------------------------


def as_json(findings: Findings, *, has_record: bool) -> dict[str, Any]:
    """Return *findings* as plain values: the verdict, and the groups that people are shown."""
    return {
        "verdict": verdict(findings, has_record=has_record),
        "compared": has_record,
        "out_of_date": [_stale_as_json(stale) for stale in findings.stale],
        "contradictions": [asdict(slot) for slot in findings.contradictions],
        "other_runs": findings.foreign,
        "hub_refuses": [asdict(problem) for problem in refused(findings)],
        "hub_does_not_read": [asdict(problem) for problem in not_read(findings)],
        "unknown_labels": findings.unknown_labels,
        "for_you_to_write": [asdict(slot) for slot in for_people(findings)],
        "not_recorded": [asdict(slot) for slot in not_recorded(findings)],
        "front_matter": [asdict(problem) for problem in findings.front_matter],
        "empty": [asdict(slot) for slot in findings.empty],
    }


def _stale_as_json(stale: Report) -> dict[str, Any]:
    return {"slot": stale.slot, "label": stale.label, "line": stale.line, "state": stale.state}
