"""The places of removed texts: neighbors are joined, double blank lines removed.

One rule: a place where something is written keeps its blank lines.
"""

from __future__ import annotations

from collections.abc import Sequence

Span = tuple[int, int]
"""Start and end of a place."""


def joined(text: str, places: Sequence[Span], taken: Sequence[int]) -> list[Span]:
    """Return *places* in order, joined where only blanks stand between two of them.

    *taken*: offsets that something is written at; it stays between its neighbors.
    """
    found: list[Span] = []
    for start, end in sorted(places):
        if found and _touch(text, found[-1][1], start, taken):
            last_start, last_end = found[-1]
            found[-1] = (last_start, max(end, last_end))
        else:
            found.append((start, end))
    return found


def _touch(text: str, end: int, start: int, taken: Sequence[int]) -> bool:
    """Return whether nothing stands, or is written, between *end* and *start* of two places."""
    if text[end:start].strip():
        return False
    return start <= end or not any(end <= offset <= start for offset in taken)


def with_blank_lines(text: str, start: int, end: int, body: int, taken: Sequence[int]) -> Span:
    """Return the place with the blank lines that would stand twice without it.

    *body*: where the Markdown begins; *taken*: offsets that something is written at.
    """
    first, last = start, _line_start(text, start, end)
    if _follows_blank_line(text, start, body):
        last = _after_blank_lines(text, last)
    if not text[last:].strip():
        # Nothing follows: the blank lines above would stand at the end of the card.
        last = len(text)
        first = _before_newlines(text, first, body)
    if any(first < offset < last for offset in taken):
        return start, end
    return first, last


def _line_start(text: str, start: int, end: int) -> int:
    """Return *end* without the blank lines at the end of the place."""
    last = end
    while last > start:
        line_start = text.rfind("\n", 0, last - 1) + 1
        if text[line_start:last].strip():
            break
        last = line_start
    return last


def _follows_blank_line(text: str, start: int, body: int) -> bool:
    if start <= body:
        return True
    return text[max(body, start - 4) : start].replace("\r", "").endswith("\n\n")


def _after_blank_lines(text: str, offset: int) -> int:
    while offset < len(text):
        newline = text.find("\n", offset)
        line_end = len(text) if newline < 0 else newline + 1
        if text[offset:line_end].strip():
            break
        offset = line_end
    return offset


def _before_newlines(text: str, offset: int, body: int) -> int:
    """Return *offset* moved before all newlines above it but one."""
    while offset - 1 > body and text[offset - 1] == "\n":
        step = 2 if text[offset - 2 : offset - 1] == "\r" else 1
        if text[offset - step - 1 : offset - step] != "\n":
            break
        offset -= step
    return offset
