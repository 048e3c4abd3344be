"""Facts without a place of their own: below the card's summary, else first in their section.

One rule: nothing of a person moves; in a section with a person's text, ours comes after it.
"""

from __future__ import annotations

from dataclasses import replace

from autocard.card.fill.fill_state import FillState
from autocard.card.fill.section_finder import SectionFinder
from autocard.card.form.section_body import place_of_first_text
from autocard.card.markdown.document import Section
from autocard.card.markdown.edit import Edit
from autocard.card.markdown.section_end import end_of_text

_ABOVE = "model_summary"
"""The fact whose text they follow."""


def add(state: FillState) -> None:
    """Add the facts that are missing, where there is a place; the others are left to their section.

    To be called when all slots have been decided about.
    """
    for fact in sorted(state.labels.heads & state.facts.keys()):
        if fact in state.placed or fact in state.found.gone:
            continue
        edit = _edit(state, fact)
        if edit is not None:
            state.add_edit(edit)
            state.remember(fact, state.block(fact), edit.start, edit)
            state.placed.add(fact)
            state.report_fact(fact, "filled")


def _edit(state: FillState, fact: str) -> Edit | None:
    block = state.block(fact)
    below = _end_of_summary(state)
    if below is not None:
        return state.writer.below_text(_next_line(state, below), block)
    part = state.labels.part_with_head(fact)
    section = SectionFinder(state.document, state.labels).section(part, None) if part else None
    if section is None:
        return None
    if _has_text_of_a_person(state, section):
        place = end_of_text(state.document, section)
    else:
        place = place_of_first_text(state.document, state.labels, section)
    # Order 0: it comes before other texts added at the same place.
    return replace(state.writer.below_text(place, block), order=0)


def _end_of_summary(state: FillState) -> int | None:
    """Return where our summary ends, or the place of the one that is written now; None: neither."""
    bodies = {}
    for asked in state.asked:
        if asked.slot.kind == "body" and asked.fact == _ABOVE:
            bodies[asked.slot.start] = asked.slot.end
    for text in state.found.ours:
        # A hidden one counts, too: it is shown again where it stands.
        if text.fact == _ABOVE and text.slot is None:
            bodies[text.start] = text.end
    for planned in state.written:
        if planned.name == _ABOVE and planned.at in bodies:
            return bodies[planned.at]
    return None


def _next_line(state: FillState, offset: int) -> int:
    """Return where the line after that of *offset* begins; an empty place stays where it is."""
    document = state.document
    line = document.body_line(offset)
    if document.offset(line) == offset:
        return offset
    return document.offset(line + 1)


def _has_text_of_a_person(state: FillState, section: Section) -> bool:
    """Return whether a text that is not ours answers the heading of *section*."""
    number = state.document.section_at(section.start)
    for asked in state.asked:
        if asked.slot.kind == "body" and asked.slot.section == number:
            return asked.empty is None and not asked.blank
    return False
