"""HTML elements that hold Markdown: `<details>` in one block, `</details>` some blocks later."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from autocard.card.markdown.document import Block, Document

_TAG = re.compile(
    r"<(/?)(details|div|section|article|aside|center|figure|blockquote|table|ul|ol)\b[^<>]*>",
    re.IGNORECASE,
)
"""`<details open>`, `</div>`: what folds, boxes or indents the Markdown that stands in it."""


@dataclass(frozen=True)
class _OpenElement:
    """An element whose end tag has not come yet, and the offset of the block that opens it."""

    name: str
    start: int


def outside_html(document: Document, offset: int) -> int:
    """Return the offset nearest to *offset* that is in no HTML element which holds Markdown.

    What follows a section inside the element goes behind the element; everything else goes before
    it.
    """
    headings = [
        section.heading.start for section in document.sections if section.heading is not None
    ]
    for start, end in _spans(document):  # inner ones first
        if start < offset < end:
            follows_section = any(start < heading < offset for heading in headings)
            offset = end if follows_section else start
    return offset


def _spans(document: Document) -> Iterator[tuple[int, int]]:
    """Yield start and end of the elements that are closed in a later block than they are opened."""
    opened: list[_OpenElement] = []
    for block in _html_blocks(document):
        for tag in _TAG.finditer(document.text, block.start, block.end):
            name = tag[2].lower()
            is_end = bool(tag[1])
            if not is_end:
                opened.append(_OpenElement(name, block.start))
                continue
            element = _close(opened, name)
            if element is not None and element.start != block.start:
                yield element.start, block.end


def _close(opened: list[_OpenElement], name: str) -> _OpenElement | None:
    """Remove the last element called *name* from *opened*, and return it; None: there is none."""
    if all(element.name != name for element in opened):
        return None
    while opened[-1].name != name:
        opened.pop()  # it has no end tag; a browser closes it here
    return opened.pop()


def _html_blocks(document: Document) -> Iterator[Block]:
    """Yield the blocks of HTML, comments included: an end tag alone shows nothing, as a comment."""
    for section in document.sections:
        for block in section.blocks:
            if block.kind in ("html", "comment"):
                yield block
