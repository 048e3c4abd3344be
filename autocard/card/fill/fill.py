"""Facts into the slots of a card, and values into its front matter: the one way to change a card's text.

One rule: nothing leaves this module that has not been proved: outside what it says it wrote, the
text is the same.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from autocard.card.fact import Fact
from autocard.card.fill import proof
from autocard.card.fill.fill_state import FillState
from autocard.card.fill.landing import Landing
from autocard.card.fill.merge import Merge
from autocard.card.fill.written_text import YAML
from autocard.card.form import boilerplate
from autocard.card.form.label_files import load
from autocard.card.form.labels import Labels
from autocard.card.front import front_matter
from autocard.card.markdown.edit import Edit, separated
from autocard.card.markdown.parser import DEEPEST
from autocard.card.report import Filled, Report
from autocard.errors import CardError

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
    other_run: bool = False,
    withheld: Collection[str] = (),
    untrue: Collection[str] = (),
) -> Filled:
    """Return *text* with *facts* in its slots and *front* in its front matter.

    Args:
        text: the card as it stands, line endings and all.
        facts: template variable → its texts. Facts that the card has no place for get their
            section.
        front: key of the front matter → value; numbers and dates as they should read.
        remembered: `Filled.slots` of the last fill of this card.
        overwrite: names or labels of slots that are written whoever wrote there.
        pending: what a fill that was cut off was about to write.
        labels: which words ask for which fact; None: the shipped table.
        other_run: *remembered* is of another run than *facts*.
        withheld: names of bases that the front matter may not show.
        untrue: tags that no longer hold, and go where they are ours.

    Raises:
        CardError: the card is too strange to be sure of. Nothing was written.
    """
    work = FillState(text, facts, remembered, overwrite, pending or {}, labels or load(), other_run)
    document = work.document
    if document.too_deep:
        limits = (
            f"its lists are nested more than {DEEPEST // 2} deep, or its quotes more than {DEEPEST}"
        )
        msg = f"{limits}; the card was left alone"
        raise CardError(msg)
    Merge(work).run()
    start, end = document.front or (document.top, document.top)
    patched = front_matter.patch(
        text[start:end],
        front,
        _front_memory(work, start, end),
        pending,
        overwrite={name.removeprefix(YAML).removeprefix(FRONT) for name in overwrite},
        newline=document.newline,
        trainer_values=boilerplate.FRONT if boilerplate.is_trainer_card(text) else None,
        withheld=withheld,
        untrue=untrue,
    )
    slots = {
        YAML + key: json.dumps(value, ensure_ascii=False) for key, value in patched.written.items()
    }
    for key, state in patched.states.items():
        if state in ("kept", "removed"):
            names = (YAML + key, YAML + key + front_matter.BY_OTHERS)
            slots.update({name: remembered[name] for name in names if name in remembered})
    planned = sorted([*_front_edits(work, patched), *work.edits], key=lambda edit: edit.key)
    edits = separated(planned, document.newline)
    after = proof.apply(text, edits)
    proof.prove(document, after, edits)
    reports = [*_front_reports(work, patched, front, remembered), *work.reports]
    reports.sort(key=lambda report: report.line or len(text))
    slots |= work.slots(after, Landing(planned, edits, document.newline))
    return Filled(after, dict(sorted(slots.items())), tuple(reports))


def _front_edits(work: FillState, patched: front_matter.Patched) -> list[Edit]:
    """Return the edits of the front matter; a card without one gets it, before everything else."""
    document, newline = work.document, work.document.newline
    if document.front is not None:
        start = document.front[0]
        return [Edit(start + edit.start, start + edit.end, edit.text) for edit in patched.edits]
    if not patched.yaml:
        return []
    first_line = document.text[document.top :].partition("\n")[0]
    gap = newline if first_line.strip() else ""
    return [Edit(document.top, document.top, f"---{newline}{patched.yaml}---{newline}{gap}", -2)]


def _front_reports(
    work: FillState,
    patched: front_matter.Patched,
    front: Mapping[str, Any],
    remembered: Mapping[str, str],
) -> list[Report]:
    line = 1 if work.document.front else 0
    reports = []
    for key, state in patched.states.items():
        is_kept = key in patched.kept_values
        report = Report(
            YAML + key,
            FRONT + key,
            line,
            state,
            "machine",
            ours_before=YAML + key in remembered,
            there=_as_json(patched.kept_values[key]) if is_kept else "",
            # A list may be kept without a value of this run: its bad items could not be removed.
            wanted=_as_json(front[key]) if is_kept and key in front else "",
        )
        reports.append(report)
    return reports


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _front_memory(work: FillState, start: int, end: int) -> Mapping[str, str]:
    """Return what is remembered of the front matter; where nobody took our keys out one by one, only what stands."""
    if work.found.rewritten:
        return {}
    keys = {line.partition(":")[0].strip("\"' ") for line in work.text[start:end].split("\n")}
    ours = {name: text for name, text in work.remembered.items() if name.startswith(YAML)}
    left = {
        name: text
        for name, text in ours.items()
        if name.removeprefix(YAML).removesuffix(front_matter.BY_OTHERS) in keys
    }
    # A trainer has just written the whole card, or a person has put another one in its place.
    anew = not left and boilerplate.is_trainer_card(work.text)
    return left if anew or work.found.restored else ours
