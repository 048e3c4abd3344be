"""One fill on its way: the card, its facts, and what is to be written, remembered and reported.

One rule: decisions are made elsewhere (`merge`, `refresh`, `clear`); here they are only collected.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from autocard.card.fact import Fact, plain
from autocard.card.fill import sanitize, written_text
from autocard.card.fill.landing import Landing, Written
from autocard.card.fill.written_text import HIDDEN, PLACE, name_for
from autocard.card.form import form
from autocard.card.form.asked_fact import AskedFact
from autocard.card.form.labels import Labels, words
from autocard.card.markdown.document import Document
from autocard.card.markdown.edit import Edit
from autocard.card.markdown.places import Places
from autocard.card.markdown.writer import Writer
from autocard.card.report import Report, State


@dataclass
class FillState:
    """What one fill knows and has decided.

    Attributes:
        text: the card as it stands.
        facts: template variable → its texts; those that show nothing are left out.
        remembered: what we wrote last time.
        overwrite: names or labels of slots that are written whoever wrote there.
        pending: what a fill that was cut off was about to write.
        labels: the table of words.
        other_run: what is remembered was written by another run than the one of the facts.
        edits: what is to be changed.
        reports: what became of each slot.
        placed: facts that have a place in the card.
        removals: places (start, end) of whole lines and blocks of ours that go.
        parents: numbers of sections that something is added to.
    """

    text: str
    facts: Mapping[str, Fact]
    remembered: Mapping[str, str]
    overwrite: Collection[str]
    pending: Mapping[str, str]
    labels: Labels
    other_run: bool = False
    edits: list[Edit] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    placed: set[str] = field(default_factory=set)
    removals: list[tuple[int, int]] = field(default_factory=list)
    parents: set[int] = field(default_factory=set)
    written: list[Written] = field(default_factory=list)

    def __post_init__(self) -> None:
        # A text that shows nothing says nothing.
        self.facts = {
            name: fact
            for name, fact in self.facts.items()
            if plain(fact.line) and plain(fact.body())
        }
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
        self.asked = read.without(
            [(one.start, one.end) for one in self.found.ours if one.slot is None]
        )
        self.firm = {one.fact for one in self.asked if not one.fallback}
        """Facts that something asks for, whatever else does."""
        self.writer = Writer(self.document, read.labelled)
        self.forced = {words(name) for name in self.overwrite}
        self.hides = any(name.startswith(HIDDEN) for name in self.remembered)
        """Whether the card is one of ours that hides what nobody has filled."""

    def fact(self, name: str) -> Fact | None:
        """Return what is known for *name*, or the fact that answers in its place."""
        kind = self.labels.kinds.get(name)
        fact = self.facts.get(name)
        if fact is None and kind and kind.instead and (other := self.facts.get(kind.instead)):
            return Fact(other.line)
        return fact

    def line(self, name: str, *, cell: bool = False) -> str:
        """Return the fact *name* as it stands on a labelled line; "" where it is not known."""
        fact = self.fact(name)
        return sanitize.line(fact.line, cell=cell) if fact else ""

    def block(self, name: str) -> str:
        """Return the fact *name* as it stands below a heading; "" where it is not known."""
        fact = self.fact(name)
        return sanitize.block(fact.body()) if fact else ""

    def text_for(self, one: AskedFact) -> str:
        """Return the fact that *one* asks for in the shape of its slot; "" where it is not known."""
        if self.stands_below(one):
            return self.block(one.fact)
        if one.slot.kind != "body":
            return self.line(one.fact, cell=one.slot.kind == "cell")
        return (
            self.line(one.fact) if one.fallback and one.fact in self.firm else self.block(one.fact)
        )

    def stands_below(self, one: AskedFact) -> bool:
        """Return whether the value of a labelled line stands below its label in a paragraph of its own."""
        between = self.text[one.slot.at : one.slot.start] if one.slot.kind == "line" else ""
        return between.endswith("\n") and "\n\n" in between.replace("\r", "")

    def put(self, one: AskedFact, text: str) -> Edit:
        """Return the edit that puts *text* into the slot *one*, which is no heading's."""
        start, end = one.slot.start, one.slot.end
        if one.slot.kind == "title":
            return self.writer.replace(start, end, text)
        return (self.writer.replaced_block if self.stands_below(one) else self.writer.inline)(
            start, end, text
        )

    def change(self, edit: Edit) -> Edit:
        """Take *edit* among the changes, and return it."""
        self.edits.append(edit)
        return edit

    def remember(self, name: str, text: str, at: int, edit: Edit | None = None) -> None:
        """Remember *text* as ours: it stands at offset *at* of the old card, or *edit* puts it there."""
        self.written.append(Written(name, text, at, edit))

    def slots(self, after: str, landing: Landing) -> dict[str, str]:
        """Return what is ours in the card *after* the edits, and where; texts of one fact are numbered in its order."""
        places = (
            self.places if after == self.text else written_text.places(Document(after), self.labels)
        )
        slots: dict[str, str] = {}
        for offset, one in landing.offsets(self.written):
            name = name_for(one.name, slots)
            slots[name] = one.text
            if offset >= 0:
                slots[PLACE + name] = written_text.place_of(places, name, offset)
        for name, text in self.remembered.items():
            # What a person took out or changed stays remembered: so that it does not come back.
            if (
                written_text.is_text(name)
                and written_text.fact_of(name) in self.found.gone
                and name not in slots
            ):
                slots[name] = text
                if PLACE + name in self.remembered:
                    slots[PLACE + name] = self.remembered[PLACE + name]
        return slots

    def who(self, fact: str) -> str:
        """Return who can fill *fact*: machine, suggested or person."""
        kind = self.labels.kinds.get(fact)
        return kind.who if kind else "machine"

    def report(
        self, one: AskedFact, state: State, *, ours_before: bool = False, wanted: str = ""
    ) -> None:
        """Report what became of the slot *one*; *wanted*: the record's text, where somebody else's is kept."""
        label = one.slot.label if one.slot.kind != "title" else "title"
        line = self.document.line_number(one.slot.start)
        there = one.value if wanted else ""
        self.reports.append(
            Report(one.fact, label, line, state, self.who(one.fact), ours_before, there, wanted)
        )

    def report_fact(self, fact: str, state: State, at: int = -1) -> None:
        """Report what became of a text of ours at offset *at* (-1: it was not there) that is no slot of the form."""
        line = self.document.line_number(at) if at >= 0 else 0
        self.reports.append(Report(fact, self.labels.title(fact), line, state, self.who(fact)))
