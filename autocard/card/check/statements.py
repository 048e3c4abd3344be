"""What a card states, and where: labelled lines, cells of tables, short texts below headings.

One rule: only what has a label is a statement. Prose may be about anything, such as an earlier run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autocard.card.form.asked_fact import AskedFact
from autocard.card.form.form import Form
from autocard.card.form.labels import Labels
from autocard.card.markdown.document import Block, Document, Section
from autocard.card.markdown.slots import row_cells

_LONGEST_BODY = 300
"""Characters below a heading that are a value, and not prose."""
_LONGEST_LINE = 600
_NO_VALUE = re.compile(r"\||<[A-Za-z!/]")
"""What tables and HTML begin with; "< 3 h" is a value."""
_LEAST_COLUMNS = 2
_OTHER_RUNS = re.compile(
    r"^(?:version|run|runs|date|experiment|trial|attempt|stage|phase|checkpoint|step|epoch|seed)s?\b",
    re.IGNORECASE,
)
"""What a table's first column is called if its rows are runs, or parts of one."""


@dataclass(frozen=True)
class Statement:
    """One value with its label.

    Attributes:
        fact: the fact that the label asks for; "": none of the table of words.
        label: the label.
        path: the headings above.
        values: what stands there; several where a row or a column has them, and one is enough.
        at: offset of the first value.
        whole: the values are parts whose sum counts, too.
    """

    fact: str
    label: str
    path: tuple[str, ...]
    values: tuple[str, ...]
    at: int
    whole: bool = False


def statements(document: Document, labels: Labels) -> Iterator[Statement]:
    """Yield what *document* states."""
    form = Form(document, labels)
    yield from _labelled(document, form)
    sections_with_labels = {slot.section for slot in form.labelled}
    for asked in form.asked:
        if asked.slot.section not in sections_with_labels and _is_short_body(asked, labels):
            path = asked.slot.path
            yield Statement(asked.fact, asked.slot.label, path, (asked.value,), asked.slot.start)
    for section in document.sections:
        for block in section.blocks:
            if block.kind == "table":
                yield from _columns(document, labels, section, block)


def _labelled(document: Document, form: Form) -> Iterator[Statement]:
    """Yield labelled lines and rows of tables."""
    text = document.text
    rows = {row[0][0]: row for row in _rows(document)}
    asked_at = {asked.slot.at: asked for asked in form.asked if asked.slot.kind in ("line", "cell")}
    for slot in form.labelled:
        asked = asked_at.get(slot.at)
        value = text[slot.start : slot.end]
        is_empty = not value.strip() or (asked is not None and asked.empty is not None)
        if is_empty or len(value) > _LONGEST_LINE or _NO_VALUE.match(value):
            continue
        others = [text[slice(*cell)].strip() for cell in rows.get(slot.at, [])[2:]]
        fact = asked.fact if asked else ""
        yield Statement(fact, slot.label, slot.path, (value, *others), slot.start)


def _is_short_body(asked: AskedFact, labels: Labels) -> bool:
    """Return whether a heading asks for one fact, and a value stands below it, no prose."""
    if asked.slot.kind != "body" or asked.empty is not None or asked.fallback:
        return False
    meaning = labels.fact(asked.slot.label, asked.slot.path)
    if meaning is None or meaning.fact != asked.fact:
        return False  # the heading of a section
    value = asked.value.strip()
    return len(value) <= _LONGEST_BODY and "\n\n" not in value and _NO_VALUE.match(value) is None


# -- tables ----------------------------------------------------------------------------------------

_Cells = list[tuple[int, int]]


def _rows(document: Document) -> Iterator[_Cells]:
    for section in document.sections:
        for block in section.blocks:
            if block.kind == "table":
                yield from _rows_of(document, block)


def _rows_of(document: Document, block: Block) -> Iterator[_Cells]:
    for token in block.tokens:
        if token.type == "tr_open" and token.map is not None:
            line = token.map[0]
            cells = row_cells(document.text, document.offset(line), document.line_end(line))
            if cells:
                yield cells


def _columns(
    document: Document, labels: Labels, section: Section, block: Block
) -> Iterator[Statement]:
    """Yield the columns of a table whose heads are labels: "GPU | Hours | CO2"."""
    rows = list(_rows_of(document, block))
    if len(rows) < _LEAST_COLUMNS:
        return
    heads = [_words(document, cell) for cell in rows[0]]
    if _OTHER_RUNS.match(heads[0]):
        return
    facts = [_fact(labels, head, section.path) for head in heads]
    # The first column of most tables names their rows.
    first = 0 if sum(map(bool, facts)) >= _LEAST_COLUMNS else 1
    for number in range(first, len(heads)):
        cells = [row[number] for row in rows[1:] if number < len(row)]
        values = tuple(_words(document, cell) for cell in cells)
        if any(values):
            place = cells[0][0]
            yield Statement(facts[number], heads[number], section.path, values, place, whole=True)


def _words(document: Document, cell: tuple[int, int]) -> str:
    return document.text[slice(*cell)].strip().strip("*_ ")


def _fact(labels: Labels, head: str, path: Sequence[str]) -> str:
    meaning = labels.fact(head, path)
    return "" if meaning is None or meaning.fallback else meaning.fact
