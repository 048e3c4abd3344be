"""The proof before every write: what was not written is the same, and the card reads as it did.

One rule: it trusts neither the edits nor the parser's first answer; it looks at the two texts.
"""

from __future__ import annotations

from collections.abc import Sequence

from autocard.card.document import Document
from autocard.card.writing import Edit
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
        CardError: something outside the edits changed, or reads differently now. Nothing was written.
    """
    if not edits:
        return
    _outside_is_same(before.text, after, edits)
    new = Document(after)
    if (before.front is not None and new.front is None) or (before.front is None and before.text == after):
        msg = "the front matter would not be found again; the card was left alone"
        raise CardError(msg)
    _reads_the_same(before, new, edits)


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


def _reads_the_same(before: Document, after: Document, edits: Sequence[Edit]) -> None:
    """Every heading, code block and comment that was there must be there still, at its shifted place."""
    shifts = []
    moved = 0
    for edit in edits:
        moved += len(edit.text) - (edit.end - edit.start)
        shifts.append((edit.start, edit.end, moved))
    landmarks = _landmarks(after)
    at = shift = 0
    for start, kind, text in sorted(_landmarks(before)):
        while at < len(shifts) and shifts[at][1] <= start:
            shift = shifts[at][2]
            at += 1
        if at < len(shifts) and shifts[at][0] < start + len(text):
            # Something was written inside it: a title, the value of a commented place.
            continue
        if (start + shift, kind, text) not in landmarks:
            msg = f"line {before.line_number(start)} would read differently; the card was left alone"
            raise CardError(msg)


def _landmarks(document: Document) -> set[tuple[int, str, str]]:
    found = set()
    for section in document.sections:
        if section.heading:
            head = section.heading
            found.add((head.start, f"h{head.level}", document.text[head.start : head.end].rstrip()))
        for block in section.blocks:
            if block.kind in ("code", "comment", "html", "table"):
                found.add((block.start, block.kind, document.text[block.start : block.end]))
    return found
