"""Examine a card: what is out of date, empty (and who can fill it), wrong or contradictory in it.

One rule: nothing is written, and no other machine is asked, the Hub included.
"""

from __future__ import annotations

from pathlib import Path

from autocard import files
from autocard.card.card_files import read_record_beside
from autocard.card.check import disagreements, hub_rules, unknown_labels, unread_metadata
from autocard.card.check.empty_slots import EmptySlots
from autocard.card.check.findings import Findings
from autocard.card.fill import new_card, other_runs
from autocard.card.form.label_files import load
from autocard.card.markdown.document import Document
from autocard.card.selection import Selection
from autocard.card.update import update
from autocard.errors import CardError
from autocard.record import RunRecord

_STALE = ("filled", "refreshed", "cleared")


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
        findings.empty = EmptySlots(
            document, labels, record, reports, stale=stale, selection=_selection(card)
        ).find()
    except CardError as exc:
        return Findings(left_alone=str(exc))
    findings.foreign = other_runs.runs(text, record.run.id if record is not None else None)
    if outcome is not None and record is not None:
        findings.contradictions = disagreements.find(
            text, outcome.text, record, labels, outcome.reports
        )
        findings.warnings = list(outcome.warnings)
    return findings


def _selection(card: Path) -> Selection:
    """Return how much of *card* is written, which is remembered beside it."""
    return Selection.of(read_record_beside(card).slots.get(card.name, {}))


def _front_matter(document: Document) -> list[hub_rules.Problem]:
    """Return what the Hub refuses or does not read, in the order of the card."""
    found = list(unread_metadata.problems(document))
    if document.front is not None:
        start, end = document.front
        first_line = document.text.count("\n", 0, start) + 1
        found += hub_rules.problems(document.text[start:end], first_line)
    return sorted(found, key=lambda problem: problem.line)
