"""Examine a card: what is out of date, empty (and who can fill it), wrong or contradictory in it.

One rule: nothing is written, and no other machine is asked, the Hub included.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from autocard import files
from autocard.card import fields
from autocard.card.check import hub_rules, unknown_labels, unread_metadata
from autocard.card.check.contradictions import contradicts, front_contradicts
from autocard.card.check.edited_figures import edited
from autocard.card.check.empty_slots import EmptySlots
from autocard.card.check.findings import Contradiction, Findings
from autocard.card.fill import new_card, other_runs
from autocard.card.fill.written_text import YAML
from autocard.card.form.label_files import load
from autocard.card.form.labels import Labels
from autocard.card.markdown.document import Document
from autocard.card.report import Report
from autocard.card.update import Outcome, update
from autocard.errors import CardError
from autocard.record import RunRecord

_STALE = ("filled", "refreshed", "cleared")
_MAX_SHOWN = 160
"""Characters of a text that are shown: a line on a screen, more or less."""


def check(card: Path, record: RunRecord | None) -> Findings:
    """Return what is wrong or missing in *card*; without a *record* nothing is compared.

    Raises:
        FileNotFoundError: there is no such card.
        SettingsError: a file of labels cannot be used.
    """
    labels = load(new_card.label_files(None, card))
    try:
        text = files.read_text(card)
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as exc:
        reason = getattr(exc, "strerror", None) or "it is not UTF-8 text"
        return Findings(left_alone=f"it cannot be read ({reason})")
    outcome = update(card, record, dry_run=True) if record is not None else None
    if outcome is not None and outcome.left_alone is not None:
        return Findings(left_alone=outcome.left_alone)
    reports = outcome.reports if outcome is not None else ()
    stale = [report for report in reports if report.state in _STALE]
    findings = Findings(stale=stale)
    try:
        document = Document(text)
        findings.front_matter = _front_matter(document)
        findings.unknown_labels = unknown_labels.find(document, labels)
        findings.empty = EmptySlots(document, labels, record, reports, stale).find()
    except CardError as exc:
        return Findings(left_alone=str(exc))
    findings.foreign = other_runs.runs(text, record.run.id if record is not None else None)
    if outcome is not None and record is not None:
        findings.contradictions = _contradictions(text, record, labels, outcome)
        findings.warnings = list(outcome.warnings)
    return findings


def _front_matter(document: Document) -> list[hub_rules.Problem]:
    """Return what the Hub refuses or does not read, in the order of the card."""
    found = list(unread_metadata.problems(document))
    if document.front is not None:
        start, end = document.front
        first_line = document.text.count("\n", 0, start) + 1
        found += hub_rules.problems(document.text[start:end], first_line)
    return sorted(found, key=lambda problem: problem.line)


# -- contradictions --------------------------------------------------------------------------------


def _contradictions(
    text: str, record: RunRecord, labels: Labels, outcome: Outcome
) -> list[Contradiction]:
    """Return the slots and the single figures that contradict the record, in the card's order."""
    found = list(_kept_slots(outcome, labels))
    slots = {contradiction.slot for contradiction in found}
    for figure in edited(text, fields.facts(record), labels, outcome.reports, slots):
        theirs, ours = _short(figure.figure.theirs), _short(figure.figure.ours)
        found.append(Contradiction(figure.fact, figure.label, figure.line, theirs, ours))
    return sorted(found, key=lambda contradiction: contradiction.line)


def _kept_slots(outcome: Outcome, labels: Labels) -> Iterator[Contradiction]:
    """Yield the slots with a text of another hand that contradicts the record as a whole."""
    for report in outcome.kept:
        if _is_contradicted(report, labels):
            theirs, ours = _short(report.there), _short(report.wanted)
            yield Contradiction(report.slot, report.label, report.line, theirs, ours)


def _is_contradicted(report: Report, labels: Labels) -> bool:
    if report.slot.startswith(YAML):
        key = report.slot.removeprefix(YAML)
        return front_contradicts(key, _value(report.there), _value(report.wanted))
    kind = labels.kinds.get(report.slot)
    if kind is None or not kind.say_why:
        return False
    return contradicts(report.there, report.wanted)


def _value(text: str) -> object:
    """Return the value of the front matter that *text* is the JSON of, or the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_SHOWN else line[: _MAX_SHOWN - 1] + "…"
