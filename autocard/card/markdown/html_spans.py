"""HTML elements that hold Markdown: a `<details>` in one block, its `</details>` some blocks later."""

from __future__ import annotations

import re
from collections.abc import Iterator

from autocard.card.markdown.document import Document

_TAG = re.compile(
    r"<(/?)(details|div|section|article|aside|center|figure|blockquote|table|ul|ol)\b[^<>]*>",
    re.IGNORECASE,
)
"""`<details open>`, `</div>`: what folds, boxes or indents the Markdown that stands in it."""


def outside_html(document: Document, at: int) -> int:
    """Return the offset nearest to *at* that is in no HTML element which holds Markdown.

    What follows a section inside the element goes behind the element; everything else goes before
    it.
    """
    headings = [
        section.heading.start for section in document.sections if section.heading is not None
    ]
    for start, end in _spans(document):  # inner ones first
        if start < at < end:
            at = end if any(start < heading < at for heading in headings) else start
    return at


def _spans(document: Document) -> Iterator[tuple[int, int]]:
    """Yield where the elements begin and end that are opened in one block and closed in a later one."""
    opened: list[tuple[str, int]] = []
    # An end tag alone shows nothing, so it is a comment to the document.
    blocks = [
        one
        for section in document.sections
        for one in section.blocks
        if one.kind in ("html", "comment")
    ]
    for block in blocks:
        for tag in _TAG.finditer(document.text, block.start, block.end):
            name = tag[2].lower()
            if not tag[1]:
                opened.append((name, block.start))
            elif any(one == name for one, _ in opened):
                while opened[-1][0] != name:
                    opened.pop()  # it was never closed; a browser closes it here
                _, start = opened.pop()
                if start != block.start:
                    yield start, block.end
