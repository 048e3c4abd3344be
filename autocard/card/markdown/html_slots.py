"""Slots in HTML: the values of labelled list items, paragraphs and rows in `<ul>`, `<table>`.

One rule: only a value without a tag of its own is a slot; what is written there is HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from markdown_it import MarkdownIt

from autocard.card.markdown.document import Block, Document

_TAG = re.compile(
    r"<(/?)(li|td|th|tr|p|div|dt|dd|br|ul|ol|dl|table|thead|tbody)\b[^<>]{0,300}>", re.IGNORECASE
)
"""Tags that end a value: `</li>`, `<td align="right">`, `<br/>`."""
_LITERAL = re.compile(r"<(?:pre|script|style|textarea|svg)\b", re.IGNORECASE)
"""Elements in which words are no text."""
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_ANY_TAG = re.compile(r"<[^<>]{0,300}>")
_LABEL = re.compile(
    r"\s*(?:<(?P<tag>b|strong)\b[^<>]{0,100}>(?P<bold>[^<>\n]{1,120})</(?P=tag)>"  # <b>Hours:</b>
    r"|(?P<plain>[^\W\d_][^<>:\uff1a\n]{0,60})(?=[:\uff1a]))"  # Hours:
    r"(?P<colon>\s*[:\uff1a])?",
    re.IGNORECASE,
)
_COLONS = ":\uff1a"
_TERMS = ("dt", "dd")
_CELLS = ("td", "th")
_LEAST_CELLS = 2


@dataclass(frozen=True)
class HtmlValue:
    """One labelled value.

    Attributes:
        label: its text.
        at: offset of the label.
        start: offset of the value.
        end: offset after it.
        head: it stands in the head of a table.
    """

    label: str
    at: int
    start: int
    end: int
    head: bool = False


@dataclass(frozen=True)
class _Piece:
    """What stands between two tags: the element that it opens with, and its place."""

    name: str
    start: int
    end: int


def values(document: Document, block: Block) -> Iterator[HtmlValue]:
    """Yield the labelled values in a *block* of HTML, in order."""
    html = document.text[block.start : block.end]
    if _LITERAL.search(html):
        return
    # Offsets stay: a comment becomes as many blanks.
    html = _COMMENT.sub(lambda found: " " * len(found[0]), html)
    cells: list[_Piece] = []
    for piece in _pieces(html):
        if piece.name == "tr":
            cells = []
        elif piece.name in (*_CELLS, *_TERMS):
            cells = [] if piece.name == "dt" else cells
            cells.append(piece)
            if len(cells) == _LEAST_CELLS:
                yield from _of_cells(html, cells[0], cells[1], block.start)
        else:
            yield from _of_text(html, piece, block.start)


def as_html(line: str) -> str:
    """Return a line of Markdown as HTML shows it; HTML in it is shown as it is written."""
    return str(_renderer().renderInline(line))


def _renderer() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False})


def _pieces(html: str) -> Iterator[_Piece]:
    """Yield the texts between tags, each with the element that was opened or closed before it."""
    name, start = "", 0
    for tag in _TAG.finditer(html):
        yield _Piece(name, start, tag.start())
        closed, opened = tag[1], tag[2].lower()
        name, start = ("" if closed else opened), tag.end()
    yield _Piece(name, start, len(html))


def _of_cells(html: str, label: _Piece, value: _Piece, shift: int) -> Iterator[HtmlValue]:
    """Yield the second of two cells of a row, which the first one names."""
    text = " ".join(_ANY_TAG.sub("", html[label.start : label.end]).split()).rstrip(_COLONS)
    if text and not _ANY_TAG.search(html[value.start : value.end]):
        start, end = _trimmed(html, value.start, value.end)
        is_head = label.name == value.name == "th"
        yield HtmlValue(text.strip(), shift + label.start, shift + start, shift + end, is_head)


def _of_text(html: str, piece: _Piece, shift: int) -> Iterator[HtmlValue]:
    """Yield the value of `<b>Label:</b> value`, or `Label: value` in an item of a list."""
    label = _LABEL.match(html, piece.start, piece.end)
    if label is None or (label["bold"] is None and piece.name != "li"):
        return
    text = (label["bold"] or label["plain"]).strip()
    has_colon = bool(label["colon"]) or text.endswith(tuple(_COLONS))
    if not has_colon or _ANY_TAG.search(html[label.end() : piece.end]):
        return
    start, end = _trimmed(html, label.end(), piece.end)
    at = piece.start + len(html[piece.start : label.end()]) - len(label[0].lstrip())
    yield HtmlValue(text.rstrip(_COLONS).strip(), shift + at, shift + start, shift + end)


def _trimmed(html: str, start: int, end: int) -> tuple[int, int]:
    """Return the place of the text from *start* to *end*, without blanks at its ends."""
    text = html[start:end]
    if not text.strip():
        return start, start
    return start + len(text) - len(text.lstrip()), start + len(text.rstrip())
