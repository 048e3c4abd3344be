"""A document's sections → slots: the values of labelled lines and table cells, and the title.

One rule: a slot is a place in the text and what stands there. Which fact it asks for, `labels`
knows; whether it may be written, `fill` decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from markdown_it.token import Token

from autocard.card.form.labels import Labels
from autocard.card.markdown.document import Block, Document, Section
from autocard.card.markdown.parser import inline_parser

_MARKERS = re.compile(r"[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*")
_AFTER_BOLD = re.compile(r"[ \t]*(?:\[[^\[\]\n]{0,60}\]|\([^()\n]{0,60}\))?[ \t]*[:\uff1a]")
_PLAIN = re.compile(r"[^\W\d_][^:\uff1a*_`\[\]<>{}|\n]{0,60}[:\uff1a](?=[ \t\r]|$)")
_BREAK = re.compile(r"<br[ \t]{0,3}/?>\Z", re.IGNORECASE)
_COLONS = ":\uff1a"
_LONGEST_LABEL = 120
_TITLE = re.compile(r"(?i:model card for)\s+")
_ASKS_AT_END = re.compile(
    r"(?:\{\{[^{}\n]{0,200}\}\}|\{[^{}\n]{1,80}\}|\[[^\[\]\n]{1,80}\]|<<[^<>\n]{1,80}>>)\Z"
)

Kind = Literal["line", "cell", "body", "title", "hidden"]


@dataclass(frozen=True)
class Slot:
    """One place for a value.

    Attributes:
        kind: line (labelled), cell (table), body (of a heading), title, hidden (a comment of ours).
        label: what stands before the value, without marks; the heading of a body.
        path: the headings above, the slot's own section last.
        start: offset of the value; of an empty one, where it would stand.
        end: offset after the value.
        section: index of its section in the document.
        plain: the label is not bold: a list item that looks like `word: value`, which may be
            anything.
        at: offset of the label.
    """

    kind: Kind
    label: str
    path: tuple[str, ...]
    start: int
    end: int
    section: int
    plain: bool = False
    at: int = -1


def labelled(document: Document) -> Iterator[Slot]:
    """Yield the slots of labelled lines and table rows, in order."""
    for index, section in enumerate(document.sections):
        for number, block in enumerate(section.blocks):
            if block.kind == "table":
                yield from _rows(document, section, index, block.tokens)
            elif block.kind in ("paragraph", "list"):
                for slot in _lines(document, section, index, block.tokens):
                    yield (
                        _value_below(document, slot, section.blocks, number)
                        if block.kind == "paragraph"
                        else slot
                    )


def title_section(document: Document, labels: Labels) -> int | None:
    """Return the number of the section whose heading is the document's title; None: it has no title.

    The title is the first heading of level 1 that is not the heading of a section ("# Results"), so
    a section that autocard adds is never taken for it. A model may be called like a section,
    though: a Trainer with the output folder "results" writes "# results", and the card's main
    sections below it.
    """
    first_level = [index for index, section in enumerate(document.sections) if section.level == 1]
    for index in first_level:
        if not labels.is_section_heading(document.sections[index].path[-1]):
            return index
    if len(first_level) != 1 or first_level[0] != 1:
        return None
    below = [section.path[-1] for section in document.sections[2:] if section.level == 2]  # noqa: PLR2004
    own = labels.sections_of(document.sections[1].path[-1])
    return (
        1
        if any(labels.sections_of(heading) & labels.main_sections - own for heading in below)
        else None
    )


def title(document: Document, labels: Labels) -> Slot | None:
    """Return the slot of the document's title: the name in it.

    It comes after "Model Card for"; or it is what stands in braces or brackets at the end.
    """
    index = title_section(document, labels)
    heading = document.sections[index].heading if index is not None else None
    if index is None or heading is None:
        return None
    start = document.text.find(heading.title, heading.start, heading.end) if heading.title else -1
    if start < 0 or "\n" in heading.title:
        return None
    found = _TITLE.match(heading.title)
    asks = _ASKS_AT_END.search(heading.title, max(0, len(heading.title) - 220))
    lead = found.end() if found else asks.start() if asks else 0
    return Slot("title", "title", (), start + lead, start + len(heading.title), index)


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Return *start* and *end* moved inwards past blanks, HTML comments and line breaks at either end."""
    while start < end:
        if text[start] in " \t\r\n\f":
            start += 1
        elif text.startswith("<!--", start) and (closed := text.find("-->", start, end)) >= 0:
            start = closed + 3
        else:
            break
    while start < end:
        if text[end - 1] in " \t\r\n\f":
            end -= 1
        elif text.endswith("-->", start, end) and (opened := text.rfind("<!--", start, end)) >= 0:
            end = opened
        elif found := _BREAK.search(text, max(start, end - 8), end):
            end = found.start()
        else:
            break
    return start, end


def _lines(document: Document, section: Section, index: int, tokens: list[Token]) -> Iterator[Slot]:
    """Yield the labelled lines of the paragraphs among *tokens*: one paragraph, or a list with all its items."""
    quotes = lists = 0
    for number, token in enumerate(tokens):
        quotes += (token.type == "blockquote_open") - (token.type == "blockquote_close")
        lists += (token.type == "list_item_open") - (token.type == "list_item_close")
        if (
            token.type != "inline"
            or quotes
            or token.map is None
            or tokens[number - 1].type != "paragraph_open"
        ):
            continue
        found = list(_labels(document, token, in_list=lists > 0))
        for place, (label, at, start, end, plain) in enumerate(found):
            slot = Slot("line", label, section.path, start, end, index, plain, at)
            last = place == len(found) - 1
            if (
                lists
                and last
                and start == end
                and (inner := _item_rest(document, tokens, number + 2))
            ):
                # The value stands in the rest of the item, which may have labelled lines of its
                # own.
                if not inner[2]:
                    yield replace(slot, start=inner[0], end=inner[1])
            else:
                yield slot


def _labels(
    document: Document, token: Token, *, in_list: bool
) -> Iterator[tuple[str, int, int, int, bool]]:
    """Yield (label, its place, start, end, plain) of the labelled lines of one paragraph."""
    text = document.text
    first, after = token.map or (0, 0)
    heads: list[tuple[str, int, int, bool]] = []
    for line in range(first, after):
        start, end = document.offset(line), document.line_end(line)
        marked = _MARKERS.match(text, start, end)
        at = marked.end() if marked else start
        named = _label(text, at, end, plain=in_list and line == first)
        if named:
            heads.append((named[0], at, named[1], named[2]))
    if len(heads) > 1 or (
        heads and heads[0][1] >= document.offset(first + 1) and after - first > 1
    ):
        heads = _true_heads(document, heads, token)
    for number, (label, at, value, plain) in enumerate(heads):
        limit = heads[number + 1][1] if number + 1 < len(heads) else document.line_end(after - 1)
        start, end = trim(text, value, limit)
        if start >= end:
            # Empty: after one blank, on the label's own line.
            start = end = min(
                value + (text[value : value + 1] in (" ", "\t")),
                document.line_end(document.body_line(value)),
            )
        yield label, at, start, end, plain


def _label(text: str, at: int, end: int, *, plain: bool) -> tuple[str, int, bool] | None:
    """Return (label, where the value begins, whether it is plain) of the line from *at* to *end*."""
    mark = text[at : at + 2]
    if mark in ("**", "__"):
        close = text.find(mark, at + 2, min(end, at + 2 + _LONGEST_LABEL))
        inner = text[at + 2 : close] if close > at + 2 else ""
        if not inner or inner[0].isspace():
            return None
        if inner.rstrip().endswith(tuple(_COLONS)):
            return inner.rstrip().rstrip(_COLONS).strip(), close + 2, False
        rest = _AFTER_BOLD.match(text, close + 2, end)
        return (inner.strip(), rest.end(), False) if rest else None
    found = _PLAIN.match(text, at, end) if plain else None
    return (found[0][:-1].strip(), found.end(), True) if found else None


def _true_heads(
    document: Document, heads: list[tuple[str, int, int, bool]], token: Token
) -> list[tuple[str, int, int, bool]]:
    """Return those of *heads* that really open a line in bold: not inside a code span or comment of several lines."""
    first = (token.map or (0, 0))[0]
    children = inline_parser().parseInline(token.content)[0].children or []
    line, fresh, opens = 0, True, set()
    for child in children:
        if child.type in ("softbreak", "hardbreak"):
            line, fresh = line + 1, True
        elif child.content or child.nesting:
            if fresh and child.type in ("strong_open", "text"):
                opens.add(line)
            fresh = False
    if line != token.content.count("\n"):
        # Something spans lines here; only the first label is sure.
        return [head for head in heads if head[1] < document.offset(first + 1)][:1]
    return [head for head in heads if document.body_line(head[1]) - first in opens]


def _item_rest(document: Document, tokens: list[Token], after: int) -> tuple[int, int, bool] | None:
    """Return the place of what follows in a list item, and whether it has labelled lines; None if nothing follows."""
    depth = 0
    first: int | None = None
    last = 0
    has_labels = False
    for token in tokens[after:]:
        depth += token.nesting
        if depth < 0:
            break
        if token.map is not None and token.type != "html_block":
            first = token.map[0] if first is None else first
            last = max(last, token.map[1])
        if token.type == "inline":
            has_labels = has_labels or any(
                not plain for *_, plain in _labels(document, token, in_list=True)
            )
    if first is None:
        return None
    start, end = trim(document.text, document.offset(first), document.line_end(last - 1))
    marker = _MARKERS.match(document.text, start, end)
    if marker and "\n" not in document.text[start:end]:
        start = marker.end()
    return (start, end, has_labels) if start < end else None


def _value_below(document: Document, slot: Slot, blocks: tuple[Block, ...], number: int) -> Slot:
    """Return *slot*, or where its label stands alone in its paragraph, the slot of the block below it."""
    start, end = trim(document.text, slot.start, blocks[number].end)
    if slot.start != slot.end or start < end:
        return slot
    for index in range(number + 1, len(blocks)):
        block = blocks[index]
        if block.kind == "comment":
            continue
        text = document.text[block.start : block.end]
        if block.kind == "paragraph" and text.startswith(("**", "__", "_", "*")):
            break
        marker = _MARKERS.match(text) if block.kind == "list" and "\n" not in text else None
        start = block.start + (marker.end() if marker else 0)
        start, stop = trim(document.text, start, block.end)
        return replace(slot, start=start, end=stop)
    return slot


def _rows(document: Document, section: Section, index: int, tokens: list[Token]) -> Iterator[Slot]:
    """Yield a slot for the second cell of each row of a table; the first cell is its label."""
    for token in tokens:
        if token.type != "tr_open" or token.map is None:
            continue
        line = token.map[0]
        cells = _cells(document.text, document.offset(line), document.line_end(line))
        if len(cells) < 2:  # noqa: PLR2004
            continue
        label = (
            document.text[cells[0][0] : cells[0][1]]
            .strip()
            .strip("*_ \t")
            .rstrip(_COLONS)
            .strip("*_ \t")
        )
        start, end = trim(document.text, *cells[1])
        if start >= end:
            start = end = min(cells[1][0] + 1, cells[1][1])
        if label:
            yield Slot("cell", label, section.path, start, end, index, at=cells[0][0])


def _cells(text: str, start: int, end: int) -> list[tuple[int, int]]:
    r"""Return the places between the pipes of the table row from *start* to *end*; `\|` is no pipe."""
    pipes = [at for at in range(start, end) if text[at] == "|" and text[at - 1 : at] != "\\"]
    edges = [start - 1, *pipes, end]
    cells = [(a + 1, b) for a, b in pairwise(edges)]
    if cells and not text[slice(*cells[0])].strip():
        cells = cells[1:]
    if cells and not text[slice(*cells[-1])].strip() and pipes:
        cells = cells[:-1]
    return cells


def after_marker(text: str, start: int, end: int) -> int:
    """Return where the words of the list item from *start* to *end* begin."""
    marker = _MARKERS.match(text, start, end)
    return marker.end() if marker else start


def after_label(line: str) -> int:
    """Return where the value of the labelled *line* begins; 0 if it has no label."""
    at = after_marker(line, 0, len(line))
    found = _label(line, at, len(line), plain=False)
    return found[1] if found else 0
