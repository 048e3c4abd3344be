"""Slots that a card leaves empty, and who can fill each of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from autocard.card import fields
from autocard.card.check import hub_rules
from autocard.card.check.findings import WITHHELD, EmptySlot
from autocard.card.fill.base_statements import OF_THE_BASE
from autocard.card.fill.written_text import YAML
from autocard.card.form import guidance
from autocard.card.form.asked_fact import AskedFact
from autocard.card.form.form import Form
from autocard.card.form.labels import Labels
from autocard.card.markdown.document import Document
from autocard.card.report import Report
from autocard.card.selection import Selection
from autocard.record import RunRecord

_KEY_FACTS = {
    "license": "license",
    "language": "language",
    "base_model": "base_model",
    "datasets": "training_data",
}
"""Key of the front matter → the fact that it asks for."""

_NEEDED = {"get_started_code": "model.base_model"}
"""Fact without a place in the record → what it is made from."""

_OWN_TITLE = re.compile(r"^\s*(?:#{1,6} .*|[-*+]?\s*\*\*.*?\*\*:?)")
"""What a hidden slot begins with: "## Bias, Risks, and Limitations", "- **Funded by:**"."""


class EmptySlots:
    """The empty slots of one card.

    Args:
        document: the card.
        labels: the table of words.
        record: the record of its run; None: there is none.
        reports: what a fill would do with each slot; empty without a record.
        stale: (slot, line) of what the fill would change.
        selection: how much of the card is written; what it leaves out is no finding.
    """

    def __init__(
        self,
        document: Document,
        labels: Labels,
        record: RunRecord | None,
        reports: Iterable[Report],
        *,
        stale: Iterable[Report],
        selection: Selection,
    ) -> None:
        """Read the form of the card."""
        self._selection = selection
        self._document = document
        self._labels = labels
        self._record = record
        self._reports = list(reports)
        self._stale = {(report.slot, report.line) for report in stale}
        self._form = Form(document, labels)
        self._headings: set[tuple[str, int]] = set()
        """(slot, line) of empty slots that are the text of a heading."""

    def find(self) -> list[EmptySlot]:
        """Return known slots, unknown ones and keys without a value, in the order of the card."""
        found: dict[tuple[str, int], EmptySlot] = {}
        for slot in self._asked():
            found[slot.slot, slot.line] = slot
        for report in self._reports:
            is_empty = report.state == "empty" and not report.there.strip()
            if is_empty and (report.slot, report.line) not in found:
                found[report.slot, report.line] = self._hidden(report)
        for slot in self._unknown():
            found.setdefault(("", slot.line), slot)
        for slot in self._keys():
            found[slot.slot, slot.line] = slot
        wanted = [slot for slot in found.values() if not self._is_left_out(slot)]
        return sorted(self._each_need_once(wanted), key=lambda slot: slot.line)

    def _is_left_out(self, slot: EmptySlot) -> bool:
        """Return whether a machine's *slot* is empty because its section was left out."""
        is_machines = slot.who == "machine" and not slot.slot.startswith(YAML)
        return is_machines and not self._selection.wants(slot.slot, self._labels)

    def _each_need_once(self, slots: Iterable[EmptySlot]) -> Iterator[EmptySlot]:
        """Yield *slots* without headings whose fact another empty slot asks for.

        A section "Citation" with a line "BibTeX" in it is one need.
        """
        slots = list(slots)
        on_lines = {slot.slot for slot in slots if not self._is_heading(slot)}
        for slot in slots:
            if not self._is_heading(slot) or slot.slot not in on_lines:
                yield slot

    def _is_heading(self, slot: EmptySlot) -> bool:
        return (slot.slot, slot.line) in self._headings

    # -- slots in the table of words ---------------------------------------------------------------

    def _asked(self) -> Iterator[EmptySlot]:
        labelled_sections = {slot.section for slot in self._form.labelled}
        for asked in self._form.asked:
            line = self._document.line_number(asked.slot.start)
            if not self._is_empty(asked) or (asked.fact, line) in self._stale:
                continue
            is_blank_body = asked.slot.kind == "body" and asked.blank
            if is_blank_body and (
                asked.slot.section in labelled_sections or self._has_subsections(asked)
            ):
                continue
            yield self._asked_slot(asked, line)

    def _asked_slot(self, asked: AskedFact, line: int) -> EmptySlot:
        if asked.slot.kind == "body":
            self._headings.add((asked.fact, line))
        label = "title" if asked.slot.kind == "title" else asked.slot.label
        who = self._who(asked.fact)
        if who == "machine":
            why = self._why(asked.fact)
        else:
            why = guidance.slot_guidance(self._document, self._labels, asked)
        return EmptySlot(asked.fact, label, line, who, why)

    def _is_empty(self, asked: AskedFact) -> bool:
        """Return whether the slot waits for a text; what a library generated is one."""
        if asked.empty is None or asked.fallback:
            return False
        return asked.empty.notation not in ("generated", "declined")

    def _has_subsections(self, asked: AskedFact) -> bool:
        """Return whether a section has subsections, and so needs no text of its own."""
        section = self._document.sections[asked.slot.section]
        return section.extent > section.end

    def _hidden(self, report: Report) -> EmptySlot:
        """Return a slot that only the fill found: one that waits in a comment."""
        if self._hidden_text(report).startswith("#"):
            self._headings.add((report.slot, report.line))
        if report.who == "machine":
            why = self._why(report.slot)
        else:
            why = self._hidden_guidance(report) or self._guide(report.slot)
        return EmptySlot(report.slot, report.label, report.line, report.who, why)

    def _hidden_guidance(self, report: Report) -> str:
        """Return the form's own guidance, which a hidden place holds."""
        text = _OWN_TITLE.sub("", self._hidden_text(report), count=1)
        return " ".join(text.split()).removeprefix(f"{report.label}: ")

    def _hidden_text(self, report: Report) -> str:
        """Return what the comment of a hidden place holds; "": there is none."""
        document = self._document
        if not report.line:
            return ""
        first = document.offset(report.line - 1 - document.text.count("\n", 0, document.body))
        comment = document.text[first : document.text.find("-->", first) + 3]
        return comment[4:-3].strip() if comment.startswith("<!--") else ""

    # -- others ------------------------------------------------------------------------------------

    def _unknown(self) -> Iterator[EmptySlot]:
        """Yield placeholders under labels that the table of words does not have."""
        for unknown in self._form.unknown():
            text = unknown.placeholder
            # "[More Information Needed]" and "..." are no guidance.
            is_generic = "needed" in text.lower() or not any(char.isalpha() for char in text)
            line = self._document.line_number(unknown.start)
            yield EmptySlot("", unknown.label, line, "person", "" if is_generic else text)

    def _keys(self) -> Iterator[EmptySlot]:
        """Yield keys of the front matter without a value."""
        document = self._document
        if document.front is None:
            return
        start, end = document.front
        first = document.text.count("\n", 0, start) + 1
        filled = {slot for slot, _ in self._stale}
        for key, line in hub_rules.empty_keys(document.text[start:end]).items():
            if YAML + key in filled:
                continue
            fact = _KEY_FACTS.get(key, "")
            who = self._who(fact) if fact else "person"
            why = self._why(fact) if who == "machine" else self._guide(fact)
            yield EmptySlot(YAML + key, f"front matter: {key}", first + line, who, why)

    # -- who and why -------------------------------------------------------------------------------

    def _who(self, fact: str) -> str:
        kind = self._labels.kinds.get(fact)
        return kind.who if kind else "machine"

    def _guide(self, fact: str) -> str:
        kind = self._labels.kinds.get(fact)
        return kind.guide if kind else ""

    def _why(self, fact: str) -> str:
        """Return why a machine's fact is not known, or is not in the card although it is."""
        record = self._record
        if record is None:
            return "no record of the run is here"
        if fact in OF_THE_BASE and fields.facts(record).get(fact) is not None:
            return WITHHELD
        kind = self._labels.kinds.get(fact)
        leaf = _NEEDED.get(fact) or (kind.record if kind else "")
        reason = record.why_missing(leaf) if leaf else None
        if reason is None and leaf == "emissions.country_iso_code":
            reason = record.why_missing("emissions.region")
        return reason or "the run did not record it"
