"""Data sets in words: link or description, part, rows and tokens, columns."""

from __future__ import annotations

import re

from autocard import units
from autocard.card.fact import Fact, code, escape
from autocard.card.fields.words import commit, link
from autocard.record import Dataset

_MAX_COLUMNS = 12
"""Columns of a data set that are named."""


def data_sets(sets: list[Dataset]) -> Fact | None:
    """Return a line for each data set; one alone stands as a sentence."""
    lines = []
    for data in sets:
        name = f"{code(data.name)}: " if data.name else ""
        lines.append(name + data_sentence(data))
    if not lines:
        return None
    block = "\n".join(f"- {line}" for line in lines) if len(lines) > 1 else None
    return Fact("; ".join(lines), block)


def data_name(data: Dataset) -> str:
    """Return a link to a data set, or what is recorded of one that is not on the Hub."""
    source = link(data.dataset_id, "datasets/") if data.dataset_id else None
    description = escape(data.description) if data.description else None
    if not data.title:
        return source or description or "data from an unrecorded source"
    title = escape(data.title)
    if source:
        return f"{source} ({title})"
    return f"{title} ({description})" if description else title


def data_sentence(data: Dataset) -> str:
    """Return one line on a data set: where from, which part, how many rows, which columns."""
    is_named = data.dataset_id or data.description or data.title
    parts = [_source(data)] if is_named or data.rows is None else []
    if data.config:
        parts.append(f"configuration {code(data.config)}")
    if data.split:
        parts.append(f"split {code(data.split)}")
    if data.rows is not None:
        parts.append(_rows(data, data.rows))
    if data.tokens is not None:
        parts.append(_tokens(data, data.tokens))
    if data.streaming and "stream" not in data_name(data):
        parts.append("streamed")
    if data.probability is not None:
        parts.append(f"drawn with probability {units.shortest(data.probability)}")
    if data.columns:
        parts.append(_columns(data.columns))
    sentence = re.sub(r"^an? ", "", ", ".join(parts))  # In-memory dataset, 16 rows
    if data.used_by == "predict":
        sentence += f" (results from {code('predict()')})"
    return sentence if data.dataset_id else sentence[0].upper() + sentence[1:]


def _source(data: Dataset) -> str:
    source = data_name(data)
    if data.dataset_id and data.revision:
        source += f" at {commit(data.revision)}"
    if data.dataset_id and data.inferred:
        source += " (ID inferred from the loaded data)"
    return source


def _columns(columns: list[str]) -> str:
    names = ", ".join(code(name) for name in columns[:_MAX_COLUMNS])
    more = len(columns) - _MAX_COLUMNS
    return f"columns {names} and {units.count(more)} more" if more > 0 else f"columns {names}"


def _rows(data: Dataset, rows: int) -> str:
    """Return how many rows there are, and of how many texts packed rows are made."""
    if not data.packed:
        return units.plural(rows, "row")
    text = units.plural(rows, "packed sequence")
    if data.packed_texts is not None:
        text += f" (of {units.plural(data.packed_texts, 'text')})"
    return text


def _tokens(data: Dataset, tokens: int) -> str:
    """Return how many tokens there are, and how many without padding where that is fewer."""
    text = units.plural(tokens, "input token" if data.encoder_inputs else "token")
    without_padding = data.tokens_without_padding
    if without_padding is not None and without_padding < tokens:
        text += f" ({units.count(without_padding)} without padding)"
    return text
