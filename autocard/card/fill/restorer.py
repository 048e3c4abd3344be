"""What becomes of each text that autocard wrote, when it is not wanted any more.

One rule: only what stands exactly as we wrote it goes. A person's words, and what they changed of
ours, stay to the byte.
"""

from __future__ import annotations

from autocard.card.fill import edited_lines
from autocard.card.fill.fill_state import FillState
from autocard.card.fill.removal import Removal, lines_around, whole_line
from autocard.card.fill.written_text import (
    HIDDEN,
    WAS,
    WHOLE_LINE,
    WrittenText,
    fact_of,
    is_text,
)
from autocard.card.form.asked_fact import AskedFact
from autocard.card.form.rendering import PLACEHOLDER
from autocard.card.markdown.writer import LIST_SEPARATOR


class Restorer:
    """Decides what becomes of each written text in one card."""

    def __init__(self, state: FillState, removal: Removal) -> None:
        """*state* takes the changes; *removal* removes what a hidden place comes in place of."""
        self._state = state
        self._removal = removal

    def run(self) -> None:
        """Decide about every text, and remove the headings that nothing is left below."""
        state = self._state
        for text in state.found.ours:
            if text.hidden:
                state.remember(HIDDEN + text.fact, text.text, text.start)
            elif text.slot is not None:
                self._value(text)
            else:
                self._block(text)
        self.edited_texts()
        self._removal.finish()

    def title(self) -> None:
        """Put the placeholder back into a title that we wrote."""
        for text in self._state.found.ours:
            if text.slot is not None and text.slot.kind == "title":
                self._value(text)

    def edited_texts(self) -> None:
        """Remove what a person left as we wrote it in texts that they edited."""
        state = self._state
        for each in state.asked:
            if each.fact in state.found.gone and each.slot.kind == "title":
                self._title(each)
        for name, before in state.remembered.items():
            if is_text(name) and fact_of(name) in state.found.gone:
                self._edited(fact_of(name), before)

    def leave_out(self, text: WrittenText) -> None:
        """Remove a text that is not wanted now; a card that hides empty slots keeps its place."""
        state = self._state
        if state.stood_before(text.start, text.end):
            return
        is_added = state.document.section_at(text.start) in state.found.added
        if text.slot is not None:
            self._value(text)
        elif state.hides_empty_slots and not is_added:
            self._removal.block(text)
        else:
            self._block(text)

    def _value(self, text: WrittenText) -> None:
        """Empty a labelled line, a cell or the title; a line that we added goes."""
        state, slot = self._state, text.slot
        if slot is None:
            return
        before = state.placeholders.get(text.start)
        line = whole_line(state.document, slot)
        is_added = before == WHOLE_LINE or (before is None and slot.section in state.found.added)
        if line is not None and is_added:
            state.removals.append(line)
        elif slot.kind != "title" or before:
            self._replace(text, before)
        state.report_fact(text.fact, "cleared", text.start)

    def _replace(self, text: WrittenText, before: str | None) -> None:
        """Put the placeholder *before*, or the usual one, in the place of *text*."""
        state, start = self._state, text.start
        if not before and before is not None and state.text[start - 1 : start] == " ":
            start -= 1  # the blank that was put between a label and its value
        placeholder = PLACEHOLDER if before is None else before
        if placeholder != state.text[start : text.end]:
            state.add_edit(state.writer.replace(start, text.end, placeholder))

    def _block(self, text: WrittenText) -> None:
        """Remove a text between blank lines, or put the placeholder in its place."""
        state = self._state
        before = state.placeholders.get(text.start)
        number = state.document.section_at(text.start)
        was_nothing = before is not None and not before.strip()
        is_added = number in state.found.added or self._stands_beside_text(number, text)
        start, end = self._with_separators(number, text)
        if was_nothing or (before is None and is_added):
            state.removals.append(lines_around(state.document, start, end))
        elif (start, end) != (text.start, text.end):
            chunk = PLACEHOLDER if before is None else before
            state.add_edit(state.writer.replace(start, end, chunk))
        else:
            self._replace(text, before)
        state.report_fact(text.fact, "cleared", text.start)

    def _with_separators(self, number: int, text: WrittenText) -> tuple[int, int]:
        """Return where *text* begins and ends with the comments that keep its list apart."""
        card, start, end = self._state.text, text.start, text.end
        for block in self._state.document.sections[number].blocks:
            if card[block.start : block.end] != LIST_SEPARATOR:
                continue
            if block.end <= start and not card[block.end : start].strip():
                start = block.start
            elif block.start >= end and not card[end : block.start].strip():
                end = block.end
        return start, end

    def _stands_beside_text(self, number: int, text: WrittenText) -> bool:
        """Return whether the section shows something else: then there was no placeholder.

        Version 0.1.0 did not remember placeholders.
        """
        for block in self._state.document.sections[number].blocks:
            is_outside = block.end <= text.start or block.start >= text.end
            if is_outside and block.kind != "comment":
                return True
        return False

    def _title(self, asked: AskedFact) -> None:
        """Put the placeholder at the end of the title where our text stands at its end."""
        state = self._state
        text, before = (state.remembered.get(prefix + asked.fact, "") for prefix in ("", WAS))
        if text and before and asked.value.endswith(text):
            start = asked.slot.end - len(text)
            state.add_edit(state.writer.replace(start, asked.slot.end, before))
            state.report(asked, "cleared")

    def _edited(self, fact: str, before: str) -> None:
        """Remove the lines that a person left as we wrote them in *before*, a text of *fact*."""
        state = self._state
        for section in state.document.sections:
            there = state.text[section.start : section.end]
            span = edited_lines.span(before, there)
            if span is None:
                continue
            start, end = section.start + span[0], section.start + span[1]
            current = state.text[start:end].replace("\r\n", "\n")
            after = edited_lines.without_ours(before, current)
            is_free = not any(edit.start < end and start < edit.end for edit in state.edits)
            if after is not None and is_free:
                state.add_edit(state.writer.replaced_block(start, end, after))
                state.report_fact(fact, "cleared", start)
                return
