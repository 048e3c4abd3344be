"""A document's sections → slots: the values of labelled lines and table cells, and the title.

One rule: a slot is a place in the text and what stands there. `labels` decides which fact it asks
for, `fill` whether it may be written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from markdown_it.token import Token

from autocard.card.form.labels import Labels
from autocard.card.markdown import html_slots
from autocard.card.markdown.document import Block, Document, Section
from autocard.card.markdown.html_slots import HtmlValue
from autocard.card.markdown.line_labels import (
    COLONS,
    LineLabel,
    after_marker,
    paragraph_labels,
    trim,
)

_TITLE = re.compile(r"(?i:model card for)\s+")
"""`Model Card for [Model Name]`: the name stands behind these words."""
_PLACEHOLDER_AT_END = re.compile(
    r"(?:\{\{[^{}\n]{0,200}\}\}|\{[^{}\n]{1,80}\}|\[[^\[\]\n]{1,80}\]|<<[^<>\n]{1,80}>>)\Z"
)
"""`Card of {{ model_id }}`, `… {name}`, `… [Model Name]`, `… <<name>>`: what such a title asks
for."""
_LONGEST_PLACEHOLDER = 220
_MAIN_LEVEL = 2
"""Level of the main sections below a title."""
_LEAST_CELLS = 2
_MOST_CELLS_WITH_VALUE = 3
"""Cells of a first row that may be a label, its value and a note; more are titles of columns."""

Kind = Literal["line", "cell", "html", "body", "title", "hidden"]


@dataclass(frozen=True)
class Slot:
    """One place for a value.

    Attributes:
        kind: line (labelled), cell (table), html (in HTML), body (of a heading), title, hidden (a
            comment that we wrote).
        label: what stands before the value, without marks; the heading of a body.
        path: the headings above, the slot's own section last.
        start: offset of the value; of an empty one, where it would stand.
        end: offset after the value.
        section: index of its section in the document.
        plain: the label is not bold: a list item that looks like `word: value`, which may be
            anything.
        at: offset of the label.
        head: it stands in the head of a table.
        loose: it is plain, and in no list.
    """

    kind: Kind
    label: str
    path: tuple[str, ...]
    start: int
    end: int
    section: int
    plain: bool = False
    at: int = -1
    head: bool = False
    loose: bool = False


def labelled(document: Document) -> Iterator[Slot]:
    """Yield the slots of labelled lines and table rows, in order."""
    for index, section in enumerate(document.sections):
        for number in range(len(section.blocks)):
            yield from _of_block(document, section, index, number)


def _of_block(document: Document, section: Section, index: int, number: int) -> Iterator[Slot]:
    """Yield the slots of the block with that *number* in a section."""
    block = section.blocks[number]
    if block.kind == "table":
        yield from _rows(document, section, index, block.tokens)
    elif block.kind == "list":
        yield from _lines(document, section, index, block.tokens)
    elif block.kind == "paragraph":
        for slot in _lines(document, section, index, block.tokens):
            yield _value_below(document, slot, section.blocks, number)
    elif block.kind == "html":
        for value in html_slots.values(document, block):
            yield _html_slot(value, section, index)


def _html_slot(value: HtmlValue, section: Section, index: int) -> Slot:
    return Slot(
        "html",
        value.label,
        section.path,
        value.start,
        value.end,
        index,
        at=value.at,
        head=value.head,
    )


def title_section(document: Document, labels: Labels) -> int | None:
    """Return the number of the section whose heading is the document's title; None: there is none.

    The title is the first heading of level 1 that is not the heading of a section ("# Results"), so
    a section that autocard adds is never taken for it. A model may be called like a section,
    though: a Trainer with the output folder "results" writes "# results", and the card's main
    sections below it.
    """
    first_level = [index for index, section in enumerate(document.sections) if section.level == 1]
    for index in first_level:
        if not labels.is_section_heading(document.sections[index].path[-1]):
            return index
    if first_level != [1]:
        return None
    own = labels.sections_of(document.sections[1].path[-1])
    for section in document.sections[2:]:
        if section.level != _MAIN_LEVEL:
            continue
        if labels.sections_of(section.path[-1]) & labels.main_sections - own:
            return 1
    return None


def title(document: Document, labels: Labels) -> Slot | None:
    """Return the slot of the document's title: the name in it.

    The name comes after "Model Card for"; or it is what stands in braces or brackets at the end.
    """
    index = title_section(document, labels)
    heading = document.sections[index].heading if index is not None else None
    if index is None or heading is None or not heading.title:
        return None
    start = document.text.find(heading.title, heading.start, heading.end)
    if start < 0 or "\n" in heading.title:
        return None
    end = start + len(heading.title)
    return Slot("title", "title", (), start + _name_offset(heading.title), end, index)


def _name_offset(title: str) -> int:
    """Return where the model's name begins in *title*."""
    lead = _TITLE.match(title)
    if lead:
        return lead.end()
    placeholder = _PLACEHOLDER_AT_END.search(title, max(0, len(title) - _LONGEST_PLACEHOLDER))
    return placeholder.start() if placeholder else 0


def _lines(document: Document, section: Section, index: int, tokens: list[Token]) -> Iterator[Slot]:
    """Yield the labelled lines among *tokens*: of one paragraph, or of a list with its items."""
    quotes = lists = 0
    for number, token in enumerate(tokens):
        quotes += (token.type == "blockquote_open") - (token.type == "blockquote_close")
        lists += (token.type == "list_item_open") - (token.type == "list_item_close")
        if token.type != "inline" or quotes or token.map is None:
            continue
        if tokens[number - 1].type != "paragraph_open":
            continue
        found = list(paragraph_labels(document, token, in_list=lists > 0))
        slots = [_line_slot(label, section, index) for label in found]
        if lists and slots and slots[-1].start == slots[-1].end:
            yield from slots[:-1]
            yield from _slot_of_item(document, slots[-1], tokens[number + 2 :])
        else:
            yield from slots


def _line_slot(label: LineLabel, section: Section, index: int) -> Slot:
    return Slot(
        "line",
        label.text,
        section.path,
        label.value_start,
        label.value_end,
        index,
        label.plain,
        label.at,
        loose=label.loose,
    )


@dataclass(frozen=True)
class _ItemRest:
    """What follows the first paragraph in a list item, and whether it has labelled lines."""

    start: int
    end: int
    has_labels: bool


def _slot_of_item(document: Document, slot: Slot, rest: Sequence[Token]) -> Iterator[Slot]:
    """Yield the slot of a label whose value may stand in the *rest* of its list item.

    That rest may have labelled lines of its own: then the label is the heading of a list, and no
    slot.
    """
    value = _item_rest(document, rest)
    if value is None:
        yield slot
    elif not value.has_labels:
        yield replace(slot, start=value.start, end=value.end)


def _item_rest(document: Document, rest: Sequence[Token]) -> _ItemRest | None:
    """Return the rest of the list item that the tokens *rest* begin in; None: nothing follows."""
    depth = 0
    first: int | None = None
    last = 0
    has_labels = False
    for token in rest:
        depth += token.nesting
        if depth < 0:
            break
        if token.map is not None and token.type != "html_block":
            first = token.map[0] if first is None else first
            last = max(last, token.map[1])
        if token.type == "inline" and not has_labels:
            found = paragraph_labels(document, token, in_list=True)
            has_labels = not all(label.plain for label in found)
    if first is None:
        return None
    start, end = trim(document.text, document.offset(first), document.line_end(last - 1))
    if "\n" not in document.text[start:end]:
        start = after_marker(document.text, start, end)
    return _ItemRest(start, end, has_labels) if start < end else None


def _value_below(document: Document, slot: Slot, blocks: Sequence[Block], number: int) -> Slot:
    """Return *slot*, or the slot of the block below if its label stands alone in its paragraph."""
    start, end = trim(document.text, slot.start, blocks[number].end)
    if slot.start != slot.end or start < end:
        return slot
    below = next((block for block in blocks[number + 1 :] if block.kind != "comment"), None)
    if below is None:
        return slot
    text = document.text[below.start : below.end]
    if below.kind == "paragraph" and text.startswith(("**", "__", "_", "*")):
        # The next label, or advice in italics: no value.
        return slot
    start = below.start
    if below.kind == "list" and "\n" not in text:
        start += after_marker(text, 0, len(text))
    start, end = trim(document.text, start, below.end)
    return replace(slot, start=start, end=end)


def _rows(document: Document, section: Section, index: int, tokens: list[Token]) -> Iterator[Slot]:
    """Yield a slot for the second cell of each row of a table; the first cell is its label."""
    is_head = False
    for token in tokens:
        if token.type in ("thead_open", "thead_close"):
            is_head = token.nesting > 0
        if token.type != "tr_open" or token.map is None:
            continue
        line = token.map[0]
        cells = row_cells(document.text, document.offset(line), document.line_end(line))
        if len(cells) < _LEAST_CELLS or (is_head and len(cells) > _MOST_CELLS_WITH_VALUE):
            continue
        label = _without_marks(document.text[slice(*cells[0])])
        if not label:
            continue
        start, end = trim(document.text, *cells[1])
        if start >= end:
            start = end = min(cells[1][0] + 1, cells[1][1])
        yield Slot("cell", label, section.path, start, end, index, at=cells[0][0], head=is_head)


def _without_marks(label: str) -> str:
    """Return the text of a label's cell: `**Hours used:**` → `Hours used`."""
    return label.strip().strip("*_ \t").rstrip(COLONS).strip("*_ \t")


def row_cells(text: str, start: int, end: int) -> list[tuple[int, int]]:
    r"""Return the places between the pipes of the row from *start* to *end*; `\|` is no pipe."""
    edges = [start - 1, *_pipes(text, start, end), end]
    cells = [(left + 1, right) for left, right in pairwise(edges)]
    # `| a | b |` has nothing before its first pipe and behind its last one.
    if cells and not text[slice(*cells[0])].strip():
        cells = cells[1:]
    has_pipes = len(edges) > _LEAST_CELLS
    if cells and has_pipes and not text[slice(*cells[-1])].strip():
        cells = cells[:-1]
    return cells


def _pipes(text: str, start: int, end: int) -> Iterator[int]:
    for offset in range(start, end):
        if text[offset] == "|" and text[offset - 1 : offset] != "\\":
            yield offset
