"""What to write where: ours are refreshed, empty slots filled, a person's never touched, missing sections added.

One rule: this decides and collects edits; nothing is written, and nothing proved, here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from autocard.card import form, memory, safe
from autocard.card.document import Document
from autocard.card.fact import Fact, plain
from autocard.card.form import Asked
from autocard.card.labels import Labels, words
from autocard.card.memory import HIDDEN, SECTION, YAML, Ours, name_for
from autocard.card.outline import Outline
from autocard.card.report import Report, State
from autocard.card.slots import after_label
from autocard.card.writing import Edit, Writer, end_of_text

_MOST = 50
"""Slots for one fact that are filled; a card that asks more often than that is no form."""


@dataclass
class Merge:
    """One fill on its way."""

    text: str
    facts: Mapping[str, Fact]
    remembered: Mapping[str, str]
    overwrite: Collection[str]
    pending: Mapping[str, str]
    labels: Labels
    edits: list[Edit] = field(default_factory=list)
    slots: dict[str, str] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)
    placed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        # A text that shows nothing says nothing.
        self.facts = {name: fact for name, fact in self.facts.items() if plain(fact.line) and plain(fact.body())}
        self.document = Document(self.text)
        read = form.Form(self.document, self.labels)
        self.found = memory.locate(self.document, read.asked, self.remembered, self.pending)
        self.asked = read.without([(one.start, one.end) for one in self.found.ours if one.slot is None])
        self.writer = Writer(self.document, read.labelled)
        self.forced = {words(name) for name in self.overwrite}

    def run(self) -> None:
        """Decide about every slot, then about facts without one."""
        ours = {(one.start, one.end): one for one in self.found.ours if one.slot is not None}
        for block in self.found.ours:
            if block.slot is None:
                self._refresh_block(block)
        asked_for = {id(one) for one in self._strongest()}
        for one in self.asked:
            mine = ours.get((one.slot.start, one.slot.end))
            if mine is not None:
                self._refresh_slot(one, mine)
            elif id(one) in asked_for and not self._has_ours(one):
                self._decide(one)
        self._add_missing()
        for name, value in self.remembered.items():
            # What a person took out or changed stays remembered: so that it does not come back.
            if not name.startswith((YAML, HIDDEN)) and memory.fact_of(name) in self.found.gone:
                self.slots.setdefault(name, value)

    def _has_ours(self, one: Asked) -> bool:
        """Return whether the heading's text that *one* asks for stands in its section, and is ours."""
        section = self.document.sections[one.slot.section]
        return one.slot.kind == "body" and any(
            mine.slot is None and mine.fact == one.fact and section.start <= mine.start < section.end
            for mine in self.found.ours
        )

    def _strongest(self) -> list[Asked]:
        """Return the slots that really ask: not those of a parent heading whose fact is asked for elsewhere."""
        firm = {one.fact for one in self.asked if not one.fallback} | {one.fact for one in self.found.ours}
        filled_in = {one.fact for one in self.asked if one.slot.kind != "body" or not one.blank}
        filled_in |= {one.fact for one in self.found.ours}
        chosen = []
        seen: Counter[str] = Counter()
        for one in self.asked:
            kind = self.labels.kinds.get(one.fact)
            elsewhere = one.fact in firm or (kind is not None and kind.instead in firm)
            if one.fallback and elsewhere and (one.empty is None or one.blank):
                continue
            if one.blank and one.slot.kind == "body" and (one.fact in filled_in or seen[one.fact]):
                continue
            seen[one.fact] += 1
            if seen[one.fact] <= _MOST:
                chosen.append(one)
        return chosen

    def _fact(self, name: str) -> Fact | None:
        kind = self.labels.kinds.get(name)
        fact = self.facts.get(name)
        if fact is None and kind and kind.instead and (other := self.facts.get(kind.instead)):
            return Fact(other.line)
        return fact

    def _line(self, name: str, *, cell: bool = False) -> str:
        fact = self._fact(name)
        return safe.line(fact.line, cell=cell) if fact else ""

    def _block(self, name: str) -> str:
        fact = self._fact(name)
        return safe.block(fact.body()) if fact else ""

    def _text_for(self, one: Asked) -> str:
        if one.slot.kind != "body":
            return self._line(one.fact, cell=one.slot.kind == "cell")
        firm = any(other.fact == one.fact and not other.fallback for other in self.asked)
        return self._line(one.fact) if one.fallback and firm else self._block(one.fact)

    def _refresh_slot(self, one: Asked, mine: Ours) -> None:
        new = self._text_for(one)
        self.placed.add(one.fact)
        if not new:
            self._clear(one.slot.start, one.slot.end, one)
        elif memory.same(one.value, new):
            self._remember(one.fact, new)
            self._report(one, "same")
        else:
            self._write(one, new, "refreshed")
        del mine

    def _refresh_block(self, mine: Ours) -> None:
        """Bring a text of ours between blank lines up to date; un-hide one whose fact is known now."""
        section = self.document.line_number(mine.start)
        label = self.labels.title(mine.fact)
        who = self._who(mine.fact)
        known = self._fact(mine.fact) is not None
        if mine.hidden:
            self._refresh_hidden(mine, known=known)
            return
        self.placed.add(mine.fact)
        shapes = [self._block(mine.fact), self._line(mine.fact)] if known else []
        current = self.text[mine.start : mine.end]
        fits = [shape for shape in shapes if memory.same(current, shape)]
        if fits:
            self._remember(mine.fact, fits[0])
            self.reports.append(Report(mine.fact, label, section, "same", who))
        elif shapes:
            new = shapes["\n" not in mine.text and self._was_line(mine)]
            self.edits.append(self.writer.replace(mine.start, mine.end, new))
            self._remember(mine.fact, new)
            self.reports.append(Report(mine.fact, label, section, "refreshed", who))
        else:
            self._forget(mine.start, mine.end, mine.fact)
            self.reports.append(Report(mine.fact, label, section, "cleared", who))

    def _refresh_hidden(self, mine: Ours, *, known: bool) -> None:
        """Show a hidden place whose fact is known now; leave the others."""
        if mine.fact.startswith(SECTION):
            shown = mine in self._shown_headings()
            if shown:
                inner = mine.text.removeprefix("<!--").lstrip()
                self.edits.append(self.writer.replace(mine.start, mine.end, inner.partition("\n")[0].rstrip()))
            else:
                self._remember(HIDDEN + mine.fact, mine.text)
            return
        self.placed.add(mine.fact)
        state: State = "empty"
        if known:
            chunk, value = self._shown(mine)
            self.edits.append(self.writer.replace(mine.start, mine.end, chunk))
            self._remember(mine.fact, value)
            state = "filled"
        else:
            self._remember(HIDDEN + mine.fact, mine.text)
        line = self.document.line_number(mine.start)
        self.reports.append(Report(mine.fact, self.labels.title(mine.fact), line, state, self._who(mine.fact)))

    def _shown_headings(self) -> list[Ours]:
        """Return the hidden headings below which something is shown now."""
        hidden = [one for one in self.found.ours if one.hidden]
        shown = []
        for number, one in enumerate(hidden):
            if one.fact.startswith(SECTION) or self._fact(one.fact) is None:
                continue
            level = _level(one.text)
            for above in reversed(hidden[:number]):
                if any(above.end <= s.start <= one.start for s in self.document.sections if s.heading):
                    break
                if _level(above.text) < level:
                    level = _level(above.text)
                    shown.append(above)
        return shown

    def _was_line(self, mine: Ours) -> bool:
        """Return whether a one-line text of ours stands where a summary goes, below the heading of a parent."""
        names = [name for name, text in self.remembered.items() if memory.fact_of(name) == mine.fact]
        return len(names) > 1 and self.remembered.get(mine.fact) != self.remembered.get(names[-1])

    def _shown(self, mine: Ours) -> tuple[str, str]:
        """Return a hidden chunk with its fact in it, and the fact's text."""
        inner = mine.text.removeprefix("<!--").removesuffix("-->").strip()
        if inner.startswith("#"):
            value = self._block(mine.fact)
            return inner.partition("\n")[0].rstrip() + "\n\n" + value, value
        value = self._line(mine.fact)
        label = after_label(inner)
        return (inner[:label].rstrip() + " " + value if label else value), value

    def _decide(self, one: Asked) -> None:
        """Fill an empty slot, keep a person's, leave what a person took out."""
        new = self._text_for(one)
        had = one.fact in self.found.gone
        if had and one.empty is not None and one.empty.notation == "generated":
            # It looks like a tool's, but it is ours that somebody changed.
            one = replace(one, empty=None)
        forced = bool({words(one.fact), words(one.slot.label)} & self.forced)
        self.placed.add(one.fact)
        part = self.labels.part_of(one.fact) if one.slot.kind == "body" else None
        extra = self._lines_of(one) if part else {}
        if not new and not extra:
            if one.empty is not None:
                self._report(one, "empty")
        elif one.empty is not None and one.blank and had and not forced:
            self._report(one, "removed")
        elif one.empty is not None or forced:
            self._write(one, new, "filled" if one.empty is not None else "refreshed", extra)
        elif memory.same(one.value, new):
            self._remember(one.fact, new)
            self._report(one, "same")
        elif one.fact in self.labels.appended and not had and not self._begun(new):
            end = end_of_text(self.document, self.document.sections[one.slot.section])
            self.edits.append(self.writer.section(end, self._chunk(new, extra)))
            if new:
                self._remember(one.fact, new)
            self._report(one, "filled")
        elif one.slot.kind != "title" and not one.fallback:
            self._report(one, "kept", ours_before=had)

    def _begun(self, block: str) -> bool:
        """Return whether the first line of *block* stands in the card already: an older text of its kind."""
        first = block.partition("\n")[0]
        return any(line.rstrip("\r") == first for line in self.text.split("\n"))

    def _lines_of(self, one: Asked) -> dict[str, str]:
        """Return the labelled lines that go before a heading's own text, where the form has none of them."""
        part = self.labels.part_of(one.fact)
        lines = part.lines if part else ()
        if any(other.fact in lines for other in self.asked) or any(mine.fact in lines for mine in self.found.ours):
            return {}
        return {fact: self._line(fact) for fact in lines if fact in self.facts and fact not in self.found.gone}

    def _write(self, one: Asked, new: str, state: State, extra: Mapping[str, str] | None = None) -> None:
        slot = one.slot
        if slot.kind == "body":
            pieces = []
            if extra:
                pieces.append(
                    "\n".join(self.writer.line(self.labels.title(name), text) for name, text in extra.items())
                )
                for name, text in extra.items():
                    self._remember(name, text)
                    self.placed.add(name)
            self.edits.append(self.writer.body(slot.start, slot.end, "\n\n".join([*pieces, *([new] if new else [])])))
        elif slot.kind == "title":
            self.edits.append(self.writer.replace(slot.start, slot.end, new))
        else:
            self.edits.append(self.writer.inline(slot.start, slot.end, new))
        if new:
            self._remember(one.fact, new)
        self._report(one, state)

    def _chunk(self, block: str, lines: Mapping[str, str]) -> str:
        """Return labelled *lines* and below them *block*, as the text of one heading."""
        for name, text in lines.items():
            self._remember(name, text)
            self.placed.add(name)
        listed = "\n".join(self.writer.line(self.labels.title(name), text) for name, text in lines.items())
        return "\n\n".join(piece for piece in (listed, block) if piece)

    def _clear(self, start: int, end: int, one: Asked) -> None:
        self._forget(start, end, one.fact)
        self._report(one, "cleared")

    def _forget(self, start: int, end: int, fact: str) -> None:
        """Put a comment in the place of a text of ours that this run does not know."""
        title = plain(self.labels.title(fact)).replace("--", "")
        chunk = f"<!-- {title}: not known for this run -->"
        self.edits.append(self.writer.replace(start, end, chunk))
        self._remember(HIDDEN + fact, chunk)

    def _add_missing(self) -> None:
        missing = {fact for fact in self.facts if fact not in self.placed and fact not in self.found.gone}
        for fact in sorted(missing):
            adopted = next(memory.occurrences(self.document, self._block(fact)), None)
            if adopted is not None:
                missing.discard(fact)
                self._remember(fact, self._block(fact))
        outline = Outline(self.document, self.labels, self.writer, self._line, self._block)
        for addition in outline.additions(missing):
            self.edits.append(addition.edit)
            for fact, text in addition.texts.items():
                self._remember(fact, text)
                self.reports.append(Report(fact, self.labels.title(fact), 0, "filled", self._who(fact)))

    def _remember(self, name: str, text: str) -> None:
        self.slots[name_for(name, self.slots)] = text

    def _who(self, fact: str) -> str:
        kind = self.labels.kinds.get(fact)
        return kind.who if kind else "machine"

    def _report(self, one: Asked, state: State, *, ours_before: bool = False) -> None:
        label = one.slot.label if one.slot.kind != "title" else "title"
        line = self.document.line_number(one.slot.start)
        self.reports.append(Report(one.fact, label, line, state, self._who(one.fact), ours_before))


def _level(chunk: str) -> int:
    """Return the level of the heading in a hidden *chunk*; that of a line lies below them all."""
    inner = chunk.removeprefix("<!--").lstrip()
    return len(inner) - len(inner.lstrip("#")) or 7
