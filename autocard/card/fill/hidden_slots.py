"""A new card's empty slots → HTML comments with guidance: readers see no placeholders.

One rule: only a blank that autocard made itself is treated so; a form that a person brought as a
card keeps its placeholders. What is hidden is remembered, and shown again when its fact is there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from autocard.card.fill import list_comments, proof, written_text
from autocard.card.fill.list_comments import HiddenItem, Move
from autocard.card.fill.removal import subsections
from autocard.card.fill.text_offsets import PlannedText, TextOffsets
from autocard.card.fill.written_text import ADDED, HIDDEN, PLACE, SECTION, name_for
from autocard.card.form import guidance
from autocard.card.form.asked_fact import AskedFact
from autocard.card.form.form import Form
from autocard.card.form.labels import Labels
from autocard.card.form.slot_reader import is_advice
from autocard.card.front import yaml_keys
from autocard.card.markdown import line_labels, slots
from autocard.card.markdown.document import Block, Document, Heading, Section
from autocard.card.markdown.edit import Edit
from autocard.card.markdown.writer import LIST_SEPARATOR

_COMMENT = re.compile(r"(?s)<!--.*?-->")
_LABEL_LENGTH = 200
"""Characters within which the label of a line ends."""


def hide(
    text: str, labels: Labels, remembered: Mapping[str, str], *, is_shipped: bool = False
) -> tuple[str, dict[str, str]]:
    """Return *text* with its empty slots hidden, and *remembered* with the comments in them.

    *is_shipped*: the form is a shipped one, so its guidance may be removed from slots that are
    filled.
    """
    hider = _Hider(text, labels, remembered, is_shipped=is_shipped)
    hider.run()
    edits = sorted(hider.edits, key=lambda edit: edit.key)
    after = proof.apply(text, edits)
    return after, dict(sorted(hider.written_in(after, edits).items()))


class _Hider:
    """Collects the edits that hide the empty slots of one card."""

    def __init__(
        self, text: str, labels: Labels, remembered: Mapping[str, str], *, is_shipped: bool
    ) -> None:
        self._document = Document(text)
        self._labels = labels
        self._is_shipped = is_shipped
        self.edits: list[Edit] = []
        self._texts: dict[str, str] = {}
        for name, chunk in remembered.items():
            if not name.startswith(PLACE):
                self._texts[name] = chunk
        form = Form(self._document, labels)
        self._written = _texts_of(self._document, labels, form, remembered)
        self._without_edit: list[tuple[str, str]] = []
        """Name and text of comments that are remembered and wait for their edit."""
        self._asked: dict[int, list[AskedFact]] = {}
        for asked in form.asked:
            self._asked.setdefault(asked.slot.section, []).append(asked)
        self._has_text = [self._shows_text(index) for index in range(len(self._document.sections))]

    def run(self) -> None:
        """Hide what is empty."""
        title = slots.title_section(self._document, self._labels)
        for index, section in enumerate(self._document.sections):
            heading = section.heading
            if heading is None:
                continue
            if index != title and not self._subtree_has_text(index):
                self._hide_section(index, section, heading)
            else:
                self._hide_lines(index)
                self._hide_body(index)
                self._remove_outdated(section)
                if self._is_shipped:
                    self._remove_guidance(index, section)
                else:
                    self._hide_advice(section)
        self._hide_keys()

    def written_in(self, after: str, edits: Sequence[Edit]) -> dict[str, str]:
        """Return what is ours in the card *after* the *edits*, with the places of all texts."""
        written = dict(self._texts)
        places = written_text.places(Document(after), self._labels)
        offsets = TextOffsets(edits, edits, self._document.newline)
        for found in offsets.offsets(self._written):
            if found.offset >= 0:
                name = found.text.name
                written[PLACE + name] = written_text.place_of(places, name, found.offset)
        return written

    def _hide_keys(self) -> None:
        """Comment out keys of the front matter without a value: the Hub accepts no nulls."""
        if self._document.front is None:
            return
        start, end = self._document.front
        for offset in yaml_keys.blank_lines(self._document.text[start:end]):
            self._edit(start + offset, start + offset, "# ")

    def _hide_advice(self, section: Section) -> None:
        """Put advice in italics, which is for the card's author, into comments."""
        for block in section.blocks:
            if block.kind == "comment":
                continue
            if guidance.is_guidance_block(self._document, self._labels, block):
                advice = guidance.inside_comment(self._text(block).strip("_*"))
                self._edit(block.start, block.end, f"<!-- {advice} -->")

    def _subtree_has_text(self, index: int) -> bool:
        """Return whether a section or one of its subsections shows a text."""
        # Framework versions stand below whichever section comes last; they are no part of it.
        apart = {part.body for part in self._labels.outline if part.level}
        for inner in subsections(self._document.sections, index):
            is_apart = any(asked.fact in apart for asked in self._asked.get(inner, []))
            if self._has_text[inner] and not is_apart:
                return True
        return self._has_text[index]

    def _shows_text(self, index: int) -> bool:
        """Return whether a section's own content shows a reader anything but empty slots."""
        own = self._asked.get(index, [])
        if any(asked.empty is None or asked.generated for asked in own):
            return True
        places = [_place_with_label(asked) for asked in own]
        for block in self._document.sections[index].blocks:
            inside = [place for place in places if _overlaps(block, place)]
            if not inside:
                if self._is_shown(block):
                    return True
            elif block.kind in ("list", "paragraph") and self._has_text_beside(block, inside):
                return True
        return False

    def _has_text_beside(self, block: Block, places: list[tuple[int, int]]) -> bool:
        """Return whether *block* has more than the slots at *places*: another item of a list."""
        text, position, left = self._document.text, block.start, []
        for start, end in sorted(places):
            left.append(text[position : max(position, start)])
            position = max(position, end)
        left.append(text[position : block.end])
        return any(ch.isalnum() for ch in _COMMENT.sub("", "".join(left)))

    def _is_shown(self, block: Block) -> bool:
        """Return whether a reader of the finished card sees *block*."""
        if block.kind in ("comment", "rule"):
            return False
        return block.kind != "paragraph" or not is_advice(self._text(block), self._labels)

    def _hide_section(self, index: int, section: Section, heading: Heading) -> None:
        """Put a heading whose whole subtree is empty, and what it asks for, into comments."""
        own = self._asked.get(index, [])
        bodies = [asked for asked in own if asked.slot.kind == "body"]
        lines = [asked for asked in own if asked.slot.kind in ("line", "cell")]
        fact = bodies[0].fact if bodies and not bodies[0].fallback else ""
        parts = [f"{'#' * heading.level} {heading.title}", self._guidance(section.blocks, fact)]
        chunk = "<!--\n" + "\n\n".join(part for part in parts if part) + "\n-->"
        chunks = [self._remember(fact or SECTION + heading.title, chunk)]
        chunks += [self._remember(asked.fact, self._line_chunk(asked)) for asked in lines]
        newline = self._document.newline
        heading_chunk, *line_chunks = (each.replace("\n", newline) for each in chunks)
        comments = (newline * 2).join([heading_chunk, newline.join(line_chunks)]).rstrip()
        is_last = section.end >= len(self._document.text)
        self._edit(heading.start, section.end, comments + newline * (1 if is_last else 2))

    def _hide_lines(self, index: int) -> None:
        """Put the empty labelled lines of a section that shows something into comments."""
        items = []
        for asked in self._asked.get(index, []):
            if asked.empty is None or asked.generated:
                continue
            slot = asked.slot
            if slot.kind == "cell":
                chunk = f"<!-- {self._guide(asked.fact)} -->"
                self._edit(slot.start, slot.end, self._remember(asked.fact, chunk))
            elif slot.kind == "line":
                start = self._document.offset(self._document.body_line(slot.at))
                end = self._document.line_end(self._document.body_line(slot.end))
                items.append(HiddenItem(start, end, asked.fact, self._line_chunk(asked)))
        moved: set[HiddenItem] = set()
        for move in list_comments.moves(self._document, items):
            moved.update(move.items)
            self._move(move)
        for item in items:
            if item not in moved:
                self._edit(item.start, item.end, self._remember(item.name, item.text))

    def _move(self, move: Move) -> None:
        """Remove the lines of a list that are hidden, and put their comments below it."""
        newline = self._document.newline
        for item in move.items:
            self._edit(item.start, min(item.end + len(newline), len(self._document.text)), "")
        chunks = [self._remember(item.name, item.text) for item in move.items]
        self._edit(move.place, move.place, newline.join(chunks) + newline)

    def _remove_guidance(self, index: int, section: Section) -> None:
        """Remove a shipped form's guidance about what is filled."""
        own = self._asked.get(index, [])
        if any(_is_open_body(each) for each in own):
            return
        hidden = [(edit.start, edit.end) for edit in self.edits]
        for block in section.blocks:
            is_hidden = any(start <= block.start < end for start, end in hidden)
            # `</details>` shows nothing, too.
            is_tag = block.kind == "comment" and not self._text(block).startswith("<!--")
            is_ours = self._is_ours(block) or self._text(block) == LIST_SEPARATOR
            if is_hidden or is_tag or is_ours:
                continue
            if guidance.is_guidance_block(self._document, self._labels, block):
                end = self._after_blank_lines(block.end, section.end)
                self._edit(block.start, end, "")
        for asked in own:
            self._remove_comment_behind(asked)

    def _is_ours(self, block: Block) -> bool:
        """Return whether *block* is a part of a text that autocard wrote."""
        return any(
            text.at <= block.start and block.end <= text.at + len(text.text)
            for text in self._written
            if text.edit is None
        )

    def _remove_comment_behind(self, asked: AskedFact) -> None:
        """Remove the guidance behind the value of a line that is filled."""
        if asked.slot.kind != "line" or asked.empty is not None:
            return
        end = self._document.line_end(self._document.body_line(asked.slot.end))
        rest = self._document.text[asked.slot.end : end]
        if rest.strip().startswith("<!--") and rest.strip().endswith("-->"):
            self._edit(asked.slot.end, end, "")

    def _hide_body(self, index: int) -> None:
        """Put guidance in the place of a placeholder below a heading that stays."""
        for asked in self._asked.get(index, []):
            is_placeholder = asked.empty is not None and not asked.blank and not asked.generated
            if asked.slot.kind == "body" and is_placeholder:
                chunk = f"<!-- {self._guide(asked.fact)} -->"
                self._edit(asked.slot.start, asked.slot.end, self._remember(asked.fact, chunk))

    def _remove_outdated(self, section: Section) -> None:
        """Remove a form's sentence about what one could do, where it has been done."""
        for block in section.blocks:
            is_outdated = self._text(block).startswith(tuple(self._labels.outdated))
            if block.kind == "paragraph" and is_outdated:
                end = self._after_blank_lines(block.end, section.end)
                self._edit(block.start, end, "")

    def _after_blank_lines(self, offset: int, limit: int) -> int:
        """Return where the first line with text after that of *offset* begins; *limit* at most."""
        document = self._document
        line = document.body_line(offset) + 1
        while line <= document.body_line(limit):
            if document.text[document.offset(line) : document.line_end(line)].strip():
                break
            line += 1
        return min(document.offset(line), limit)

    def _text(self, block: Block) -> str:
        return self._document.text[block.start : block.end]

    def _line_chunk(self, asked: AskedFact) -> str:
        """Return the comment that holds the place of a labelled line: `<!-- - **Hours:** … -->`."""
        text, slot = self._document.text, asked.slot
        marker = "-"
        if slot.kind == "line":
            marker = text[text.rfind("\n", 0, slot.at) + 1 : slot.at].strip()
        line = text[slot.at : slot.at + _LABEL_LENGTH]
        label = line[: line_labels.after_label(line)].strip()
        lead = f"{marker} {label}".strip() if label else f"- **{slot.label}:**"
        return f"<!-- {lead} {self._guide(asked.fact)} -->"

    def _guide(self, fact: str) -> str:
        """Return our guidance for *fact*."""
        kind = self._labels.kinds.get(fact)
        return guidance.inside_comment(kind.guide or "not known for this run") if kind else ""

    def _guidance(self, blocks: tuple[Block, ...], fact: str) -> str:
        """Return the form's own guidance for a section, or else ours."""
        if self._is_shipped and fact and self._guide(fact):
            return self._guide(fact)
        found = guidance.block_guidance(self._document, self._labels, blocks)
        return found or (self._guide(fact) if fact else "")

    def _remember(self, name: str, chunk: str) -> str:
        """Remember *chunk*, which the next edit adds, and return it."""
        numbered = name_for(HIDDEN + name, self._texts)
        self._texts[numbered] = chunk
        self._without_edit.append((numbered, chunk))
        return chunk

    def _edit(self, start: int, end: int, text: str) -> None:
        """Add the edit that puts *text* there, with the chunks remembered since the last one."""
        edit = Edit(start, end, text, len(self.edits))
        self.edits.append(edit)
        for name, chunk in self._without_edit:
            self._written.append(PlannedText(name, chunk, start, edit))
        self._without_edit.clear()


def _texts_of(
    document: Document, labels: Labels, form: Form, remembered: Mapping[str, str]
) -> list[PlannedText]:
    """Return the written texts and headings that stand in *document*."""
    places = written_text.places(document, labels)
    found = written_text.locate(document, form, places, remembered, {}, is_fact=lambda _: True)
    texts = [PlannedText(text.name, text.text, text.start) for text in found.ours]
    for number, name in found.added.items():
        heading = document.sections[number].heading
        if heading is not None:
            texts.append(PlannedText(ADDED + name, heading.title, heading.start))
    return texts


def _overlaps(block: Block, place: tuple[int, int]) -> bool:
    start, end = place
    return block.start <= end and start <= block.end


def _is_open_body(asked: AskedFact) -> bool:
    """Return whether the text of a heading waits for a person, or for another run."""
    is_empty = asked.empty is not None and not asked.generated
    return is_empty and asked.slot.kind == "body" and not asked.fallback


def _place_with_label(asked: AskedFact) -> tuple[int, int]:
    """Return start and end of a slot, its label included."""
    has_label = asked.slot.kind in ("line", "cell")
    return asked.slot.at if has_label else asked.slot.start, asked.slot.end
