"""The merge: facts into the slots of a card. Ours are refreshed, empty ones filled, a person's never touched.

One rule: nothing leaves this module that has not been proved: outside what it says it wrote, the text is the same.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from autocard.card import form, frontmatter, memory, proof, safe
from autocard.card.document import Document
from autocard.card.fact import Fact, plain
from autocard.card.form import Asked
from autocard.card.labels import Labels, load, words
from autocard.card.memory import HIDDEN, SECTION, YAML, Ours, name_for
from autocard.card.outline import Outline
from autocard.card.placeholders import SIGNATURES
from autocard.card.slots import after_label
from autocard.card.writing import Edit, Writer, apart, end_of_text
from autocard.errors import CardError

State = Literal["filled", "refreshed", "kept", "removed", "cleared", "empty", "same"]


@dataclass(frozen=True)
class Report:
    """What became of one slot.

    Attributes:
        slot: its name: a fact, or "yaml:" and a key.
        label: how the card calls it.
        line: line of the card before the fill, counted from 1; 0: it was not there.
        state: filled, refreshed, same (ours, up to date), kept (a person's), removed (ours, which a person took out),
            cleared (ours, no longer known), empty (nobody has filled it).
        who: machine, suggested or person: who can fill it.
        ours_before: a kept slot was written by autocard first and edited since.
    """

    slot: str
    label: str
    line: int
    state: State
    who: str = "machine"
    ours_before: bool = False

    def message(self, card: str) -> str:
        """Return what a person is told of a kept slot: where, what, and the ways on."""
        since = "was edited by hand since autocard wrote it" if self.ours_before else "holds a text of somebody else's"
        return (
            f'{card}:{self.line}: slot "{self.label}" {since}. Nothing was written there.\n'
            f'Keep your text: do nothing. Take the measured value: autocard fill {card} --overwrite "{self.label}"'
        )


@dataclass(frozen=True)
class Filled:
    """A card after the fill.

    Attributes:
        text: its new text; the old one where nothing changed.
        slots: what is ours in it now, to be remembered.
        reports: one for each slot that a fact asks for, in the order of the card.
    """

    text: str
    slots: dict[str, str]
    reports: tuple[Report, ...]


def fill(
    text: str,
    facts: Mapping[str, Fact],
    front: Mapping[str, Any],
    *,
    remembered: Mapping[str, str],
    overwrite: Collection[str] = (),
    pending: Mapping[str, str] | None = None,
    labels: Labels | None = None,
) -> Filled:
    """Return *text* with *facts* in its slots and *front* in its front matter.

    Args:
        text: the card as it stands, line endings and all.
        facts: template variable → its texts. Facts that the card has no place for get their section.
        front: key of the front matter → value; numbers and dates as they should read.
        remembered: `Filled.slots` of the last fill of this card.
        overwrite: names or labels of slots that are written whoever wrote there.
        pending: what a fill that was cut off was about to write.
        labels: which words ask for which fact; None: the shipped table.

    Raises:
        CardError: the card is too strange to be sure of. Nothing was written.
    """
    merge = _Merge(text, facts, remembered, overwrite, pending or {}, labels or load())
    merge.run()
    return merge.result(front)


@dataclass
class _Merge:
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
        self.document = Document(self.text)
        everything, self.labelled = form.read(self.document, self.labels)
        self.found = memory.locate(self.document, everything, self.remembered, self.pending)
        blocks = [(one.start, one.end) for one in self.found.ours if one.slot is None]
        if blocks:
            everything, self.labelled = form.read(self.document, self.labels, blocks)
        self.asked = [one for one in everything if not self.found.covers(one.slot.start, one.slot.end)]
        self.writer = Writer(self.document, self.labelled)
        self.forced = {words(name) for name in self.overwrite}

    def run(self) -> None:
        """Decide about every slot, then about facts without one."""
        ours = {(one.start, one.end): one for one in self.found.ours if one.slot is not None}
        for block in self.found.ours:
            if block.slot is None:
                self._refresh_block(block)
        asked_for = self._strongest()
        for one in self.asked:
            mine = ours.get((one.slot.start, one.slot.end))
            if mine is not None:
                self._refresh_slot(one, mine)
            elif one in asked_for and not self._has_ours(one):
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
        seen: set[str] = set()
        for one in self.asked:
            kind = self.labels.kinds.get(one.fact)
            elsewhere = one.fact in firm or (kind is not None and kind.instead in firm)
            if one.fallback and elsewhere and (one.empty is None or one.blank):
                continue
            if one.blank and one.slot.kind == "body" and (one.fact in filled_in or one.fact in seen):
                continue
            seen.add(one.fact)
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

    def result(self, front: Mapping[str, Any]) -> Filled:
        """Return the new text, proved.

        Raises:
            CardError: it cannot be proved. Nothing was written.
        """
        edits, slots = self._front(front)
        ordered = sorted([*edits, *self.edits], key=lambda edit: edit.key)
        ordered = apart(ordered, self.document.newline)
        text = proof.apply(self.text, ordered)
        proof.prove(self.document, text, ordered)
        reports = sorted(self.reports, key=lambda report: report.line or len(self.text))
        return Filled(text, dict(sorted({**slots, **self.slots}.items())), tuple(reports))

    def _front(self, front: Mapping[str, Any]) -> tuple[list[Edit], dict[str, str]]:
        """Return the edits of the front matter and what is ours in it."""
        document, newline = self.document, self.document.newline
        start, end = document.front or (document.top, document.top)
        known = {name: text for name, text in self.remembered.items() if name.startswith(YAML)}
        if not any(name in known for name in self.remembered) or not self._front_is_ours(known, start, end):
            known = {}
        overwrite = {name.removeprefix(YAML) for name in self.overwrite}
        known_too = {name: text for name, text in self.pending.items() if name.startswith(YAML)}
        patched = frontmatter.patch(self.text[start:end], front, known, known_too, overwrite=overwrite, newline=newline)
        slots = {YAML + key: json.dumps(value, ensure_ascii=False) for key, value in patched.written.items()}
        for key, state in patched.states.items():
            label, name = f"front matter: {key}", YAML + key
            self.reports.append(Report(name, label, 1 if document.front else 0, state, "machine", name in known))  # type: ignore[arg-type]
            if state in ("kept", "removed") and name in known:
                slots[name] = known[name]
        if document.front is None and patched.yaml:
            follows = self.text[document.top :]
            gap = newline if follows and follows.partition("\n")[0].strip() else ""
            return [Edit(start, end, f"---{newline}{patched.yaml}---{newline}{gap}")], slots
        return [Edit(start + a, start + b, new) for a, b, new in patched.edits], slots

    def _front_is_ours(self, known: Mapping[str, str], start: int, end: int) -> bool:
        """Return whether the front matter still has something that we wrote; if not, it was written anew."""
        keys = {line.partition(":")[0].strip("\"' ") for line in self.text[start:end].splitlines()}
        return any(name.removeprefix(YAML) in keys for name in known) or not any(
            signature in self.text for signature in SIGNATURES
        )


def _level(chunk: str) -> int:
    """Return the level of the heading in a hidden *chunk*; that of a line lies below them all."""
    inner = chunk.removeprefix("<!--").lstrip()
    return len(inner) - len(inner.lstrip("#")) or 7


__all__ = ["CardError", "Filled", "Report", "fill"]
