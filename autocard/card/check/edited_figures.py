"""Sections of a card whose figures are not the record's: those that were edited, or came with a copy.

One rule: a section is looked at as a whole, with its labelled lines, and only under a heading that
asks for the fact.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from autocard.card.check.figure_diff import Difference, differences
from autocard.card.fact import Fact
from autocard.card.form.labels import Labels
from autocard.card.markdown.document import Document
from autocard.card.report import Report

_CHANGES = ("filled", "refreshed", "cleared")


@dataclass(frozen=True)
class EditedFigure:
    """One figure that is not the record's.

    Attributes:
        fact: the fact that the section, or the slot, is for.
        label: how the card calls it.
        line: line of the card, counted from 1.
        figure: what stands there, and what the record has.
    """

    fact: str
    label: str
    line: int
    figure: Difference


def edited(
    text: str,
    facts: Mapping[str, Fact],
    labels: Labels,
    reports: Iterable[Report],
    besides: Collection[str] = (),
) -> Iterator[EditedFigure]:
    """Yield the figures of the card *text* that deny *facts* and that a fill, whose *reports* these are, leaves.

    *besides*: facts that are told of already.
    """
    reports = list(reports)
    skip = {one.slot for one in reports if one.state in _CHANGES} | set(besides)
    document = Document(text)
    told = set()
    for section in document.sections:
        found = labels.heading(section.path[-1], section.path[:-1]) if section.heading else None
        if (
            found is None
            or found[1]
            or found[0] in skip
            or not _is_machines(labels, found[0], facts)
        ):
            continue
        first = document.line_number(section.start)
        there = text[section.start : section.end]
        for one in differences(found[0], there, facts[found[0]].body()):
            line = first + there.count("\n", 0, one.at)
            told.add(line)
            yield EditedFigure(found[0], section.path[-1], line, one)
    for report in reports:
        if (
            report.state == "kept"
            and report.slot not in skip
            and _is_machines(labels, report.slot, facts)
        ):
            if "\n" in report.there or report.line in told:
                continue
            for one in differences(report.slot, report.there, report.wanted):
                yield EditedFigure(report.slot, report.label, report.line, one)


def _is_machines(labels: Labels, fact: str, facts: Mapping[str, Fact]) -> bool:
    kind = labels.kinds.get(fact)
    return kind is not None and kind.who == "machine" and fact in facts
