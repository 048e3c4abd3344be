"""A card on the bench: what is out of date, what is empty and who can fill it, what is wrong, what contradicts itself.

One rule: nothing is written, and nobody is asked: neither the Hub nor any other machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from autocard import files
from autocard.card import fields
from autocard.card.check import hub_rules
from autocard.card.check.contradictions import contradicts, front_contradicts
from autocard.card.check.edited_figures import edited
from autocard.card.fill import new_card, other_runs
from autocard.card.fill.base_statements import OF_THE_BASE
from autocard.card.fill.written_text import YAML
from autocard.card.form import guidance
from autocard.card.form.asked_fact import AskedFact
from autocard.card.form.form import Form
from autocard.card.form.label_files import load
from autocard.card.form.labels import Labels
from autocard.card.markdown.document import Document
from autocard.card.report import Report
from autocard.card.update import Outcome, update
from autocard.errors import CardError
from autocard.record import RunRecord

WITHHELD = "the front matter names another base, so `fill` leaves it to you"
"""Why a fact that the record has is not in the card."""
_STALE = ("filled", "refreshed", "cleared")


@dataclass(frozen=True)
class EmptySlot:
    """A slot that nobody has filled.

    Attributes:
        slot: the fact, "yaml:" and a key, or "" for what autocard does not know.
        label: how the card calls it.
        line: line of the card, counted from 1.
        who: machine, suggested (a machine can propose it) or person.
        why: of a machine's: why the record does not have it; of a person's: the form's guidance.
    """

    slot: str
    label: str
    line: int
    who: str
    why: str


@dataclass(frozen=True)
class Contradiction:
    """A slot that says something else than the record.

    Attributes:
        slot: the fact, or "yaml:" and a key.
        label: how the card calls it.
        line: line of the card, counted from 1.
        there: what the card says.
        record: what the record says.
    """

    slot: str
    label: str
    line: int
    there: str
    record: str


@dataclass
class Findings:
    """What `check` found.

    Attributes:
        left_alone: why the card could not be read as one; None: it could.
        stale: slots that `fill` would change.
        empty: slots that nobody has filled and `fill` cannot fill.
        contradictions: slots of somebody else's that say something else than the record.
        foreign: runs, other than the record's, whose figures the card says it holds.
        front_matter: what the Hub refuses or does not know.
        warnings: what a person must be told.
    """

    left_alone: str | None = None
    stale: list[Report] = field(default_factory=list)
    empty: list[EmptySlot] = field(default_factory=list)
    contradictions: list[Contradiction] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    front_matter: list[hub_rules.Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def wrong(self, *, strict: bool) -> bool:
        """Return whether a machine's slot is out of date or contradicted, or the Hub would refuse the card.

        With *strict*, also whether a person's slot is empty, or a key has a value that the Hub does
        not know.
        """
        if (
            self.stale
            or self.contradictions
            or self.foreign
            or any(one.refused for one in self.front_matter)
        ):
            return True
        return strict and bool(self.front_matter or any(one.who != "machine" for one in self.empty))


def check(card: Path, record: RunRecord | None) -> Findings:
    """Return what there is to say about *card* and its *record* (None: there is none, so nothing is compared).

    Raises:
        FileNotFoundError: there is no such card.
        SettingsError: a file of labels cannot be used.
    """
    labels = load(new_card.label_files(None, card))
    try:
        text = files.read_text(card)
    except (OSError, UnicodeDecodeError) as exc:
        if isinstance(exc, FileNotFoundError):
            raise
        reason = getattr(exc, "strerror", None) or "it is not UTF-8 text"
        return Findings(left_alone=f"it cannot be read ({reason})")
    outcome = update(card, record, dry_run=True) if record is not None else None
    if outcome is not None and outcome.left_alone is not None:
        return Findings(left_alone=outcome.left_alone)
    findings = Findings()
    try:
        document = Document(text)
        findings.front_matter = _front_matter(document)
        findings.empty = _empty(document, labels, outcome, record)
    except CardError as exc:
        return Findings(left_alone=str(exc))
    findings.foreign = other_runs.runs(text, record.run.id if record is not None else None)
    if outcome is not None and record is not None:
        findings.stale = [one for one in outcome.reports if one.state in _STALE]
        findings.contradictions = list(_contradictions(outcome, labels))
        told = {one.slot for one in findings.contradictions}
        for figure in edited(text, fields.facts(record), labels, outcome.reports, told):
            there, known = _short(figure.figure.theirs), _short(figure.figure.ours)
            findings.contradictions.append(
                Contradiction(figure.fact, figure.label, figure.line, there, known)
            )
        findings.contradictions.sort(key=lambda one: one.line)
        findings.warnings = list(outcome.warnings)
    return findings


def _front_matter(document: Document) -> list[hub_rules.Problem]:
    if document.front is None:
        return []
    start, end = document.front
    return hub_rules.problems(document.text[start:end], document.text.count("\n", 0, start) + 1)


def _contradictions(outcome: Outcome, labels: Labels) -> Iterator[Contradiction]:
    for one in outcome.kept:
        kind = labels.kinds.get(one.slot)
        if one.slot.startswith(YAML):
            data = _json(one.there), _json(one.wanted)
            said = front_contradicts(one.slot.removeprefix(YAML), *data)
        else:
            said = kind is not None and kind.say_why and contradicts(one.there, one.wanted)
        if said:
            yield Contradiction(
                one.slot, one.label, one.line, _short(one.there), _short(one.wanted)
            )


def _json(text: str) -> object:
    import json  # noqa: PLC0415

    try:
        return json.loads(text)
    except ValueError:
        return text


def _short(text: str) -> str:
    one = " ".join(text.split())
    return one if len(one) <= 160 else one[:159] + "…"  # noqa: PLR2004 - a line on a screen, more or less


def _empty(
    document: Document, labels: Labels, outcome: Outcome | None, record: RunRecord | None
) -> list[EmptySlot]:
    """Return the slots that stay empty: those that the table knows, those it does not, and keys without a value."""
    read = Form(document, labels)
    lined = {slot.section for slot in read.labelled}
    stale = (
        {(one.slot, one.line) for one in outcome.reports if one.state in _STALE}
        if outcome
        else set()
    )
    found: dict[tuple[str, int], EmptySlot] = {}
    for one in read.asked:
        line = document.line_number(one.slot.start)
        generated = one.empty is not None and one.empty.notation == "generated"
        if one.empty is None or generated or one.fallback or (one.fact, line) in stale:
            continue
        if (
            one.slot.kind == "body"
            and one.blank
            and (one.slot.section in lined or _has_below(document, one))
        ):
            continue
        label = "title" if one.slot.kind == "title" else one.slot.label
        who = _who(labels, one.fact)
        why = (
            _why(labels, record, one.fact)
            if who == "machine"
            else guidance.slot_guidance(document, labels, one)
        )
        found[one.fact, line] = EmptySlot(one.fact, label, line, who, why)
    for report in outcome.reports if outcome else ():
        if report.state == "empty" and (report.slot, report.line) not in found:
            found[report.slot, report.line] = _of_report(document, labels, record, report)
    for unknown in read.unknown():
        line = document.line_number(unknown.start)
        why = unknown.placeholder
        generic = "needed" in why.lower() or not any(char.isalpha() for char in why)
        slot = EmptySlot("", unknown.label, line, "person", "" if generic else why)
        found.setdefault(("", line), slot)
    found.update(
        {(one.slot, one.line): one for one in _empty_keys(document, labels, record, stale)}
    )
    return sorted(found.values(), key=lambda one: one.line)


def _has_below(document: Document, one: AskedFact) -> bool:
    """Return whether a section has subsections, so that it is not empty without a text of its own."""
    section = document.sections[one.slot.section]
    return section.extent > section.end


def _of_report(
    document: Document, labels: Labels, record: RunRecord | None, report: Report
) -> EmptySlot:
    kind = labels.kinds.get(report.slot)
    why = (
        _why(labels, record, report.slot) if report.who == "machine" else kind.guide if kind else ""
    )
    if report.line and report.who != "machine":
        # A hidden place holds the form's own guidance.
        first = document.offset(report.line - 1 - document.text.count("\n", 0, document.body))
        text = document.text[first : document.text.find("-->", first) + 3]
        if text.startswith("<!--"):
            inner = re.sub(
                r"^\s*(?:#{1,6} .*|[-*+]?\s*\*\*.*?\*\*:?)", "", text[4:-3].strip(), count=1
            )
            why = " ".join(inner.split()) or why
    return EmptySlot(report.slot, report.label, report.line, report.who, why)


def _who(labels: Labels, fact: str) -> str:
    kind = labels.kinds.get(fact)
    return kind.who if kind else "machine"


def _why(labels: Labels, record: RunRecord | None, fact: str) -> str:
    """Return why a machine's fact is not known, or is not in the card although it is."""
    if record is None:
        return "no record of the run is here"
    if fact in OF_THE_BASE and fields.facts(record).get(fact) is not None:
        return WITHHELD
    kind = labels.kinds.get(fact)
    reason = record.why_missing(kind.record) if kind and kind.record else None
    if reason is None and kind and kind.record == "emissions.country_iso_code":
        reason = record.why_missing("emissions.region")
    return reason or "the run did not record it"


_KEY_FACTS = {
    "license": "license",
    "language": "language",
    "base_model": "base_model",
    "datasets": "training_data",
}


def _empty_keys(
    document: Document, labels: Labels, record: RunRecord | None, stale: set[tuple[str, int]]
) -> Iterator[EmptySlot]:
    if document.front is None:
        return
    start, end = document.front
    first = document.text.count("\n", 0, start) + 1
    coming = {slot for slot, _ in stale}
    for key, line in hub_rules.empty_keys(document.text[start:end]).items():
        if YAML + key in coming:
            continue
        fact = _KEY_FACTS.get(key, "")
        who = _who(labels, fact) if fact else "person"
        kind = labels.kinds.get(fact)
        why = _why(labels, record, fact) if who == "machine" else kind.guide if kind else ""
        yield EmptySlot(YAML + key, f"front matter: {key}", first + line, who, why)
