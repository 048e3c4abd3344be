"""The state of one fill: the card, its facts, and what is to be written, remembered and reported.

One rule: decisions are made elsewhere (`merge`, `refresh`, `removal`); here they are only
collected.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from autocard.card.fact import Fact, plain
from autocard.card.fill import sanitize, written_text
from autocard.card.fill.text_offsets import PlannedText, TextOffsets
from autocard.card.fill.written_text import HIDDEN, LEFT_OUT, PLACE, WAS, name_for
from autocard.card.form import form, placeholders
from autocard.card.form.asked_fact import AskedFact
from autocard.card.form.labels import Labels, words
from autocard.card.markdown.document import Document
from autocard.card.markdown.edit import Edit
from autocard.card.markdown.html_slots import as_html
from autocard.card.markdown.places import Places
from autocard.card.markdown.writer import Writer
from autocard.card.report import Report, State


@dataclass
class FillState:
    """The input of one fill and what has been decided.

    Attributes:
        text: the card as it stands.
        facts: template variable → its texts; those that show nothing are left out.
        remembered: the texts of the last fill.
        overwrite: names or labels of slots that are written even over a person's text.
        pending: the texts of a fill that was interrupted.
        labels: the label table.
        other_run: what is remembered was written by another run than the one of the facts.
        added: facts that get a section where the card has no place for them; None: all.
        left_out: facts that are not wanted: their texts go.
        edits: what is to be changed.
        reports: what became of each slot.
        placed: facts that have a place in the card.
        removals: places (start, end) of whole lines and written blocks that are removed.
        parents: numbers of sections that something is added to.
        written: the texts that are ours in the new card.
    """

    text: str
    facts: Mapping[str, Fact]
    remembered: Mapping[str, str]
    overwrite: Collection[str]
    pending: Mapping[str, str]
    labels: Labels
    other_run: bool = False
    added: Collection[str] | None = None
    left_out: Collection[str] = ()
    edits: list[Edit] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    placed: set[str] = field(default_factory=set)
    removals: list[tuple[int, int]] = field(default_factory=list)
    parents: set[int] = field(default_factory=set)
    written: list[PlannedText] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.facts = {name: fact for name, fact in self.facts.items() if _is_visible(fact)}
        self.document = Document(self.text)
        read = form.Form(self.document, self.labels)
        self.places = Places(self.document, self.labels, read.labelled)
        self.found = written_text.locate(
            self.document,
            read,
            self.places,
            self.remembered,
            self.pending,
            is_fact=lambda name: name in self.labels.kinds or name in self.facts,
            other_run=self.other_run,
        )
        self.placeholders: dict[int, str] = {}
        """Offset of a text that we wrote → the placeholder that it replaced, if any ("": none)."""
        for text in self.found.ours:
            before = self.remembered.get(WAS + text.name)
            if before is not None:
                self.placeholders[text.start] = before
        blocks = [text for text in self.found.ours if text.slot is None]
        self.asked = read.without([(text.start, text.end) for text in blocks])
        self.primary = {asked.fact for asked in self.asked if not asked.fallback}
        """Facts that a slot asks for, not only as a fallback."""
        self.writer = Writer(self.document, read.labelled)
        self.forced = {words(name) for name in self.overwrite}
        self.hides_empty_slots = any(name.startswith(HIDDEN) for name in self.remembered)
        """Whether the card is one that we made without visible empty slots."""

    def is_left_out(self, text: written_text.WrittenText) -> bool:
        """Return whether *text*, which we wrote, is excluded by `detail` or `sections`."""
        if text.hidden:
            return False
        if text.fact in self.left_out:
            return True
        number = self.document.section_at(text.start)
        return number in self.found.added and not self.may_be_added(text.fact)

    def stood_before(self, start: int, end: int) -> bool:
        """Return whether the text there was as it is when we first wrote: it need not be ours."""
        return self.placeholders.get(start) == self.text[start:end]

    def may_be_added(self, fact: str) -> bool:
        """Return whether *fact* gets a place where the card has none."""
        return self.added is None or fact in self.added

    def fact(self, name: str) -> Fact | None:
        """Return the fact *name*, or the line of the fact that answers in its place."""
        fact = self.facts.get(name)
        kind = self.labels.kinds.get(name)
        if fact is not None or kind is None or not kind.instead:
            return fact
        other = self.facts.get(kind.instead)
        return Fact(other.line, quantities=other.quantities) if other else None

    def line(self, name: str, *, cell: bool = False) -> str:
        """Return the fact *name* as it stands on a labelled line; "": there is none."""
        fact = self.fact(name)
        return sanitize.line(fact.line, cell=cell) if fact else ""

    def _line_for(self, asked: AskedFact) -> str:
        """Return the fact that a labelled line or cell asks for, in the unit that it asks for."""
        fact = self.fact(asked.fact)
        if fact is None:
            return ""
        # `___ kg`: the placeholder is gone, its unit is still asked for.
        before = placeholders.find(self.placeholders.get(asked.slot.start, ""))
        asked_before = (before.unit,) if before is not None and before.unit else ()
        names = (*asked_before, *asked.units)
        line = sanitize.line(fact.line_in(names), cell=asked.slot.kind == "cell")
        return as_html(line) if asked.slot.kind == "html" else line

    def block(self, name: str) -> str:
        """Return the fact *name* as it stands below a heading; "": there is none."""
        fact = self.fact(name)
        return sanitize.block(fact.body()) if fact else ""

    def text_for(self, asked: AskedFact) -> str:
        """Return the fact that a slot asks for, in the shape of the slot; "": there is none."""
        if self.stands_below(asked):
            return self.block(asked.fact)
        if asked.slot.kind != "body":
            return self._line_for(asked)
        if asked.fallback and asked.fact in self.primary:
            # Another slot has it at length; here a summary is enough.
            return self.line(asked.fact)
        return self.block(asked.fact)

    def stands_below(self, asked: AskedFact) -> bool:
        """Return whether the value of a labelled line stands below its label, in a paragraph."""
        if asked.slot.kind != "line":
            return False
        between = self.text[asked.slot.at : asked.slot.start]
        return between.endswith("\n") and "\n\n" in between.replace("\r", "")

    def slot_edit(self, asked: AskedFact, text: str) -> Edit:
        """Return the edit that puts *text* into a slot that is no heading's."""
        start, end = asked.slot.start, asked.slot.end
        if asked.slot.kind == "title":
            return self.writer.replace(start, end, text)
        if asked.slot.kind == "html":
            is_behind_label = self.text[:start].endswith(("</b>", "</strong>"))
            return self.writer.replace(start, end, f" {text}" if is_behind_label else text)
        if self.stands_below(asked):
            return self.writer.replaced_block(start, end, text)
        return self.writer.inline(start, end, text)

    def add_edit(self, edit: Edit) -> Edit:
        """Add *edit* to the changes, and return it."""
        self.edits.append(edit)
        return edit

    def remember(
        self, name: str, text: str, at: int, edit: Edit | None = None, before: str | None = None
    ) -> None:
        """Remember *text* as ours: it stands at offset *at* of the old card, or *edit* puts it.

        *before*: the placeholder that it replaces; "": it replaces nothing; None: what is known of
        the text that stands there.
        """
        if before is None:
            before = self.placeholders.get(at)
        self.written.append(PlannedText(name, text, at, edit, before))

    def slots(self, after: str, offsets: TextOffsets) -> dict[str, str]:
        """Return what is ours in the card *after* the edits, and where.

        Texts of one fact are numbered in the order of the card.
        """
        places = self.places
        if after != self.text:
            places = written_text.places(Document(after), self.labels)
        slots: dict[str, str] = {}
        for found in offsets.offsets(self.written):
            name = name_for(found.text.name, slots)
            slots[name] = found.text.text
            if found.text.before is not None:
                slots[WAS + name] = found.text.before
            if found.offset >= 0:
                slots[PLACE + name] = written_text.place_of(places, name, found.offset)
        self._add_removed_texts(slots)
        self._add_left_out(slots)
        return slots

    def _add_left_out(self, slots: dict[str, str]) -> None:
        """Add which facts were left out, now or before, and are not written."""
        facts = [
            text.fact
            for text in self.found.ours
            if self.is_left_out(text) and not self.stood_before(text.start, text.end)
        ]
        before = [name.removeprefix(LEFT_OUT) for name in self.remembered if LEFT_OUT in name]
        for fact in (*facts, *before):
            if fact not in slots and fact in self.labels.kinds:
                slots[LEFT_OUT + fact] = ""

    def _add_removed_texts(self, slots: dict[str, str]) -> None:
        """Add what a person removed or changed: it stays remembered, so that it does not return."""
        for name, text in self.remembered.items():
            if name in slots or not written_text.is_text(name):
                continue
            if written_text.fact_of(name) in self.found.gone:
                slots[name] = text
                if PLACE + name in self.remembered:
                    slots[PLACE + name] = self.remembered[PLACE + name]

    def who(self, fact: str) -> str:
        """Return who can fill *fact*: machine, suggested or person."""
        kind = self.labels.kinds.get(fact)
        return kind.who if kind else "machine"

    def report(
        self, asked: AskedFact, outcome: State, *, ours_before: bool = False, wanted: str = ""
    ) -> None:
        """Report what became of a slot; *wanted*: the record's text, where a person's is kept."""
        label = "title" if asked.slot.kind == "title" else asked.slot.label
        report = Report(
            asked.fact,
            label,
            self.document.line_number(asked.slot.start),
            outcome,
            self.who(asked.fact),
            ours_before,
            there=asked.value if wanted else "",
            wanted=wanted,
        )
        self.reports.append(report)

    def report_fact(self, fact: str, outcome: State, at: int = -1) -> None:
        """Report what became of a written text that is no slot of the form.

        *at*: its offset; -1: it was not there.
        """
        line = self.document.line_number(at) if at >= 0 else 0
        self.reports.append(Report(fact, self.labels.title(fact), line, outcome, self.who(fact)))


def _is_visible(fact: Fact) -> bool:
    """Return whether a reader would see anything of *fact*."""
    return bool(plain(fact.line) and plain(fact.body()))
