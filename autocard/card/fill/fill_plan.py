"""What to write where: our texts are refreshed, empty slots filled, missing sections added.

One rule: a person's text is never touched. This module decides and collects edits; nothing is
written, and nothing proved, here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace

from autocard.card.fill import edited_lines, head_facts, written_text
from autocard.card.fill.fill_state import FillState
from autocard.card.fill.missing_sections import MissingSections
from autocard.card.fill.refresh import Refresh
from autocard.card.fill.restorer import Restorer
from autocard.card.fill.written_text import ADDED, LEFT_OUT, WHOLE_LINE, WrittenText
from autocard.card.form import boilerplate
from autocard.card.form.asked_fact import AskedFact
from autocard.card.form.labels import words
from autocard.card.markdown.edit import Edit
from autocard.card.markdown.occurrences import occurrences, same
from autocard.card.markdown.section_end import end_of_text
from autocard.card.markdown.writer import below_lines
from autocard.card.report import State

NONE = "none"
"""How a fact begins that the run has nothing of: "none (no LoRA adapter)"."""
_MOST = 50
"""Slots for one fact that are filled; a card that asks more often than that is no form."""


class FillPlan:
    """Decides about every slot of one card, then about facts without one."""

    def __init__(self, state: FillState) -> None:
        """*state* takes the changes."""
        self._state = state
        self._refresh = Refresh(state)
        self._edited: list[tuple[AskedFact, str]] = []
        """Slots that we filled and a person has edited, and what we would write there."""
        found = {text.fact for text in state.found.ours}
        self._with_slot = {asked.fact for asked in state.asked} | found

    def run(self) -> None:
        """Decide about everything."""
        state = self._state
        self._refresh.hidden_items()
        our_values = set()
        left_out = set()
        restorer = Restorer(state, self._refresh.removal)
        for text in state.found.ours:
            if state.is_left_out(text) and not self._is_hidden_by_refresh(text):
                restorer.leave_out(text)
                left_out.add((text.start, text.end))
            elif text.slot is not None and text.asked:
                our_values.add((text.start, text.end))
            else:
                self._refresh.block(text)
        chosen = {id(asked) for asked in self._chosen()}
        for asked in state.asked:
            place = asked.slot.start, asked.slot.end
            if place in left_out:
                continue
            if place in our_values:
                self._refresh.slot(asked)
            elif id(asked) in chosen and not self._has_ours(asked) and not self._stays_out(asked):
                self._decide(asked)
        self._refresh_edited()
        self._recognize()
        head_facts.add(state)
        self._add_missing()
        self._remember_added(self._refresh.removal.finish())

    def _is_hidden_by_refresh(self, text: WrittenText) -> bool:
        """Return whether *text* becomes a comment like a value without a fact."""
        state = self._state
        if text.slot is None or not text.asked or state.stood_before(text.start, text.end):
            return False
        is_added = state.document.section_at(text.start) in state.found.added
        return state.hides_empty_slots and not is_added

    def _stays_out(self, asked: AskedFact) -> bool:
        """Return whether the fact was left out of a section that we added and that still stands."""
        state = self._state
        return LEFT_OUT + asked.fact in state.remembered and not state.may_be_added(asked.fact)

    def _has_ours(self, asked: AskedFact) -> bool:
        """Return whether our text for a heading stands in its section already."""
        if asked.slot.kind != "body":
            return False
        section = self._state.document.sections[asked.slot.section]
        for text in self._state.found.ours:
            is_block = text.slot is None and text.fact == asked.fact
            if is_block and section.start <= text.start < section.end:
                return True
        return False

    def _chosen(self) -> list[AskedFact]:
        """Return the slots to decide about.

        A fallback is left out where another slot asks for its fact, and the text of a heading where
        the fact stands elsewhere.
        """
        state = self._state
        ours = {text.fact for text in state.found.ours}
        primary = state.primary | ours
        with_value = ours | {
            asked.fact for asked in state.asked if asked.slot.kind != "body" or not asked.blank
        }
        chosen = []
        seen: Counter[str] = Counter()
        for asked in state.asked:
            if self._is_answered_elsewhere(asked, primary):
                continue
            is_known = asked.fact in with_value or seen[asked.fact] > 0
            if asked.blank and asked.slot.kind == "body" and is_known:
                continue
            seen[asked.fact] += 1
            if seen[asked.fact] <= _MOST:
                chosen.append(asked)
        return chosen

    def _is_answered_elsewhere(self, asked: AskedFact, primary: Collection[str]) -> bool:
        """Return whether *asked* is a fallback without a placeholder, and not needed."""
        if not asked.fallback or not (asked.empty is None or asked.blank):
            return False
        kind = self._state.labels.kinds.get(asked.fact)
        return asked.fact in primary or (kind is not None and kind.instead in primary)

    def _decide(self, asked: AskedFact) -> None:
        """Fill an empty slot, keep a person's, leave what a person removed."""
        state = self._state
        new = state.text_for(asked)
        was_ours = asked.fact in state.found.gone
        if was_ours and asked.generated:
            # It reads like a tool's, but it is ours that a person changed.
            asked = replace(asked, empty=None)
        if asked.fact in state.placed and self._is_repeated(asked):
            state.removals.append(self._section_of(asked))
            state.report(asked, "cleared")
            return
        names = {words(asked.fact), words(asked.slot.label)}
        is_forced = not names.isdisjoint(state.forced)
        state.placed.add(asked.fact)
        lines = self._lines_above(asked)
        if not new and not lines:
            self._leave(asked)
        elif asked.blank and was_ours and not is_forced:
            state.report(asked, "removed")
        elif asked.declined and new.startswith(NONE) and not is_forced:
            # "N/A" says the same, in the words of a person.
            state.report(asked, "kept", wanted=new)
        elif asked.empty is not None or is_forced:
            self._write(asked, new, "refreshed" if asked.empty is None else "filled", lines)
        else:
            self._decide_beside_text(asked, new, lines, was_ours=was_ours)

    def _section_of(self, asked: AskedFact) -> tuple[int, int]:
        """Return start and end of the section that *asked* stands in, its heading included."""
        section = self._state.document.sections[asked.slot.section]
        return (section.heading.start if section.heading else section.start), section.end

    def _is_repeated(self, asked: AskedFact) -> bool:
        """Return whether *asked* is a tool's text below a heading that it wrote a second time.

        PEFT up to 0.6 appended "Framework versions" at each save.
        """
        section = self._state.document.sections[asked.slot.section]
        if not asked.generated or asked.slot.kind != "body" or section.extent != section.end:
            return False
        titles = [each.path[-1] for each in self._state.document.sections if each.heading]
        shown = [block for block in section.blocks if block.kind != "comment"]
        is_alone = bool(shown) and (shown[0].start, shown[-1].end) == (
            asked.slot.start,
            asked.slot.end,
        )
        return is_alone and titles.count(section.path[-1]) > 1

    def _decide_beside_text(
        self, asked: AskedFact, new: str, lines: Mapping[str, str], *, was_ours: bool
    ) -> None:
        """Decide about a slot with a text that is not to be overwritten."""
        state = self._state
        if same(asked.value, new):
            # It is not known who wrote it: a removal leaves it. A single figure that is right is
            # still the one of the person or tool that wrote it.
            if not state.labels.is_asked(asked.fact):
                state.remember(asked.fact, new, asked.slot.start, before=asked.value)
            state.report(asked, "same")
        elif self._is_appended(asked.fact) and not was_ours and not self._begins(asked, new):
            section = state.document.sections[asked.slot.section]
            place = end_of_text(state.document, section)
            edit = state.add_edit(state.writer.below_text(place, self._chunk(new, lines)))
            self._remember_chunk(asked.fact, new, lines, edit, "")
            state.report(asked, "filled")
        elif asked.slot.kind != "title" and not asked.fallback:
            if was_ours and asked.slot.kind == "body":
                self._edited.append((asked, new))
            state.report(asked, "kept", ours_before=was_ours, wanted=new)

    def _is_appended(self, fact: str) -> bool:
        """Return whether *fact* is added below a person's text; so is one that was left out."""
        state = self._state
        return fact in state.labels.appended or LEFT_OUT + fact in state.remembered

    def _refresh_edited(self) -> None:
        """Refresh those lines that a person left as we wrote them in a text that they edited."""
        for asked, new in self._edited:
            before = self._only_remembered(asked.fact)
            if before is not None:
                self._refresh_lines(asked, before, new)

    def _only_remembered(self, fact: str) -> str | None:
        """Return the remembered text of *fact*; None: there are several or none."""
        texts = []
        for name, text in self._state.remembered.items():
            if written_text.fact_of(name) == fact:
                texts.append(text)
        return texts[0] if len(texts) == 1 else None

    def _refresh_lines(self, asked: AskedFact, before: str, new: str) -> None:
        state = self._state
        section = state.document.sections[asked.slot.section]
        span = edited_lines.span(before, state.text[section.start : section.end])
        if span is None:
            return
        start, end = section.start + span[0], section.start + span[1]
        if any(edit.start <= end and start <= edit.end for edit in state.edits):
            return
        current = state.text[start:end].replace("\r\n", "\n")
        after = edited_lines.refreshed(before, current, new)
        if after is None:
            return
        edit = None
        if after != current:
            edit = state.add_edit(state.writer.replaced_block(start, end, after))
        # Our own lines are those of the new text from now on.
        state.remember(asked.fact, new, start, edit)

    def _leave(self, asked: AskedFact) -> None:
        """Leave a slot without a fact, unless a tool's false statement stands there."""
        if asked.empty is None or asked.declined:
            return
        if asked.generated and boilerplate.is_false(asked.value):
            self._refresh.removal.false_statement(asked)
        else:
            self._state.report(asked, "empty")

    def _begins(self, asked: AskedFact, block: str) -> bool:
        """Return whether the first line of *block* stands in the section: an older written text."""
        section = self._state.document.sections[asked.slot.section]
        lines = self._state.text[section.start : section.extent].split("\n")
        return block.partition("\n")[0] in {line.rstrip("\r") for line in lines}

    def _lines_above(self, asked: AskedFact) -> dict[str, str]:
        """Return the labelled lines to put above a heading's text, if the form has none of them."""
        state = self._state
        part = state.labels.part_of(asked.fact) if asked.slot.kind == "body" else None
        if part is None or not self._with_slot.isdisjoint(part.lines):
            return {}
        found = {}
        for fact in part.lines:
            is_known = fact in state.facts and state.may_be_added(fact)
            if is_known and fact not in state.found.gone:
                found[fact] = state.line(fact)
        return found

    def _write(self, asked: AskedFact, new: str, outcome: State, lines: Mapping[str, str]) -> None:
        state, slot = self._state, asked.slot
        if slot.kind == "body":
            edit = state.writer.body(slot.start, slot.end, self._chunk(new, lines))
        else:
            edit = state.slot_edit(asked, new)
        state.add_edit(edit)
        before = None if asked.empty is None else asked.value
        self._remember_chunk(asked.fact, new, lines, edit, before)
        state.report(asked, outcome)

    def _remember_chunk(
        self, fact: str, block: str, lines: Mapping[str, str], edit: Edit, before: str | None
    ) -> None:
        """Remember what *edit* adds: labelled *lines*, and below them *block*, which is *fact*.

        *before*: the placeholder that the block replaces.
        """
        state = self._state
        for name, text in lines.items():
            state.remember(name, text, edit.start, edit, WHOLE_LINE)
            state.placed.add(name)
        if block:
            state.remember(fact, block, edit.start, edit, before)

    def _chunk(self, block: str, lines: Mapping[str, str]) -> str:
        """Return labelled *lines* and below them *block*, as the text of one heading."""
        state = self._state
        listed = "\n".join(
            state.writer.style.line(state.labels.title(name), text) for name, text in lines.items()
        )
        return below_lines(listed, block)

    def _missing(self) -> set[str]:
        """Return the facts that have no place in the card."""
        state = self._state
        asked = {name for name, kind in state.labels.kinds.items() if kind.asked}
        return state.facts.keys() - state.placed - state.found.gone - asked

    def _recognize(self) -> None:
        """Find the texts that stand in the card already, though they are not remembered."""
        state = self._state
        for fact in sorted(self._missing()):
            offset = self._offset_of_unremembered(fact)
            if offset is not None:
                block = state.block(fact)
                state.remember(fact, block, offset, before=block)
                state.placed.add(fact)

    def _add_missing(self) -> None:
        """Add the facts that have no place in the card."""
        state = self._state
        missing = {fact for fact in self._missing() if state.may_be_added(fact)}
        sections = MissingSections(state)
        for addition in sections.additions(missing):
            edit = addition.edit
            state.edits.append(edit)
            if addition.parent is not None:
                state.parents.add(addition.parent)
            for fact, text in addition.texts.items():
                state.remember(fact, text, edit.start, edit, WHOLE_LINE)
                state.report_fact(fact, "filled")
            for name, heading in addition.headings.items():
                state.remember(ADDED + name, heading, edit.start, edit)

    def _offset_of_unremembered(self, fact: str) -> int | None:
        """Return where the text of *fact* stands already, though it is not remembered.

        Another fact's text may read the same: a remembered one is left alone, and one below a
        heading that asks for another fact.
        """
        state = self._state
        known = [(text.start, text.end) for text in state.found.ours]
        known += [(text.at, text.at + 1) for text in state.written if text.edit is None]
        for start, end in occurrences(state.document, state.block(fact)):
            is_known = any(start < known_end and begin < end for begin, known_end in known)
            if not is_known and self._may_stand_at(fact, start):
                return start
        return None

    def _may_stand_at(self, fact: str, offset: int) -> bool:
        """Return whether the heading above *offset* asks for *fact*, or for none in particular."""
        state = self._state
        section = state.document.sections[state.document.section_at(offset)]
        if section.heading is None:
            return True
        meaning = state.labels.heading(section.path[-1], section.path[:-1])
        return meaning is None or meaning.fallback or meaning.fact == fact

    def _remember_added(self, bare: Collection[int]) -> None:
        """Remember the headings that we added before, except those of *bare* sections."""
        state = self._state
        for number, name in state.found.added.items():
            heading = state.document.sections[number].heading
            if number in bare or heading is None:
                continue
            text = written_text.heading_text(state.document, heading)
            state.remember(ADDED + name, text, heading.start)
