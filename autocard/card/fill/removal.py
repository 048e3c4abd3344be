"""Removal of our texts whose fact this run does not have, without bare labels or empty headings.

One rule: what we added is removed as a whole; a place that the form has keeps its label, and states
that this is not known; in a card that we made with hidden empty slots, it is hidden like the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

from autocard.card.fact import plain
from autocard.card.fill.fill_state import FillState
from autocard.card.fill.list_comments import HiddenItem
from autocard.card.fill.removed_places import joined, with_blank_lines
from autocard.card.fill.written_text import HIDDEN, SECTION, WrittenText
from autocard.card.form.asked_fact import AskedFact
from autocard.card.form.guidance import inside_comment
from autocard.card.markdown.document import Block, Document, Section
from autocard.card.markdown.edit import Edit
from autocard.card.markdown.line_labels import after_label
from autocard.card.markdown.slots import Slot
from autocard.card.markdown.writer import LIST_SEPARATOR

UNKNOWN = "not known for this run"
"""What stands in a form's own slot where an earlier run's figure was."""
_LEFT_OUT = "left out"
"""What stands in the place of a fact that is not wanted."""
_LINE_BREAKS = frozenset({"", "<br>", "<br/>", "<br />"})


class Removal:
    """Removes our texts that have no fact any more."""

    def __init__(self, state: FillState) -> None:
        """*state* takes the changes."""
        self._state = state
        self._hidden: set[int] = set()
        """Numbers of the sections whose headings are hidden now with what was below them."""

    def slot(self, asked: AskedFact) -> None:
        """Remove our value from a labelled line, a cell or the title."""
        state, slot = self._state, asked.slot
        line = whole_line(state.document, slot)
        if slot.kind == "title":
            # A card has a title: this one stays as it was.
            state.remember(asked.fact, asked.value, slot.start)
            state.report(asked, "same")
        elif slot.section in state.found.added and line is not None:
            state.removals.append(line)
            state.report(asked, "cleared")
        elif slot.kind in ("line", "cell") and state.hides_empty_slots:
            self._hide_slot(asked, is_whole_line=line is not None)
        else:
            self._replace(asked, UNKNOWN, slot.start, hidden=False)

    def _hide_slot(self, asked: AskedFact, *, is_whole_line: bool) -> None:
        """Put a comment in the place of a value, or of a whole labelled line."""
        state, slot = self._state, asked.slot
        if not is_whole_line:
            self._replace(asked, self._comment(asked.fact), slot.start, hidden=True)
            return
        start = state.document.offset(state.document.body_line(slot.at))
        self._replace(asked, self._hidden_line(slot, asked.fact), start, hidden=True)

    def hidden_item(self, asked: AskedFact) -> HiddenItem | None:
        """Return the comment that replaces a whole line that we wrote; None: none does."""
        state, slot = self._state, asked.slot
        place = whole_line(state.document, slot)
        if slot.kind != "line" or place is None or not state.hides_empty_slots:
            return None
        if slot.section in state.found.added:
            return None
        first = state.document.body_line(slot.at)
        start, end = state.document.offset(first), state.document.line_end(first)
        return HiddenItem(start, end, asked.fact, self._hidden_line(slot, asked.fact))

    def _hidden_line(self, slot: Slot, fact: str) -> str:
        """Return the comment that holds the place of a labelled line."""
        state = self._state
        start = state.document.offset(state.document.body_line(slot.at))
        line = state.text[start : slot.start].strip()
        label = line[: after_label(line) or len(line)].rstrip()
        return f"<!-- {label} {self._instead(fact)} -->"

    def block(self, text: WrittenText) -> None:
        """Remove a written text between blank lines."""
        state = self._state
        number = state.document.section_at(text.start)
        if number in state.found.added or text.fact in state.labels.heads:
            state.removals.append(lines_around(state.document, text.start, text.end))
            state.report_fact(text.fact, "cleared", text.start)
            return
        chunk, start, name = UNKNOWN, text.start, text.fact
        if state.hides_empty_slots:
            chunk, name = self._comment(text.fact), HIDDEN + text.fact
            heading = state.document.sections[number].heading
            if heading and self._is_whole_section(number, text):
                mark = "#" * heading.level
                chunk = f"<!--\n{mark} {heading.title}\n\n{self._instead(text.fact)}\n-->"
                start = heading.start
                self._hidden.add(number)
        is_same = state.text[start : text.end].replace("\r\n", "\n") == chunk
        edit = None if is_same else state.add_edit(state.writer.replace(start, text.end, chunk))
        state.remember(name, chunk, start, edit)
        state.report_fact(text.fact, "empty" if is_same else "cleared", text.start)

    def false_statement(self, asked: AskedFact) -> None:
        """Remove a tool's text about a model or dataset "None"."""
        self._replace(asked, self._comment(asked.fact), asked.slot.start, hidden=True)

    def _comment(self, fact: str) -> str:
        """Return the comment that stands in the place of *fact*."""
        title = plain(self._state.labels.title(fact)).replace("--", "")
        return f"<!-- {title}: {self._instead(fact)} -->"

    def _instead(self, fact: str) -> str:
        """Return what a comment says in the place of *fact*: why it is not there, or our advice."""
        kind = self._state.labels.kinds.get(fact)
        if fact not in self._state.left_out:
            return UNKNOWN
        return inside_comment(kind.guide) if kind and kind.guide else _LEFT_OUT

    def _replace(self, asked: AskedFact, chunk: str, start: int, *, hidden: bool) -> None:
        """Put *chunk* in the place from *start* to the end of a slot."""
        state, end = self._state, asked.slot.end
        is_same = state.text[start:end] == chunk
        edit = None if is_same else state.add_edit(state.writer.replace(start, end, chunk))
        name = HIDDEN + asked.fact if hidden else asked.fact
        state.remember(name, chunk, start, edit)
        state.report(asked, "empty" if is_same else "cleared")

    def _is_whole_section(self, number: int, text: WrittenText) -> bool:
        """Return whether our text is all that the section number *number* shows."""
        section = self._state.document.sections[number]
        if section.extent != section.end:
            return False
        first, *others = section.blocks
        if text.start > first.start:
            return False
        shown = [block for block in others if not self._is_comment(block.start)]
        return all(block.end <= text.end for block in shown)

    def _is_comment(self, offset: int) -> bool:
        return self._state.text.startswith("<!--", offset)

    def _hide_parents(self) -> None:
        """Hide the headings below which nothing is shown, as all their subsections are hidden."""
        state = self._state
        written = [edit.start for edit in state.edits]
        for number in range(len(state.document.sections) - 1, -1, -1):
            heading = state.document.sections[number].heading
            if heading is None or not self._is_empty_parent(number, written):
                continue
            self._hidden.add(number)
            chunk = f"<!--\n{'#' * heading.level} {heading.title}\n-->"
            end = heading.start + len(state.text[heading.start : heading.end].rstrip("\r\n"))
            edit = state.add_edit(state.writer.replace(heading.start, end, chunk))
            state.remember(HIDDEN + SECTION + heading.title, chunk, heading.start, edit)

    def _is_empty_parent(self, number: int, written: Sequence[int]) -> bool:
        """Return whether a heading has hidden subsections only, and may be hidden itself.

        *written*: offsets that something is written at.
        """
        state = self._state
        section = state.document.sections[number]
        below = subsections(state.document.sections, number)
        if not below or not self._hidden.issuperset(below):
            return False
        if any(not self._is_comment(block.start) for block in section.blocks):
            return False
        if any(section.start <= offset < section.end for offset in written):
            return False
        if number in state.found.added or number in state.parents or section.level == 1:
            return False
        # Two hyphens cannot stand in a comment.
        return "--" not in section.path[-1]

    def finish(self) -> set[int]:
        """Turn removals into edits; return the sections whose headings are removed with them."""
        state = self._state
        self._hide_parents()
        taken = sorted(edit.start for edit in state.edits)
        removals = joined(state.text, state.removals, taken)
        bare = _bare_sections(state, removals)
        places = list(removals)
        for number in bare:
            section = state.document.sections[number]
            if section.heading:
                places.append((section.heading.start, _end_of_ours(state.text, section, removals)))
        for start, end in joined(state.text, places, taken):
            place = with_blank_lines(state.text, start, end, state.document.body, taken)
            state.edits.append(Edit(*place, ""))
        return bare


def whole_line(document: Document, slot: Slot) -> tuple[int, int] | None:
    """Return the lines of a labelled *slot*, if nothing else stands on them.

    The last newline is included.
    """
    if slot.kind != "line":
        return None
    start = document.offset(document.body_line(slot.at))
    last = document.body_line(slot.end)
    before = document.text[start : slot.at].strip()
    after = document.text[slot.end : document.line_end(last)].strip().lower()
    if before.strip("-*+") or after not in _LINE_BREAKS:
        return None
    return start, document.offset(last + 1)


def lines_around(document: Document, start: int, end: int) -> tuple[int, int]:
    """Return the lines of the text from *start* to *end*, the last newline included."""
    return document.offset(document.body_line(start)), document.offset(document.body_line(end) + 1)


def _bare_sections(state: FillState, removals: list[tuple[int, int]]) -> set[int]:
    """Return the numbers of sections that we added and that nothing is left in."""
    bare: set[int] = set()
    for number in sorted(state.found.added, reverse=True):
        below = subsections(state.document.sections, number)
        is_parent = number in state.parents or not bare.issuperset(below)
        if not is_parent and _is_removed(state.document.sections[number], removals):
            bare.add(number)
    return bare


def _is_removed(section: Section, removals: list[tuple[int, int]]) -> bool:
    """Return whether each block of *section*, comments apart, lies in one of *removals*."""
    return all(block.kind == "comment" for block in _left(section, removals))


def _end_of_ours(text: str, section: Section, removals: list[tuple[int, int]]) -> int:
    """Return where the first comment begins that stays of a *section* that we added, or its end.

    What we put between two lists goes with them.
    """
    stays = [
        block.start
        for block in _left(section, removals)
        if text[block.start : block.end] != LIST_SEPARATOR
    ]
    return min(stays, default=section.end)


def _left(section: Section, removals: list[tuple[int, int]]) -> list[Block]:
    """Return the blocks of *section* that lie in none of *removals*."""
    return [block for block in section.blocks if not _lies_in(block, removals)]


def _lies_in(block: Block, removals: list[tuple[int, int]]) -> bool:
    return any(start <= block.start and block.end <= end for start, end in removals)


def subsections(sections: Sequence[Section], number: int) -> list[int]:
    """Return the numbers of the sections below the section *number*, of all levels."""
    section, below = sections[number], []
    for inner in range(number + 1, len(sections)):
        if sections[inner].start > section.extent or sections[inner].level <= section.level:
            break
        below.append(inner)
    return below
