"""Phrases that several parts of a card use: links to the Hub, lists, tables, missing steps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from autocard import units
from autocard.card.fact import cell, code, escape, plain
from autocard.record import RunRecord, Scalar

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?", re.ASCII)
"""The id of a repository: "gpt2", "org/model-v1.2"."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
"""A full commit: 607a30d783dfa663caf39e06633721c8d4cfcd7e; a branch is none."""
_SHOWN_COMMIT = 12
"""Digits of a commit that are shown."""

HUB = "https://huggingface.co"


# -- inline text -----------------------------------------------------------------------------------


def inline(text: str) -> str:
    """Return *text* escaped for the middle of a line; unlike at its start, "1." stays as it is."""
    return escape("x" + plain(text))[1:]


def joined(parts: Iterable[str | None], separator: str = ", ") -> str:
    """Return the parts that have a text, with *separator* between them."""
    return separator.join(part for part in parts if part)


def listed(items: Iterable[str]) -> str:
    """Return *items* as a list in a sentence: a, b and c."""
    texts = list(items)
    return joined([", ".join(texts[:-1]), *texts[-1:]], " and ")


# -- links to the Hub ------------------------------------------------------------------------------


def hub_id(name: str | None) -> bool:
    """Return whether *name* can be the id of a repository of the Hub, and is no path."""
    if name is None or ".." in name or "--" in name:
        return False
    return _HUB_ID.fullmatch(name) is not None


def link(name: str, kind: str = "", revision: str | None = None) -> str:
    """Return a link to the Hub repository *name* and its commit; without an id, the name.

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


# -- blocks ----------------------------------------------------------------------------------------


def bullets(entries: Mapping[str, str | None]) -> str | None:
    """Return "- Label: text" lines of the entries that have a text, or None where none has."""
    lines = [f"- {label}: {text}" for label, text in entries.items() if text]
    return "\n".join(lines) or None


def labelled_line(entries: Mapping[str, str | None]) -> str:
    """Return "Label: text; Label: text" of the entries that have a text."""
    return "; ".join(f"{label}: {text}" for label, text in entries.items() if text)


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


# -- facts that stand in several slots -------------------------------------------------------------


def quantization(settings: Mapping[str, Scalar] | None) -> str | None:
    """Return method and bits, then the other settings that are on; None: nothing was quantized."""
    if not settings:
        return None
    method, bits = settings.get("method"), settings.get("bits")
    method_name = escape(str(method)) if method else None
    first = joined([method_name, f"{bits} bits" if bits else None], " ")
    parts = [first]
    for name, value in settings.items():
        if name in {"method", "bits"} or value in (None, False):
            continue
        words = escape(name.replace("_", " "))
        parts.append(words if value is True else f"{words} {escape(str(value))}")
    return joined(parts)


def so_far(record: RunRecord) -> str | None:
    """Return how far a run was that went on when its record was written; None: it had ended."""
    run = record.run
    is_open = run.status is None and record.why_missing("run.status") is not None
    if not is_open or run.global_step is None:
        return None
    planned = f" of {units.count(run.max_steps)}" if run.max_steps is not None else ""
    return f"so far, at step {units.count(run.global_step)}{planned}"


def since(record: RunRecord) -> str | None:
    """Return which steps of these weights the figures leave out, in words; None: none."""
    earlier_run = None
    if record.run.earlier_run:
        steps = units.plural(record.run.earlier_steps, "step")
        earlier_run = f"{steps} of an earlier run on the same weights not included"
    return joined([so_far(record), cut_off(record), holes(record), earlier_run], "; ") or None


def cut_off(record: RunRecord) -> str | None:
    """Return that the figures end at the last reading before a kill; None: they do not."""
    is_cut_off = record.run.status == "interrupted" and bool(record.legs)
    if not is_cut_off or not record.legs[-1].steps_unseen:
        return None
    return "up to the last reading before it was killed"


def holes(record: RunRecord) -> str | None:
    """Return which steps no leg covers: "steps 1 to 40 not included"; None: all are covered."""
    reached = 0
    spans = []
    is_one_step = True
    for leg in record.legs:
        if leg.step_begin is not None and leg.step_begin > reached:
            first, last = units.count(reached + 1), units.count(leg.step_begin)
            spans.append(first if first == last else f"{first} to {last}")
            is_one_step = is_one_step and first == last
        reached = max(reached, leg.step_end or 0)
    if not spans:
        return None
    noun = "step" if is_one_step and len(spans) == 1 else "steps"
    return f"{noun} {' and '.join(spans)} not included"
