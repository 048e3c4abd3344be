"""The proof before every write: what was not written is the same, and the card reads as it did.

One rule: it relies neither on the edits nor on the first parsing; it compares the two texts.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from autocard.card.markdown.document import Document, Section
from autocard.card.markdown.edit import Edit
from autocard.card.markdown.front_place import find_front_matter
from autocard.errors import CardError

_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_WHOLE = ("code", "comment", "html", "table", *_HEADINGS)
"""Kinds of blocks that nothing can be put beside so that it becomes part of them."""
_NEAR = 1000
"""Characters. Texts further apart are not on the same lines, or only on a line that no person
writes."""


def apply(text: str, edits: Sequence[Edit]) -> str:
    """Return *text* after *edits*, which are in order.

    Raises:
        CardError: two of them overlap.
    """
    pieces = []
    position = 0
    for edit in edits:
        if edit.start < position or edit.end < edit.start:
            msg = "two changes overlap; the card was left alone"
            raise CardError(msg)
        pieces += [text[position : edit.start], edit.text]
        position = edit.end
    return "".join([*pieces, text[position:]])


def prove(before: Document, after: str, edits: Sequence[Edit]) -> None:
    """Check *after* against *before*.

    Raises:
        CardError: something outside the edits changed, or reads differently now. Nothing was
            written.
    """
    if not edits:
        return
    _prove_same_outside(before.text, after, edits)
    front, body = find_front_matter(after, before.top)
    in_front = [edit for edit in edits if edit.start < before.body]
    shift = sum(len(edit.text) - (edit.end - edit.start) for edit in in_front)
    if before.front is not None and (front is None or body != before.body + shift):
        msg = "the front matter would not be found again; the card was left alone"
        raise CardError(msg)
    in_body = [edit for edit in edits if edit.start >= before.body]
    for first, last in _touched_sections(before, in_body):
        _Region(before, first, last, in_body).prove()


def _prove_same_outside(before: str, after: str, edits: Sequence[Edit]) -> None:
    """Check from the end that the pieces between edits are equal to the byte."""
    old, new = len(before), len(after)
    for edit in reversed(edits):
        gap = old - edit.end
        is_same = before[edit.end : old] == after[new - gap : new]
        if not is_same or not after.startswith(edit.text, new - gap - len(edit.text)):
            msg = "text outside the slots would have changed; the card was left alone"
            raise CardError(msg)
        new -= gap + len(edit.text)
        old = edit.start
    if before[:old] != after[:new]:
        msg = "text outside the slots would have changed; the card was left alone"
        raise CardError(msg)


def _touched_sections(document: Document, edits: Sequence[Edit]) -> list[tuple[int, int]]:
    """Return the ranges (first, last) of sections with *edits*.

    Headings close whatever was open before them, so each range can be parsed alone.
    """
    starts = [_start(section) for section in document.sections]
    ranges: list[tuple[int, int]] = []
    for edit in edits:
        # What is inserted just before a heading belongs to the section above it.
        bisect = bisect_left if edit.is_insertion else bisect_right
        first = max(0, bisect(starts, edit.start) - 1)
        last = max(first, bisect_right(starts, max(edit.start, edit.end - 1)) - 1)
        if ranges and first <= ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], max(last, ranges[-1][1]))
        else:
            ranges.append((first, last))
    return ranges


def _start(section: Section) -> int:
    return section.heading.start if section.heading else section.start


class _Landmark(NamedTuple):
    """A heading or block that must be found again: its offset, kind and text."""

    start: int
    kind: str
    text: str

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class _Region:
    """Some neighboring sections of a card, and the edits in them."""

    def __init__(self, before: Document, first: int, last: int, edits: Sequence[Edit]) -> None:
        """*first*, *last*: numbers of the sections."""
        self._before = before
        self._sections = before.sections[first : last + 1]
        self._following = before.sections[last + 1 : last + 2]
        start, end = _start(self._sections[0]), self._sections[-1].end
        self._edits = [edit for edit in edits if start <= edit.start and edit.end <= end]
        if _leaves_text_above(self._sections[0], self._edits[0]):
            start = self._edits[0].start
        self._start = start
        self._end = self._following[0].start if self._following else end

    def prove(self) -> None:
        """Check that each heading, code block and comment, and the next heading, are in place.

        Raises:
            CardError: one is not.
        """
        text = self._after()
        after = Document(text, part=True)
        found = {
            _Landmark(self._start + mark.start, mark.kind, mark.text)
            for mark in _landmarks(after, after.sections)
        }
        number = shift = 0
        for mark in self._wanted():
            while number < len(self._edits) and self._edits[number].end <= mark.start:
                edit = self._edits[number]
                shift += len(edit.text) - (edit.end - edit.start)
                number += 1
            if number < len(self._edits) and self._edits[number].start < mark.end:
                # Something was written inside it: a title, a cell, the value of a hidden place.
                continue
            if mark.kind not in _WHOLE and self._is_extended(mark, number):
                continue
            if _Landmark(mark.start + shift, mark.kind, mark.text) not in found:
                line = self._before.line_number(mark.start)
                msg = f"line {line} would read differently; the card was left alone"
                raise CardError(msg)

    def _after(self) -> str:
        """Return the text of the region after the edits."""
        pieces = []
        position = self._start
        for edit in self._edits:
            pieces += [self._before.text[position : edit.start], edit.text]
            position = edit.end
        return "".join([*pieces, self._before.text[position : self._end]])

    def _wanted(self) -> list[_Landmark]:
        """Return the landmarks that must be found again, the next heading last."""
        marks = sorted(_landmarks(self._before, self._sections))
        wanted = [mark for mark in marks if mark.start >= self._start]
        wanted += [
            mark for mark in _landmarks(self._before, self._following) if mark.kind in _HEADINGS
        ]
        return wanted

    def _is_extended(self, mark: _Landmark, number: int) -> bool:
        """Return whether an edit stands beside a block, on its lines, and makes it longer.

        A line is added to a list, or a value behind an empty label. *number*: of the first edit
        after the block's start.
        """
        for edit in self._edits[max(0, number - 1) : number + 1]:
            first, last = mark.end, edit.start
            if edit.end <= mark.start:
                first, last = edit.end, mark.start
            if last - first > _NEAR:
                continue
            gap = self._before.text[first:last]
            joins = edit.joins and first == mark.end
            if not gap.strip() and (gap.count("\n") <= 1 or joins):
                return True
        return False


def _leaves_text_above(section: Section, edit: Edit) -> bool:
    """Return whether *edit* begins with a heading that leaves what stands before it as it is.

    A heading ends paragraphs, lists, tables and quotes, whatever is open in them; HTML and code may
    continue over it.
    """
    if not edit.is_insertion or not edit.text.lstrip("\r\n").startswith("#"):
        return False
    above = next((block for block in reversed(section.blocks) if block.start < edit.start), None)
    return above is None or above.kind in ("paragraph", "list", "table", "quote", "rule")


def _landmarks(document: Document, sections: Sequence[Section]) -> Iterator[_Landmark]:
    for section in sections:
        heading = section.heading
        if heading:
            text = document.text[heading.start : heading.end].rstrip()
            yield _Landmark(heading.start, f"h{heading.level}", text)
        for block in section.blocks:
            if block.end > block.start:
                yield _Landmark(block.start, block.kind, document.text[block.start : block.end])
