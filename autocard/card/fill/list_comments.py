"""Hidden items of a list stand below its visible ones: a comment between two items splits the list.

One rule: only comments that we wrote are moved, as whole lines; every other line stays in place.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from autocard.card.markdown.document import Document

_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]|[ \t]+\S")
"""The beginning of an item, or a line that goes on with one."""


@dataclass(frozen=True)
class HiddenItem:
    """A comment that we wrote in place of a list item, or the item that will replace it.

    Attributes:
        start: offset of its first character.
        end: offset after its last one.
        name: its name among the written texts.
        text: the comment.
    """

    start: int
    end: int
    name: str
    text: str


@dataclass(frozen=True)
class Move:
    """Comments that go below the last visible item of their list.

    Attributes:
        items: the comments, in order.
        place: offset of the line below that item; the end of the text where there is none.
    """

    items: tuple[HiddenItem, ...]
    place: int


def moves(
    document: Document, hidden: Sequence[HiddenItem], shown: Iterable[int] = ()
) -> Iterator[Move]:
    """Yield what has to be moved of the *hidden* items, which are in order.

    *shown*: offsets of comments that become visible items now.
    """
    shown_lines = {document.body_line(offset) for offset in shown}
    by_line = {}
    for item in hidden:
        line = document.body_line(item.start)
        if _is_whole_lines(document, item):
            by_line[line] = item
    last_done = -1
    for line in sorted(by_line):
        if line <= last_done:
            continue
        last = _last_visible(document, line, by_line, shown_lines)
        if last < 0:
            continue
        items = tuple(by_line[number] for number in sorted(by_line) if line <= number < last)
        last_done = last
        yield Move(items, document.offset(last + 1))


def _is_whole_lines(document: Document, item: HiddenItem) -> bool:
    first, last = document.body_line(item.start), document.body_line(item.end)
    return document.offset(first) == item.start and document.line_end(last) == item.end


def _last_visible(
    document: Document, first: int, hidden: dict[int, HiddenItem], shown: Collection[int]
) -> int:
    """Return the last line of the list around line *first* that is shown; -1: none follows it."""
    headings = {section.heading.start for section in document.sections if section.heading}
    last = -1
    line = first
    while document.offset(line) < len(document.text):
        start, end = document.offset(line), document.line_end(line)
        if line in hidden:
            line = document.body_line(hidden[line].end) + 1
            continue
        is_item = line in shown or _ITEM.match(document.text, start, end) is not None
        if not is_item or start in headings:
            break
        last = line
        line += 1
    return last
