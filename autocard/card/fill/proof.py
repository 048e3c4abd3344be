"""The proof before every write: what was not written is the same, and the card reads as it did.

One rule: it trusts neither the edits nor the parser's first answer; it looks at the two texts.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from autocard.card.markdown.document import Document, Section, find_front_matter
from autocard.card.markdown.edit import Edit
from autocard.errors import CardError


def apply(text: str, edits: Sequence[Edit]) -> str:
    """Return *text* after *edits*, which are in order.

    Raises:
        CardError: two of them overlap.
    """
    pieces = []
    at = 0
    for edit in edits:
        if edit.start < at or edit.end < edit.start:
            msg = "two changes overlap; the card was left alone"
            raise CardError(msg)
        pieces += [text[at : edit.start], edit.text]
        at = edit.end
    return "".join([*pieces, text[at:]])


def prove(before: Document, after: str, edits: Sequence[Edit]) -> None:
    """Check *after* against *before*.

    Raises:
        CardError: something outside the edits changed, or reads differently now. Nothing was
            written.
    """
    if not edits:
        return
    _outside_is_same(before.text, after, edits)
    front, body = find_front_matter(after, before.top)
    inside = [edit for edit in edits if edit.start >= before.body]
    shift = sum(
        len(edit.text) - (edit.end - edit.start) for edit in edits if edit.start < before.body
    )
    if before.front is not None and (front is None or body != before.body + shift):
        msg = "the front matter would not be found again; the card was left alone"
        raise CardError(msg)
    for first, last in _touched(before, inside):
        _reads_the_same(before, first, last, inside)


def _outside_is_same(before: str, after: str, edits: Sequence[Edit]) -> None:
    """Walk through both texts from the end: the pieces between edits must be equal to the byte."""
    old, new = len(before), len(after)
    for edit in reversed(edits):
        gap = old - edit.end
        if before[edit.end : old] != after[new - gap : new] or not after.startswith(
            edit.text, new - gap - len(edit.text)
        ):
            msg = "text outside the slots would have changed; the card was left alone"
            raise CardError(msg)
        new -= gap + len(edit.text)
        old = edit.start
    if before[:old] != after[:new]:
        msg = "text outside the slots would have changed; the card was left alone"
        raise CardError(msg)


def _touched(document: Document, edits: Sequence[Edit]) -> list[tuple[int, int]]:
    """Return the ranges (first, last) of sections that *edits* lie in; headings close whatever was open before them."""
    starts = [_start(section) for section in document.sections]
    ranges: list[tuple[int, int]] = []
    for edit in edits:
        # What is put in just before a heading belongs to the section above it.
        first = max(
            0, (bisect_left if edit.start == edit.end else bisect_right)(starts, edit.start) - 1
        )
        last = max(first, bisect_right(starts, max(edit.start, edit.end - 1)) - 1)
        if ranges and first <= ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], max(last, ranges[-1][1]))
        else:
            ranges.append((first, last))
    return ranges


def _start(section: Section) -> int:
    return section.heading.start if section.heading else section.start


def _reads_the_same(before: Document, first: int, last: int, edits: Sequence[Edit]) -> None:
    """Every heading, code block and comment of these sections, and the next heading, must be there at its place."""
    following = before.sections[last + 1 : last + 2]
    start, end = _start(before.sections[first]), before.sections[last].end
    stop = following[0].start if following else end
    own = [edit for edit in edits if start <= edit.start and edit.end <= end]
    if _is_apart(before.sections[first], own[0]):
        start = own[0].start
    pieces, shifts = [], []
    at, moved = start, 0
    for edit in own:
        pieces += [before.text[at : edit.start], edit.text]
        at = edit.end
        moved += len(edit.text) - (edit.end - edit.start)
        shifts.append((edit.start, edit.end, moved))
    after = Document("".join([*pieces, before.text[at:stop]]), part=True)
    there = {(start + place, kind, text) for place, kind, text in _landmarks(after, after.sections)}
    sections = before.sections[first : last + 1]
    wanted = sorted(mark for mark in _landmarks(before, sections) if mark[0] >= start)
    if following and following[0].heading:
        head = following[0].heading
        wanted.append((head.start, f"h{head.level}", before.text[head.start : head.end].rstrip()))
    number = shift = 0
    for place, kind, text in wanted:
        while number < len(shifts) and shifts[number][1] <= place:
            shift = shifts[number][2]
            number += 1
        if number < len(shifts) and shifts[number][0] < place + len(text):
            # Something was written inside it: a title, a cell, the value of a commented place.
            continue
        if kind not in _WHOLE and _goes_on(before.text, own, number, place, place + len(text)):
            continue
        if (place + shift, kind, text) not in there:
            msg = (
                f"line {before.line_number(place)} would read differently; the card was left alone"
            )
            raise CardError(msg)


_WHOLE = ("code", "comment", "html", "table", "h1", "h2", "h3", "h4", "h5", "h6")
"""Kinds of blocks that nothing can be put beside so that it becomes part of them."""


_NEAR = 1000
"""Characters. What lies further apart is not on the same lines, or on no line that anybody would
write."""


def _goes_on(text: str, edits: Sequence[Edit], number: int, start: int, end: int) -> bool:
    """Return whether one of *edits* (the first after the block's start: *number*) stands beside a block, on its lines.

    A line that was added to a list, or a value behind an empty label, makes the block longer.
    """
    for edit in edits[max(0, number - 1) : number + 1]:
        first, last = (edit.end, start) if edit.end <= start else (end, edit.start)
        gap = text[first:last] if last - first <= _NEAR else "far"
        if not gap.strip() and (gap.count("\n") <= 1 or (edit.joins and first == end)):
            return True
    return False


def _is_apart(section: Section, edit: Edit) -> bool:
    """Return whether *edit* begins with a heading, which leaves what stands before it in *section* as it is.

    A heading ends paragraphs, lists, tables and quotes, whatever is open in them; HTML and code may
    go on over it.
    """
    above = next((block for block in reversed(section.blocks) if block.start < edit.start), None)
    ends = above is None or above.kind in ("paragraph", "list", "table", "quote", "rule")
    return edit.start == edit.end and ends and edit.text.lstrip("\r\n").startswith("#")


def _landmarks(document: Document, sections: Sequence[Section]) -> set[tuple[int, str, str]]:
    found = set()
    for section in sections:
        if section.heading:
            head = section.heading
            found.add((head.start, f"h{head.level}", document.text[head.start : head.end].rstrip()))
        for block in section.blocks:
            if block.end > block.start:
                found.add((block.start, block.kind, document.text[block.start : block.end]))
    return found
