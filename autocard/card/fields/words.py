"""Phrases that several parts of a card use: links to the Hub, lists, tables, rows of a data set."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from autocard import units
from autocard.card.fact import cell, code, escape, plain
from autocard.record import Dataset, RunRecord, Scalar

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHOWN_COMMIT = 12

_COLUMNS = 12
"""Columns of a data set that are named."""

HUB = "https://huggingface.co"


def inline(text: str) -> str:
    """Return *text* made harmless for the middle of a line, where "1." and "-" mean nothing: versions stay exact."""
    return escape("x" + plain(text))[1:]


def count_of(value: float, one: str) -> str:
    """Return a number that need not be whole, and its noun: 1 epoch, 0.8 epochs."""
    return f"{units.shortest(value)} {one if value == 1 else one + 's'}"


def hub_id(name: str | None) -> bool:
    """Return whether *name* can be the id of a repository of the Hub, and is no path."""
    return (
        name is not None
        and _HUB_ID.fullmatch(name) is not None
        and ".." not in name
        and "--" not in name
    )


def link(name: str, kind: str = "", revision: str | None = None) -> str:
    """Return a link to the Hub repository *name*, and the commit it stood at; a name that is no id stands as it is.

    Args:
        name: id on the Hub.
        kind: "" for a model, "datasets/" for a data set.
        revision: commit or branch.
    """
    if not hub_id(name):
        return escape(name)
    shown = f"[{escape(name)}]({HUB}/{kind}{quote(name)})"
    return f"{shown} at {commit(revision)}" if revision else shown


def commit(revision: str) -> str:
    """Return a commit's short name, or a branch or tag."""
    if _COMMIT.fullmatch(revision):
        return f"commit {code(revision[:_SHOWN_COMMIT])}"
    return f"revision {code(revision)}"


def listed(items: Iterable[str]) -> str:
    """Return *items* as a list in a sentence: a, b and c."""
    texts = list(items)
    return " and ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))


def bullets(entries: Mapping[str, str | None]) -> str | None:
    """Return "- Label: text" lines of the entries that have a text, or None where none has."""
    lines = [f"- {label}: {text}" for label, text in entries.items() if text]
    return "\n".join(lines) or None


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], right: frozenset[int] = frozenset()
) -> str:
    """Return a Markdown table; pipes in the cells are escaped here.

    Args:
        head: titles of the columns.
        rows: cells, a line of Markdown each.
        right: columns that are set to the right.
    """
    ruler = ["---:" if number in right else "---" for number in range(len(head))]
    return "\n".join(f"| {' | '.join(map(cell, row))} |" for row in [head, ruler, *rows])


def data_name(data: Dataset) -> str:
    """Return a link to a data set, or what can honestly be said of one that is not on the Hub."""
    source = link(data.dataset_id, "datasets/") if data.dataset_id else None
    if data.title:
        title = escape(data.title)
        return (
            f"{source} ({title})"
            if source
            else f"{title} ({escape(data.description)})"
            if data.description
            else title
        )
    return source or (
        escape(data.description) if data.description else "data without a recorded source"
    )


def data_sentence(data: Dataset) -> str:
    """Return one line on a data set: where from, which part, how many rows, which columns."""
    parts = [data_name(data)]
    if data.dataset_id and data.revision:
        parts[0] += f" at {commit(data.revision)}"
    if data.dataset_id and data.inferred:
        parts[0] += " (id worked out from the data's traces)"
    if data.config:
        parts.append(f"configuration {code(data.config)}")
    if data.split:
        parts.append(f"split {code(data.split)}")
    if data.rows is not None:
        parts.append(_rows(data, data.rows))
    if data.tokens is not None:
        parts.append(_tokens(data, data.tokens))
    if data.streaming and "stream" not in (data.description or ""):
        parts.append("read as a stream")
    if data.probability is not None:
        parts.append(f"drawn with probability {units.shortest(data.probability)}")
    if data.columns:
        names = ", ".join(code(name) for name in data.columns[:_COLUMNS])
        more = (
            f" and {units.count(len(data.columns) - _COLUMNS)} more"
            if len(data.columns) > _COLUMNS
            else ""
        )
        parts.append(f"columns {names}{more}")
    said = ", ".join(parts) + (
        f" (results by {code('predict()')})" if data.used_by == "predict" else ""
    )
    return said if data.dataset_id else said[0].upper() + said[1:]


def _rows(data: Dataset, rows: int) -> str:
    """Return how many rows there are; where several texts stand in each, of how many texts they are made."""
    if not data.packed:
        return units.plural(rows, "row")
    texts = (
        f" (of {units.plural(data.packed_texts, 'text')})" if data.packed_texts is not None else ""
    )
    return f"{units.plural(rows, 'packed sequence')}{texts}"


def _tokens(data: Dataset, tokens: int) -> str:
    """Return how many tokens there are, and how many without padding where that is fewer."""
    said = units.plural(tokens, "input token" if data.encoder_inputs else "token")
    real = data.tokens_without_padding
    return (
        f"{said} ({units.count(real)} without padding)"
        if real is not None and real < tokens
        else said
    )


def quantization(settings: Mapping[str, Scalar] | None) -> str | None:
    """Return method and bits, then the other settings that are on; None where nothing was quantized."""
    if not settings:
        return None
    method, bits = settings.get("method"), settings.get("bits")
    first = " ".join(
        filter(None, [escape(str(method)) if method else "", f"{bits} bits" if bits else ""])
    )
    others = [
        f"{escape(name.replace('_', ' '))} {escape(str(value))}"
        if value is not True
        else escape(name.replace("_", " "))
        for name, value in settings.items()
        if name not in {"method", "bits"} and value not in (None, False)
    ]
    return ", ".join(filter(None, [first, *others]))


def since(record: RunRecord) -> str | None:
    """Return which steps of these weights the figures do not cover, in words; None where they cover all."""
    earlier = units.plural(record.run.earlier_steps, "step")
    before = (
        f"{earlier} of an earlier run on the same weights not included"
        if record.run.earlier_run
        else None
    )
    return "; ".join(filter(None, [holes(record), before])) or None


def holes(record: RunRecord) -> str | None:
    """Return which steps no leg covers, as in "steps 1 to 40 not included"; None where all are covered."""
    reached, found = 0, []
    for leg in record.legs:
        if leg.step_begin is not None and leg.step_begin > reached:
            first, last = units.count(reached + 1), units.count(leg.step_begin)
            found.append(first if first == last else f"{first} to {last}")
        reached = max(reached, leg.step_end or 0)
    if not found:
        return None
    one = len(found) == 1 and " to " not in found[0]
    return f"{'step' if one else 'steps'} {' and '.join(found)} not included"
