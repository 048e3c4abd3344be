"""Labels at the beginning of lines: `- **Hours used:** 12 h`, `- Hours used: 12 h`.

One rule: bold counts only where Markdown shows it as bold; a label inside a code span or a comment
is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from markdown_it.token import Token

from autocard.card.markdown.document import Document
from autocard.card.markdown.parser import inline_parser

_MARKERS = re.compile(r"[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*")
"""Marks of list items, one in the other: `- `, `  1. * `."""
_AFTER_BOLD = re.compile(
    r"[ \t]*(?:\[[^\[\]\n]{0,60}\]|\([^()\n]{0,60}\))?"
    r"(?:[ \t]*[:\uff1a]|[ \t](?:=|\u2013|\u2014)(?=[ \t\r]|$))"
)
"""What may stand between a bold label and its value: `**Hours used** [optional]:`, `**Seed** =`."""
_PLAIN = re.compile(
    r"(?:`[^`\n]{1,60}`[ \t]?"  # `learning_rate`
    r"|[^\W\d_](?:[^:\uff1a*_`\[\]<>{}|=\n]|(?<=\w)_(?=\w)){0,60})"  # Hours used, learning_rate
    r"(?:\uff1a|(?::|(?<=[ \t])=)(?=[ \t\r]|$))"
)
"""A label that is not bold: `Hours used: 12 h`, `learning_rate = 1e-4`, but not `https://…`."""
_BREAK = re.compile(r"<br[ \t]{0,3}/?>\Z", re.IGNORECASE)
"""`<br>`, `<br />` at the end of a line."""
_LONGEST_BREAK = 8
COLONS = ":\uff1a"
"""The ASCII colon and the full-width one of Chinese and Japanese."""
_LONGEST_LABEL = 120
_BLANKS = " \t\r\n\f"


class LineLabel(NamedTuple):
    """The label of one line, and its value.

    Attributes:
        text: the label without marks.
        at: offset of the label.
        value_start: offset of the value; of an empty one, where it would stand.
        value_end: offset after the value.
        plain: the label is not bold.
        loose: it is plain, and in no list.
    """

    text: str
    at: int
    value_start: int
    value_end: int
    plain: bool
    loose: bool = False


def paragraph_labels(document: Document, token: Token, *, in_list: bool) -> Iterator[LineLabel]:
    """Yield the labels of one paragraph (*token* is its text), each with the place of its value."""
    first, after = token.map or (0, 0)
    heads: list[LineLabel] = []
    is_loose = not in_list and _has_labels_only(document, first, after)
    for line in range(first, after):
        head = _label_of(document, line, may_be_plain=is_loose or (in_list and line == first))
        if head:
            heads.append(head._replace(loose=is_loose and head.plain))
    if _need_check(document, heads, first, after):
        heads = _shown_in_bold(document, heads, token)
    for number, head in enumerate(heads):
        is_last = number + 1 == len(heads)
        limit = document.line_end(after - 1) if is_last else heads[number + 1].at
        start, end = _value_place(document, head.value_start, limit)
        yield head._replace(value_start=start, value_end=end)


def _label_of(document: Document, line: int, *, may_be_plain: bool) -> LineLabel | None:
    start, end = document.offset(line), document.line_end(line)
    at = after_marker(document.text, start, end)
    return _label(document.text, at, end, may_be_plain=may_be_plain)


def _has_labels_only(document: Document, first: int, after: int) -> bool:
    """Return whether each line of a paragraph has a label and a value: a list without marks."""
    for line in range(first, after):
        label = _label_of(document, line, may_be_plain=True)
        if label is None or not document.text[label.value_start : label.value_end].strip():
            return False
    return True


def _need_check(document: Document, heads: list[LineLabel], first: int, after: int) -> bool:
    """Return whether a label stands on a line that something on an earlier line may reach into."""
    if len(heads) > 1:
        return True
    return len(heads) == 1 and after - first > 1 and heads[0].at >= document.offset(first + 1)


def _value_place(document: Document, start: int, limit: int) -> tuple[int, int]:
    """Return the place of the value between a label's end and *limit*."""
    text = document.text
    value_start, value_end = trim(text, start, limit)
    if value_start < value_end:
        return value_start, value_end
    # Empty: after one blank, on the label's own line.
    blank = 1 if text[start : start + 1] in (" ", "\t") else 0
    place = min(start + blank, document.line_end(document.body_line(start)))
    return place, place


def _label(text: str, at: int, end: int, *, may_be_plain: bool) -> LineLabel | None:
    """Return the label of the line from *at* to *end*; its value is all that follows."""
    mark = text[at : at + 2]
    if mark in ("**", "__"):
        return _bold_label(text, at, end)
    found = _PLAIN.match(text, at, end) if may_be_plain else None
    if found is None:
        return None
    return LineLabel(found[0][:-1].strip("` \t"), at, found.end(), end, plain=True)


def _bold_label(text: str, at: int, end: int) -> LineLabel | None:
    """Return the label `**Label:**` or `**Label**:` at offset *at*."""
    mark = text[at : at + 2]
    close = text.find(mark, at + 2, min(end, at + 2 + _LONGEST_LABEL))
    inner = text[at + 2 : close] if close > at + 2 else ""
    if not inner or inner[0].isspace():
        return None
    label = inner.rstrip()
    if label.endswith(tuple(COLONS)):
        return LineLabel(label.rstrip(COLONS).strip(), at, close + 2, end, plain=False)
    colon = _AFTER_BOLD.match(text, close + 2, end)
    return LineLabel(inner.strip(), at, colon.end(), end, plain=False) if colon else None


def _shown_in_bold(document: Document, heads: list[LineLabel], token: Token) -> list[LineLabel]:
    """Return those of *heads* that open a line in bold, not inside a code span or comment."""
    first = (token.map or (0, 0))[0]
    children = inline_parser().parseInline(token.content)[0].children or []
    line, at_start = 0, True
    bold_lines = set()
    for child in children:
        if child.type in ("softbreak", "hardbreak"):
            line, at_start = line + 1, True
        elif child.content or child.nesting:
            if at_start and child.type in ("strong_open", "text"):
                bold_lines.add(line)
            at_start = False
    if line != token.content.count("\n"):
        # A code span or comment covers several lines here; only a label on the first is certain.
        return [head for head in heads if head.at < document.offset(first + 1)][:1]
    return [head for head in heads if document.body_line(head.at) - first in bold_lines]


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Return *start* and *end* moved inwards past blanks, HTML comments and line breaks."""
    start = _trim_start(text, start, end)
    return start, _trim_end(text, start, end)


def _trim_start(text: str, start: int, end: int) -> int:
    while start < end:
        if text[start] in _BLANKS:
            start += 1
            continue
        closed = text.find("-->", start, end) if text.startswith("<!--", start) else -1
        if closed < 0:
            break
        start = closed + 3
    return start


def _trim_end(text: str, start: int, end: int) -> int:
    while start < end:
        if text[end - 1] in _BLANKS:
            end -= 1
            continue
        opened = text.rfind("<!--", start, end) if text.endswith("-->", start, end) else -1
        if opened < 0:
            line_break = _BREAK.search(text, max(start, end - _LONGEST_BREAK), end)
            if line_break is None:
                break
            opened = line_break.start()
        end = opened
    return end


def after_marker(text: str, start: int, end: int) -> int:
    """Return where the words of the list item from *start* to *end* begin."""
    marker = _MARKERS.match(text, start, end)
    return marker.end() if marker else start


def after_label(line: str) -> int:
    """Return where the value of the labelled *line* begins; 0 if it has no label."""
    at = after_marker(line, 0, len(line))
    head = _label(line, at, len(line), may_be_plain=False)
    return head.value_start if head else 0
