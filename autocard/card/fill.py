"""Facts into the slots of a card, and values into its front matter: the one way to change a card's text.

One rule: nothing leaves this module that has not been proved: outside what it says it wrote, the text is the same.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from autocard.card import frontmatter, proof
from autocard.card.fact import Fact
from autocard.card.labels import Labels, load
from autocard.card.memory import YAML
from autocard.card.merge import Merge
from autocard.card.placeholders import SIGNATURES
from autocard.card.report import Filled, Report, State
from autocard.card.writing import Edit, apart

__all__ = ["Filled", "Report", "fill"]

FRONT = "front matter: "
"""How a key of the front matter is called in reports, and may be in *overwrite*."""


def fill(
    text: str,
    facts: Mapping[str, Fact],
    front: Mapping[str, Any],
    *,
    remembered: Mapping[str, str],
    overwrite: Collection[str] = (),
    pending: Mapping[str, str] | None = None,
    labels: Labels | None = None,
) -> Filled:
    """Return *text* with *facts* in its slots and *front* in its front matter.

    Args:
        text: the card as it stands, line endings and all.
        facts: template variable → its texts. Facts that the card has no place for get their section.
        front: key of the front matter → value; numbers and dates as they should read.
        remembered: `Filled.slots` of the last fill of this card.
        overwrite: names or labels of slots that are written whoever wrote there.
        pending: what a fill that was cut off was about to write.
        labels: which words ask for which fact; None: the shipped table.

    Raises:
        CardError: the card is too strange to be sure of. Nothing was written.
    """
    merge = Merge(text, facts, remembered, overwrite, pending or {}, labels or load())
    merge.run()
    document = merge.document
    start, end = document.front or (document.top, document.top)
    patched = frontmatter.patch(
        text[start:end],
        front,
        {} if _is_written_anew(text, start, end, remembered) else remembered,
        pending,
        overwrite={name.removeprefix(YAML).removeprefix(FRONT) for name in overwrite},
        newline=document.newline,
    )
    slots = {YAML + key: json.dumps(value, ensure_ascii=False) for key, value in patched.written.items()}
    for key, state in patched.states.items():
        if state in ("kept", "removed") and YAML + key in remembered:
            slots[YAML + key] = remembered[YAML + key]
    edits = apart(sorted([*_front_edits(merge, patched), *merge.edits], key=lambda edit: edit.key), document.newline)
    after = proof.apply(text, edits)
    proof.prove(document, after, edits)
    reports = [*_front_reports(merge, patched.states, remembered), *merge.reports]
    reports.sort(key=lambda report: report.line or len(text))
    return Filled(after, dict(sorted({**slots, **merge.slots}.items())), tuple(reports))


def _front_edits(merge: Merge, patched: frontmatter.Patched) -> list[Edit]:
    """Return the edits of the front matter; a card without one gets it, before everything else."""
    document, newline = merge.document, merge.document.newline
    if document.front is not None:
        start = document.front[0]
        return [Edit(start + a, start + b, new) for a, b, new in patched.edits]
    if not patched.yaml:
        return []
    first_line = document.text[document.top :].partition("\n")[0]
    gap = newline if first_line.strip() else ""
    return [Edit(document.top, document.top, f"---{newline}{patched.yaml}---{newline}{gap}", -2)]


def _front_reports(merge: Merge, states: Mapping[str, State], remembered: Mapping[str, str]) -> list[Report]:
    line = 1 if merge.document.front else 0
    return [
        Report(YAML + key, FRONT + key, line, state, "machine", ours_before=YAML + key in remembered)
        for key, state in states.items()
    ]


def _is_written_anew(text: str, start: int, end: int, remembered: Mapping[str, str]) -> bool:
    """Return whether a trainer has just written the whole card: then nobody took our keys out one by one."""
    keys = {line.partition(":")[0].strip("\"' ") for line in text[start:end].split("\n")}
    left = any(name.removeprefix(YAML) in keys for name in remembered if name.startswith(YAML))
    return not left and any(signature in text for signature in SIGNATURES)
