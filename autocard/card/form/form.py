"""A document and the table of words → what the form asks for, and what stands there now.

One rule: nothing is decided here about writing. Bodies of headings are told apart from what merely
stands in a section: comments, advice in italics, a form's own sentences and labelled lines are no
answer.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from autocard.card.form import boilerplate, placeholders
from autocard.card.form.boilerplate import Surroundings
from autocard.card.form.labels import Labels, words
from autocard.card.form.placeholders import Placeholder
from autocard.card.markdown import line_labels, slots
from autocard.card.markdown.document import Block, Document, Section
from autocard.card.markdown.section_end import may_belong_below
from autocard.card.markdown.slots import Slot


@dataclass(frozen=True)
class AskedFact:
    """One slot and the fact it asks for.

    Attributes:
        slot: where it is.
        fact: the template variable.
        value: what stands there, line endings as they are.
        empty: which placeholder that is; None: it is a value.
        fallback: it asks only if nothing else does.
    """

    slot: Slot
    fact: str
    value: str
    empty: Placeholder | None
    fallback: bool = False

    @property
    def blank(self) -> bool:
        """Whether nothing at all stands there."""
        return self.empty is not None and self.empty.notation == "blank"


class Form:
    """What one document asks for.

    Attributes:
        labelled: all its labelled lines and table rows, in order.
        asked: the slots that ask for a fact which the table knows, in order.
    """

    def __init__(self, document: Document, labels: Labels) -> None:
        """Read the slots of *document*."""
        self._document = document
        self._labels = labels
        self.labelled = list(slots.labelled(document))
        self._starts = [slot.at for slot in self.labelled]
        self._reader = _Reader(document, labels)
        lines = list(_lines(self._reader, self.labelled))
        self._title = slots.title(document, labels)
        if self._title is not None:
            lines.append(_title(self._reader, self._title))
        self._known = {one.slot.at for one in lines}
        bodies = [one for index in range(len(document.sections)) for one in self._bodies(index, ())]
        self.asked = sorted([*lines, *bodies], key=lambda one: one.slot.start)

    def without(self, ours: Collection[tuple[int, int]]) -> list[AskedFact]:
        """Return `asked` as it is when blocks within the places *ours* (start, end) are no answer to their heading."""
        places: dict[int, list[tuple[int, int]]] = {}
        begins = [section.start for section in self._document.sections]
        for place in ours:
            places.setdefault(bisect_right(begins, place[0]) - 1, []).append(place)
        kept = [
            one for one in self.asked if one.slot.kind != "body" or one.slot.section not in places
        ]
        kept += [one for index, own in places.items() for one in self._bodies(index, own)]
        inside = sorted(ours)
        return sorted(
            (one for one in kept if not _within(one.slot, inside)), key=lambda one: one.slot.start
        )

    def unknown(self) -> Iterator[tuple[str, int, str]]:
        """Yield (label, offset, the placeholder) of what asks for something that the table does not know."""
        taken = {one.slot.start for one in self.asked}
        places = {slot.start for slot in self.labelled}
        for slot in self.labelled:
            value = self._document.text[slot.start : slot.end]
            kind = placeholders.find(
                value, self._labels.names, self._document.references, self._labels.placeholders
            )
            if kind is not None and kind.notation != "blank" and slot.start not in taken:
                yield slot.label, slot.start, value
        for section in self._document.sections:
            for block in section.blocks:
                start, end = line_labels.trim(self._document.text, block.start, block.end)
                start = (
                    line_labels.after_marker(self._document.text, start, end)
                    if block.kind == "list"
                    else start
                )
                asks = (
                    block.kind in ("paragraph", "list")
                    and start < end
                    and start not in taken | places
                )
                value = self._document.text[start:end] if asks else "-"
                if (
                    placeholders.find(
                        value,
                        self._labels.names,
                        self._document.references,
                        self._labels.placeholders,
                    )
                    is not None
                ):
                    yield section.path[-1] if section.path else "", start, value

    def _bodies(self, index: int, ours: Collection[tuple[int, int]]) -> Iterator[AskedFact]:
        section = self._document.sections[index]
        if section.heading is None:
            return
        own = self.labelled[
            bisect_left(self._starts, section.start) : bisect_left(self._starts, section.end)
        ]
        reader = _Body(self._reader, index, own, self._known)
        reader.ours = list(ours)
        yield from reader.asked(is_title=self._title is not None and self._title.section == index)


def _within(slot: Slot, places: list[tuple[int, int]]) -> bool:
    number = bisect_right(places, (slot.start, len(places) and places[-1][1])) - 1
    return number >= 0 and places[number][0] <= slot.start and slot.end <= places[number][1]


class _Reader:
    """Tells values from placeholders and generated text in one document."""

    def __init__(self, document: Document, labels: Labels) -> None:
        self.document = document
        self.labels = labels
        self._around: dict[int, Surroundings] = {}

    def empty(self, value: str, section: int) -> Placeholder | None:
        """Return what kind of placeholder or generated text *value* is, or None."""
        found = placeholders.find(
            value, self.labels.names, self.document.references, self.labels.placeholders
        )
        if found is None and boilerplate.is_generated(
            value.replace("\r\n", "\n"), self.around(section)
        ):
            return Placeholder("generated")
        return found

    def around(self, section: int) -> Surroundings:
        """Return the section number *section* as the surroundings of what stands in it."""
        if section not in self._around:
            place = self.document.sections[section]
            self._around[section] = Surroundings(self.document.text[place.start : place.end])
        return self._around[section]


def is_advice(paragraph: str, labels: Labels) -> bool:
    """Return whether *paragraph* is a form's own, and no answer."""
    return placeholders.is_guidance(paragraph, labels.boilerplate)


def _is_no_answer(paragraph: str, labels: Labels) -> bool:
    """Return whether *paragraph* stays whatever is known: a form's advice, a tool's true words about itself."""
    return is_advice(paragraph, labels) or boilerplate.stands(paragraph)


def _lines(reader: _Reader, found: Iterable[Slot]) -> Iterator[AskedFact]:
    labels = reader.labels
    for slot in found:
        value = reader.document.text[slot.start : slot.end]
        kind = reader.empty(value, slot.section)
        fact = labels.fact(slot.label, slot.path)
        if fact is not None and not fact[1]:
            yield AskedFact(slot, fact[0], value, kind)
        elif kind is not None and (named := labels.variable(kind.variable)):
            yield AskedFact(slot, named, value, kind)


def _title(reader: _Reader, slot: Slot) -> AskedFact:
    value = reader.document.text[slot.start : slot.end]
    kind = reader.empty(value, slot.section)
    if kind is None and words(value) in reader.labels.titles:
        kind = Placeholder("bare")
    return AskedFact(slot, "model_id", value, kind)


class _Body:
    """One section's own text, told apart."""

    def __init__(self, reader: _Reader, index: int, own: list[Slot], known: set[int]) -> None:
        """*own*: labelled slots of the section; *known*: places of labels whose fact is known."""
        self.ours: list[tuple[int, int]] = []
        self.reader = reader
        self.document = reader.document
        self.labels = reader.labels
        self.index = index
        self.section = reader.document.sections[index]
        self.own = own
        self.known = known

    def asked(self, *, is_title: bool) -> Iterator[AskedFact]:
        """Yield what is asked: by each placeholder that names a variable, and by the heading itself."""
        heading = self.section.path[-1]
        fact = (
            ("model_summary", True)
            if is_title
            else self.labels.heading(heading, self.section.path[:-1])
        )
        content: list[Block] = []
        taken = False
        labelled = self._labelled_blocks()
        for number, block in enumerate(self.section.blocks):
            role, start, end = ("labelled", 0, 0) if number in labelled else self._role(block)
            if role == "content":
                content.append(block)
            if role != "placeholder":
                continue
            if (
                content
                and self._is_caption(content[-1])
                and content[-1] is self.section.blocks[number - 1]
            ):
                # What is asked for stands below words in bold of its own; they are no answer to the
                # heading.
                content.pop()
                continue
            words = (
                line_labels.after_marker(self.document.text, start, end)
                if block.kind == "list"
                else start
            )
            kind = self.reader.empty(self.document.text[words:end], self.index)
            named = self.labels.variable(kind.variable) if kind else None
            if named is not None:
                taken = taken or (fact is not None and named == fact[0])
                yield self._one(start, end, named, kind)
            elif fact is not None and not taken:
                taken = True
                yield self._one(start, end, fact[0], kind, fallback=fact[1])
        if taken or fact is None:
            return
        if content:
            value = self.document.text[content[0].start : content[-1].end].replace("\r\n", "\n")
            kind = (
                Placeholder("generated")
                if boilerplate.is_generated(value, self.reader.around(self.index))
                else None
            )
            yield self._one(content[0].start, content[-1].end, fact[0], kind, fallback=fact[1])
        else:
            place = _place(
                self.document, self.labels, self.section, at_end=fact[0] in self.labels.body_at_end
            )
            yield self._one(place, place, fact[0], Placeholder("blank"), fallback=fact[1])

    def _one(
        self, start: int, end: int, fact: str, kind: Placeholder | None, *, fallback: bool = False
    ) -> AskedFact:
        slot = Slot("body", self.section.path[-1], self.section.path, start, end, self.index)
        return AskedFact(slot, fact, self.document.text[start:end], kind, fallback)

    def _role(self, block: Block) -> tuple[str, int, int]:
        """Return what *block* is: inert, labelled, placeholder or content; and the placeholder's place."""
        text, start, end = self.document.text, block.start, block.end
        if block.kind in ("comment", "rule") or any(
            one[0] <= start and end <= one[1] for one in self.ours
        ):
            return "inert", start, end
        if block.kind == "paragraph" and _is_no_answer(text[start:end], self.labels):
            start = max(text.rfind("\n", start, end) + 1, start)
            if start == block.start:
                return "inert", start, end
            role = "inert"
        else:
            role = "content"
        start, end = line_labels.trim(text, start, end)
        words = line_labels.after_marker(text, start, end) if block.kind == "list" else start
        if block.kind in ("paragraph", "list") and words < end and self._asks(text[words:end]):
            return "placeholder", start, end
        return role, block.start, block.end

    def _is_caption(self, block: Block) -> bool:
        text = self.document.text[
            slice(*line_labels.trim(self.document.text, block.start, block.end))
        ]
        return (
            block.kind == "paragraph"
            and text.startswith("**")
            and text.endswith("**")
            and text.count("**") == 2  # noqa: PLR2004
        )

    def _labelled_blocks(self) -> set[int]:
        """Return the numbers of the blocks that are labelled lines, or the values of some, rather than an answer."""
        starts = [block.start for block in self.section.blocks]
        found = set()
        for slot in self.own:
            # A list item that merely looks like `word: value` is content, unless the word is known.
            if slot.at in self.known or (
                not slot.plain and (slot.start == slot.end or self._asks_below(slot))
            ):
                for place in (slot.at, slot.start):
                    number = bisect_right(starts, place) - 1
                    if number >= 0 and place < max(
                        self.section.blocks[number].end, starts[number] + 1
                    ):
                        found.add(number)
        return found

    def _asks_below(self, slot: Slot) -> bool:
        """Return whether what *slot* asks for stands in a block below its label."""
        text = self.document.text
        return "\n" in text[slot.at : slot.start] and self._asks(text[slot.start : slot.end])

    def _asks(self, value: str) -> bool:
        return (
            placeholders.find(
                value, self.labels.names, self.document.references, self.labels.placeholders
            )
            is not None
        )


def _place(document: Document, labels: Labels, section: Section, *, at_end: bool) -> int:
    """Return where the text of an empty body goes: after guidance and before labelled lines, or after everything.

    Always the start of a line, or the end of the text.
    """
    place = section.start
    for block in section.blocks:
        text = document.text[block.start : block.end]
        advice = block.kind == "paragraph" and _is_no_answer(text, labels)
        if not at_end and block.kind != "comment" and not advice:
            break
        if at_end and may_belong_below(document, block) and place > section.start:
            # A comment after the last words may belong to the next heading.
            continue
        after = document.text.find("\n", block.end)
        place = len(document.text) if after < 0 else after + 1
    return place
