"""Facts into the slots of a card, values into its front matter: the one way to change its text.

One rule: nothing leaves this module that has not been proved: outside the reported slots, the text
is the same.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from autocard.card.fact import Fact
from autocard.card.fill import proof
from autocard.card.fill.fill_plan import FillPlan
from autocard.card.fill.fill_state import FillState
from autocard.card.fill.text_offsets import TextOffsets
from autocard.card.fill.written_text import LEFT_OUT, NO_FRONT, WAS, YAML
from autocard.card.form import boilerplate
from autocard.card.form.label_files import load
from autocard.card.form.labels import Labels
from autocard.card.front import front_matter
from autocard.card.front.patched import Patched
from autocard.card.front.yaml_keys import MERGED, read_keys
from autocard.card.markdown.document import Document, without_front_matter
from autocard.card.markdown.edit import Edit, separated
from autocard.card.markdown.parser import DEEPEST
from autocard.card.report import Filled, Report
from autocard.errors import CardError

__all__ = ["Filled", "Report", "fill"]

FRONT = "front matter: "
"""What precedes a key of the front matter in reports, and may precede it in *overwrite*."""


def fill(
    text: str,
    facts: Mapping[str, Fact],
    front: Mapping[str, object],
    *,
    remembered: Mapping[str, str],
    overwrite: Collection[str] = (),
    pending: Mapping[str, str] | None = None,
    labels: Labels | None = None,
    other_run: bool = False,
    withheld: Collection[str] = (),
    untrue: Collection[str] = (),
    added: Collection[str] | None = None,
    left_out: Collection[str] = (),
    keys_left_out: Collection[str] = (),
) -> Filled:
    """Return *text* with *facts* in its slots and *front* in its front matter.

    Args:
        text: the card as it stands, line endings and all.
        facts: template variable → its texts. Facts that the card has no place for get their
            section.
        front: key of the front matter → value; numbers and dates as they should read.
        remembered: `Filled.slots` of the last fill of this card.
        overwrite: names or labels of slots that are written even over a person's text.
        pending: `Filled.slots` of a fill that was interrupted before it was written.
        labels: which words ask for which fact; None: the shipped table.
        other_run: *remembered* is of another run than *facts*.
        withheld: names of base models that the front matter may not show.
        untrue: tags that no longer hold; they are removed where we wrote them.
        added: facts that get a section where the card has no place for them; None: all.
        left_out: facts that are not wanted: our texts of them go, and so do our keys that *front*
            lacks.
        keys_left_out: of these keys, the lists whose items are remembered until they are wanted.

    Raises:
        CardError: the card cannot be filled with certainty. Nothing was written.
    """
    state = FillState(
        text,
        facts,
        remembered,
        overwrite,
        pending or {},
        labels or load(),
        other_run,
        added,
        left_out,
    )
    document = state.document
    _check_depth(document)
    FillPlan(state).run()
    start, end = document.front or (document.top, document.top)
    patched = front_matter.patch(
        text[start:end],
        front,
        _remembered_front(state, start, end),
        pending,
        overwrite={name.removeprefix(YAML).removeprefix(FRONT) for name in overwrite},
        newline=document.newline,
        trainer_values=boilerplate.FRONT if boilerplate.is_trainer_card(text) else None,
        withheld=withheld,
        untrue=[*untrue, *_our_items(remembered, keys_left_out)],
    )
    is_emptied = document.front is not None and not patched.yaml.strip()
    in_front = [] if is_emptied else _front_edits(state, patched)
    planned = sorted([*in_front, *state.edits], key=lambda edit: edit.key)
    edits = separated(planned, document.newline)
    after = proof.apply(text, edits)
    proof.prove(document, after, edits)
    reports = [*_front_reports(state, patched, front), *state.reports]
    # Line 0: it was not there; such reports come last.
    reports.sort(key=lambda report: report.line or len(text))
    offsets = TextOffsets(planned, edits, document.newline)
    slots = {**_front_slots(patched, remembered), **state.slots(after, offsets)}
    if not other_run:
        slots |= _left_out_slots(remembered, keys_left_out)
    if NO_FRONT in remembered or (document.front is None and patched.yaml):
        slots[NO_FRONT] = ""
    if is_emptied:
        after = without_front_matter(after)
    return Filled(after, dict(sorted(slots.items())), tuple(reports))


def _check_depth(document: Document) -> None:
    """Refuse a card with nesting so deep that the parser leaves out what follows."""
    if document.too_deep:
        msg = (
            f"its lists are nested more than {DEEPEST // 2} deep, or its quotes more than "
            f"{DEEPEST}; the card was left alone"
        )
        raise CardError(msg)


def _front_slots(patched: Patched, remembered: Mapping[str, str]) -> dict[str, str]:
    """Return what is ours in the front matter; of keys that were left alone, what was before."""
    slots = {}
    for key, value in patched.written.items():
        slots[YAML + key] = json.dumps(value, ensure_ascii=False)
    for key, outcome in patched.states.items():
        if outcome in ("kept", "removed"):
            names = (YAML + key, YAML + key + front_matter.BY_OTHERS)
            slots.update((name, remembered[name]) for name in names if name in remembered)
    return {**slots, **_replaced_slots(patched, remembered)}


def _replaced_slots(patched: Patched, remembered: Mapping[str, str]) -> dict[str, str]:
    """Return the placeholders of the front matter that our values stand in the place of."""
    slots = {}
    for key in (*patched.written, front_matter.ALL_KEYS):
        name = WAS + YAML + key
        before = patched.replaced.get(key, remembered.get(name))
        if before is not None:
            slots[name] = before
    return slots


def _our_items(remembered: Mapping[str, str], keys: Collection[str]) -> list[str]:
    """Return the items that we added to the lists *keys*."""
    found = []
    for key in keys:
        others = json.loads(remembered.get(YAML + key + front_matter.BY_OTHERS, "[]"))
        ours = json.loads(remembered.get(YAML + key, "[]"))
        if isinstance(ours, list) and isinstance(others, list):
            found += [str(item) for item in ours if item not in others]
    return found


def _left_out_slots(remembered: Mapping[str, str], keys: Collection[str]) -> dict[str, str]:
    """Return what is to be written again of the lists *keys*, when they are wanted again."""
    slots = {}
    for name in (YAML + key for key in keys):
        before = remembered.get(name, remembered.get(LEFT_OUT + name))
        if before is not None:
            slots[LEFT_OUT + name] = before
    return slots


def left_out_keys(written: Mapping[str, str]) -> dict[str, object]:
    """Return the lists of the front matter that were left out; a record lacks a trainer's tags."""
    found: dict[str, object] = {}
    for key in MERGED:
        value = written.get(LEFT_OUT + YAML + key)
        if value is not None:
            found[key] = json.loads(value)
    return found


def _front_edits(state: FillState, patched: Patched) -> list[Edit]:
    """Return the edits of the front matter; a card without one gets it, before everything else."""
    document, newline = state.document, state.document.newline
    if document.front is not None:
        start = document.front[0]
        return [Edit(start + edit.start, start + edit.end, edit.text) for edit in patched.edits]
    if not patched.yaml:
        return []
    first_line = document.text[document.top :].partition("\n")[0]
    gap = newline if first_line.strip() else ""
    return [Edit(document.top, document.top, f"---{newline}{patched.yaml}---{newline}{gap}", -2)]


def _front_reports(state: FillState, patched: Patched, front: Mapping[str, object]) -> list[Report]:
    lines = _key_lines(state)
    reports = []
    for key, outcome in patched.states.items():
        is_kept = key in patched.kept_values
        report = Report(
            YAML + key,
            FRONT + key,
            lines.get(key, 0),
            outcome,
            "machine",
            ours_before=YAML + key in state.remembered,
            there=_as_json(patched.kept_values[key]) if is_kept else "",
            # A list may be kept without a value of this run: its bad items could not be removed.
            wanted=_as_json(front[key]) if is_kept and key in front else "",
        )
        reports.append(report)
    return reports


def _key_lines(state: FillState) -> dict[str, int]:
    """Return the line of each key in the front matter."""
    document = state.document
    if document.front is None:
        return {}
    start, end = document.front
    first = document.text.count("\n", 0, start) + 1
    keys, _ = read_keys(document.text[start:end])
    return {
        name: first + document.text.count("\n", start, start + key.start)
        for name, key in keys.items()
    }


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _remembered_front(state: FillState, start: int, end: int) -> Mapping[str, str]:
    """Return the remembered keys of the front matter, which stands from *start* to *end*.

    Where no person removed our keys one by one, only those that stand there count.
    """
    if state.found.rewritten:
        return {}
    lines = state.text[start:end].split("\n")
    keys = {line.partition(":")[0].strip("\"' ") for line in lines}
    ours = {name: text for name, text in state.remembered.items() if name.startswith(YAML)}
    left = {name: text for name, text in ours.items() if _key_of(name) in keys}
    # A trainer has just written the whole card, or a person has put another one in its place.
    is_new_card = not left and boilerplate.is_trainer_card(state.text)
    return left if is_new_card or state.found.restored else ours


def _key_of(name: str) -> str:
    return name.removeprefix(YAML).removesuffix(front_matter.BY_OTHERS)
