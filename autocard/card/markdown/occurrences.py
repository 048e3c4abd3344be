"""Places where a written text stands in a document by itself, and when two texts are the same."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from autocard.card.markdown.document import Document


def comparable(text: str) -> str:
    """Return *text* without what does not count in a comparison: line endings and outer blanks."""
    return text.replace("\r\n", "\n").strip()


def same(a: str, b: str) -> bool:
    """Return whether two texts differ in line endings and outer blanks at most."""
    return comparable(a) == comparable(b)


def matches(document: Document, text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each place in the body where *text* stands, in any line endings."""
    for variant in sorted({text, text.replace("\n", "\r\n")}):
        start = document.text.find(variant, document.body)
        while start >= 0:
            end = start + len(variant)
            yield start, end
            start = document.text.find(variant, end)


def occurrences(document: Document, text: str) -> Iterator[tuple[int, int]]:
    """Yield where *text* stands as whole lines, between blank lines, headings or comments."""
    if not text.strip():
        return
    for start, end in matches(document, text):
        if _stands_alone(document, start, end):
            yield start, end


def _stands_alone(document: Document, start: int, end: int) -> bool:
    """Return whether the text from *start* to *end* is no part of a longer block."""
    if start > document.body and document.text[start - 1] != "\n":
        return False
    return _is_free_above(document, start) and _is_free_below(document, end)


def _is_free_above(document: Document, start: int) -> bool:
    line = document.body_line(start)
    if line <= 0:
        return True
    above = document.text[document.offset(line - 1) : document.line_end(line - 1)].rstrip()
    return not above.strip() or above.endswith("-->") or _is_heading_end(document, start)


def _is_free_below(document: Document, end: int) -> bool:
    text = document.text
    newline = text.find("\n", end)
    rest = text[end : len(text) if newline < 0 else newline].strip()
    if rest:
        return rest.startswith("<!--")
    if newline < 0:
        return True
    following = newline + 1
    below = text[following : document.line_end(document.body_line(following))].lstrip()
    return not below or below.startswith("<!--") or _is_heading_start(document, following)


def _is_heading_end(document: Document, offset: int) -> bool:
    index = bisect_left(document.sections, offset, key=lambda section: section.start)
    return index < len(document.sections) and document.sections[index].start == offset


def _is_heading_start(document: Document, offset: int) -> bool:
    index = bisect_left(document.sections, offset, key=lambda section: section.end)
    return index < len(document.sections) and document.sections[index].end == offset
