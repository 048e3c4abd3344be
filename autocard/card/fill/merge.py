"""What to write where: ours are refreshed, empty slots filled, a person's never touched, missing sections added.

One rule: this decides and collects edits; nothing is written, and nothing proved, here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace

from autocard.card.fill import edited_lines, written_text
from autocard.card.fill.fill_state import FillState
from autocard.card.fill.missing_sections import Outline
from autocard.card.fill.refresh import Refresh
from autocard.card.fill.written_text import ADDED
from autocard.card.form import boilerplate
from autocard.card.form.asked_fact import AskedFact
from autocard.card.form.labels import words
from autocard.card.markdown.candidates import occurrences, same
from autocard.card.markdown.edit import Edit
from autocard.card.markdown.section_end import end_of_text
from autocard.card.report import State

_MOST = 50
"""Slots for one fact that are filled; a card that asks more often than that is no form."""


class Merge:
    """Decides about every slot of one card, then about facts without one."""

    def __init__(self, work: FillState) -> None:
        """*work* takes the changes."""
        self.work = work
        self.refresh = Refresh(work)
        self._edited: list[tuple[AskedFact, str]] = []
        """Slots of ours that a person has edited, and what we would write there."""
        self._there = {one.fact for one in work.asked} | {one.fact for one in work.found.ours}

    def run(self) -> None:
        """Decide about everything."""
        work = self.work
        ours = {
            (one.start, one.end): one
            for one in work.found.ours
            if one.slot is not None and one.asked
        }
        for block in work.found.ours:
            if block.slot is None or not block.asked:
                self.refresh.block(block)
        asked_for = {id(one) for one in self._strongest()}
        for one in work.asked:
            if (one.slot.start, one.slot.end) in ours:
                self.refresh.slot(one)
            elif id(one) in asked_for and not self._has_ours(one):
                self._decide(one)
        self._refresh_edited()
        self._add_missing()
        self._remember_added(self.refresh.clearing.finish())

    def _has_ours(self, one: AskedFact) -> bool:
        """Return whether the heading's text that *one* asks for stands in its section, and is ours."""
        section = self.work.document.sections[one.slot.section]
        return one.slot.kind == "body" and any(
            mine.slot is None
            and mine.fact == one.fact
            and section.start <= mine.start < section.end
            for mine in self.work.found.ours
        )

    def _strongest(self) -> list[AskedFact]:
        """Return the slots that really ask: not those of a parent heading whose fact is asked for elsewhere."""
        work = self.work
        firm = work.firm | {one.fact for one in work.found.ours}
        filled_in = {one.fact for one in work.asked if one.slot.kind != "body" or not one.blank}
        filled_in |= {one.fact for one in work.found.ours}
        chosen = []
        seen: Counter[str] = Counter()
        for one in work.asked:
            kind = work.labels.kinds.get(one.fact)
            elsewhere = one.fact in firm or (kind is not None and kind.instead in firm)
            if one.fallback and elsewhere and (one.empty is None or one.blank):
                continue
            if one.blank and one.slot.kind == "body" and (one.fact in filled_in or seen[one.fact]):
                continue
            seen[one.fact] += 1
            if seen[one.fact] <= _MOST:
                chosen.append(one)
        return chosen

    def _decide(self, one: AskedFact) -> None:
        """Fill an empty slot, keep a person's, leave what a person took out."""
        work = self.work
        new = work.text_for(one)
        had = one.fact in work.found.gone
        if had and one.empty is not None and one.empty.notation == "generated":
            # It looks like a tool's, but it is ours that somebody changed.
            one = replace(one, empty=None)
        forced = bool({words(one.fact), words(one.slot.label)} & work.forced)
        work.placed.add(one.fact)
        extra = self._lines_of(one)
        if not new and not extra:
            self._leave(one)
        elif one.empty is not None and one.blank and had and not forced:
            work.report(one, "removed")
        elif one.empty is not None or forced:
            self._write(one, new, "filled" if one.empty is not None else "refreshed", extra)
        elif same(one.value, new):
            work.remember(one.fact, new, one.slot.start)
            work.report(one, "same")
        elif one.fact in work.labels.appended and not had and not self._begun(one, new):
            end = end_of_text(work.document, work.document.sections[one.slot.section])
            edit = work.change(work.writer.below_text(end, self._chunk(new, extra)))
            self._remember_chunk(one.fact, new, extra, edit)
            work.report(one, "filled")
        elif one.slot.kind != "title" and not one.fallback:
            if had and one.slot.kind == "body":
                self._edited.append((one, new))
            work.report(one, "kept", ours_before=had, wanted=new)

    def _refresh_edited(self) -> None:
        """Bring those lines up to date that a person left as we wrote them in a text that they edited."""
        work = self.work
        for one, new in self._edited:
            before = [
                text
                for name, text in work.remembered.items()
                if written_text.fact_of(name) == one.fact
            ]
            section = work.document.sections[one.slot.section]
            span = (
                edited_lines.span(before[0], work.text[section.start : section.end])
                if len(before) == 1
                else None
            )
            if span is None:
                continue
            start, end = section.start + span[0], section.start + span[1]
            there = work.text[start:end].replace("\r\n", "\n")
            if any(edit.start <= end and start <= edit.end for edit in work.edits):
                continue
            after = edited_lines.refreshed(before[0], there, new)
            if after is None:
                continue
            edit = (
                work.change(work.writer.replaced_block(start, end, after))
                if after != there
                else None
            )
            # Our own lines are those of the new text from now on.
            work.remember(one.fact, new, start, edit)

    def _leave(self, one: AskedFact) -> None:
        """Leave a slot whose fact is not known, unless a tool's falsehood stands there."""
        if one.empty is None:
            return
        if one.empty.notation == "generated" and boilerplate.is_false(one.value):
            self.refresh.clearing.false(one)
        else:
            self.work.report(one, "empty")

    def _begun(self, one: AskedFact, block: str) -> bool:
        """Return whether the first line of *block* stands in the section of *one*: an older text of its kind."""
        section = self.work.document.sections[one.slot.section]
        lines = {
            line.rstrip("\r") for line in self.work.text[section.start : section.extent].split("\n")
        }
        return block.partition("\n")[0] in lines

    def _lines_of(self, one: AskedFact) -> dict[str, str]:
        """Return the labelled lines that go before a heading's own text, where the form has none of them."""
        work = self.work
        part = work.labels.part_of(one.fact) if one.slot.kind == "body" else None
        lines = part.lines if part else ()
        if not lines or not self._there.isdisjoint(lines):
            return {}
        return {
            fact: work.line(fact)
            for fact in lines
            if fact in work.facts and fact not in work.found.gone
        }

    def _write(self, one: AskedFact, new: str, state: State, extra: Mapping[str, str]) -> None:
        work, slot = self.work, one.slot
        if slot.kind == "body":
            edit = work.change(work.writer.body(slot.start, slot.end, self._chunk(new, extra)))
        else:
            edit = work.change(work.put(one, new))
        self._remember_chunk(one.fact, new, extra, edit)
        work.report(one, state)

    def _remember_chunk(self, fact: str, block: str, lines: Mapping[str, str], edit: Edit) -> None:
        """Remember labelled *lines* and below them *block*, the text of *fact*, which *edit* puts into the card."""
        work = self.work
        for name, text in lines.items():
            work.remember(name, text, edit.start, edit)
            work.placed.add(name)
        if block:
            work.remember(fact, block, edit.start, edit)

    def _chunk(self, block: str, lines: Mapping[str, str]) -> str:
        """Return labelled *lines* and below them *block*, as the text of one heading."""
        work = self.work
        listed = "\n".join(
            work.writer.style.line(work.labels.title(name), text) for name, text in lines.items()
        )
        return "\n\n".join(piece for piece in (listed, block) if piece)

    def _add_missing(self) -> None:
        work = self.work
        missing = {
            fact for fact in work.facts if fact not in work.placed and fact not in work.found.gone
        }
        for fact in sorted(missing):
            adopted = self._adopted(fact)
            if adopted is not None:
                missing.discard(fact)
                work.remember(fact, work.block(fact), adopted)
        outline = Outline(
            work.document, work.labels, work.writer, work.line, work.block, added=work.found.added
        )
        for addition in outline.additions(missing):
            work.edits.append(addition.edit)
            if addition.parent is not None:
                work.parents.add(addition.parent)
            for fact, text in addition.texts.items():
                work.remember(fact, text, addition.edit.start, addition.edit)
                work.report_fact(fact, "filled")
            for name, heading in addition.headings.items():
                work.remember(ADDED + name, heading, addition.edit.start, addition.edit)

    def _adopted(self, fact: str) -> int | None:
        """Return where the text of *fact* stands already, though it is not remembered; None: nowhere.

        Another fact's text may read the same: what is known as such, or stands below a heading that
        asks for another fact, is left alone.
        """
        work = self.work
        known = [(one.start, one.end) for one in work.found.ours]
        known += [(one.at, one.at + 1) for one in work.written if one.edit is None]
        for start, end in occurrences(work.document, work.block(fact)):
            section = work.document.sections[work.document.section_at(start)]
            asked = (
                work.labels.heading(section.path[-1], section.path[:-1])
                if section.heading
                else None
            )
            is_known = any(
                start < other_end and other_start < end for other_start, other_end in known
            )
            if not is_known and (asked is None or asked[1] or asked[0] == fact):
                return start
        return None

    def _remember_added(self, bare: Collection[int]) -> None:
        """Keep the headings in memory that we added before, but for those of sections that have become *bare*."""
        for number, name in self.work.found.added.items():
            if number in bare:
                continue
            heading = self.work.document.sections[number].heading
            assert heading is not None  # noqa: S101 - only headings are found
            self.work.remember(
                ADDED + name, written_text.heading_text(self.work.document, heading), heading.start
            )
