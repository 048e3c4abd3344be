"""Find figures of a card that are not the record's: edited ones, and those of a copied card.

One rule: a section is compared as a whole, with its labelled lines, and only under a heading that
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
    reported: Collection[str] = (),
) -> Iterator[EditedFigure]:
    """Yield the figures of the card *text* that contradict *facts* and that a fill leaves.

    Args:
        text: the card.
        facts: of the record.
        labels: the table of words.
        reports: what the fill would do with each slot.
        reported: facts whose contradiction is found already.
    """
    reports = list(reports)
    changed = {report.slot for report in reports if report.state in _CHANGES}
    comparable = _machine_facts(facts, labels) - changed - set(reported)
    lines = set()
    for figure in _in_sections(text, facts, labels, comparable):
        lines.add(figure.line)
        yield figure
    for report in reports:
        if report.state != "kept" or report.slot not in comparable:
            continue
        if "\n" in report.there or report.line in lines:
            continue
        for difference in differences(report.slot, report.there, report.wanted):
            yield EditedFigure(report.slot, report.label, report.line, difference)


def _in_sections(
    text: str, facts: Mapping[str, Fact], labels: Labels, comparable: Collection[str]
) -> Iterator[EditedFigure]:
    """Yield the figures in sections whose heading asks for a fact of *comparable*."""
    document = Document(text)
    for section in document.sections:
        if not section.heading:
            continue
        title = section.path[-1]
        found = labels.heading(title, section.path[:-1])
        if found is None:
            continue
        fact, is_fallback = found
        if is_fallback or fact not in comparable:
            continue
        first = document.line_number(section.start)
        body = text[section.start : section.end]
        for difference in differences(fact, body, facts[fact].body()):
            line = first + body.count("\n", 0, difference.at)
            yield EditedFigure(fact, title, line, difference)


def _machine_facts(facts: Mapping[str, Fact], labels: Labels) -> set[str]:
    """Return those of *facts* that a machine fills."""
    machine = set()
    for fact in facts:
        kind = labels.kinds.get(fact)
        if kind is not None and kind.who == "machine":
            machine.add(fact)
    return machine
