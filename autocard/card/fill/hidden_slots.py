"""A new card's empty slots → HTML comments with guidance, so that a published card is no wall of placeholders.

One rule: only the blank that autocard made itself is treated so; a form that a person brought as a
card keeps its placeholders. What is hidden is remembered, and shown again when its fact is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autocard.card.fill import proof, written_text
from autocard.card.fill.landing import Landing, Written
from autocard.card.fill.written_text import ADDED, HIDDEN, PLACE, SECTION, name_for
from autocard.card.form import form, guidance
from autocard.card.form.asked_fact import AskedFact
from autocard.card.form.labels import Labels
from autocard.card.form.slot_reader import is_advice
from autocard.card.front import yaml_keys
from autocard.card.markdown import line_labels, slots
from autocard.card.markdown.document import Block, Document, Section
from autocard.card.markdown.edit import Edit


def hide(text: str, labels: Labels, remembered: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return *text* with its empty slots hidden, and *remembered* with the comments that hold their places."""
    hider = _Hider(text, labels, remembered)
    hider.run()
    edits = sorted(hider.edits, key=lambda edit: edit.key)
    after = proof.apply(text, edits)
    return after, dict(sorted(hider.remembered_in(after, edits).items()))


class _Hider:
    def __init__(self, text: str, labels: Labels, remembered: Mapping[str, str]) -> None:
        self.document = Document(text)
        self.labels = labels
        self.memory = {
            name: chunk for name, chunk in remembered.items() if not name.startswith(PLACE)
        }
        self.edits: list[Edit] = []
        self.asked: dict[int, list[AskedFact]] = {}
        read = form.Form(self.document, labels)
        found = written_text.locate(
            self.document,
            read,
            written_text.places(self.document, labels),
            remembered,
            {},
            is_fact=lambda _: True,
        )
        self._written = [Written(one.name, one.text, one.start) for one in found.ours]
        for number, name in found.added.items():
            heading = self.document.sections[number].heading
            if heading is not None:
                self._written.append(Written(ADDED + name, heading.title, heading.start))
        self._unplaced: list[tuple[str, str]] = []
        for one in read.asked:
            self.asked.setdefault(one.slot.section, []).append(one)
        self.live = [self._is_live(index) for index in range(len(self.document.sections))]

    def run(self) -> None:
        title = slots.title_section(self.document, self.labels)
        for index, section in enumerate(self.document.sections):
            if section.heading is None:
                continue
            if index != title and not any(self._subtree(index)):
                self._hide_section(index, section)
            else:
                self._hide_lines(index)
                self._hide_body(index)
                self._drop_outdated(section)
                self._hide_advice(section)
        self._hide_keys()

    def remembered_in(self, after: str, edits: Sequence[Edit]) -> dict[str, str]:
        """Return what is remembered of the card *after* the *edits*, with the places of all texts."""
        slots = dict(self.memory)
        places = written_text.places(Document(after), self.labels)
        for offset, one in Landing(edits, edits, self.document.newline).offsets(self._written):
            if offset >= 0:
                slots[PLACE + one.name] = written_text.place_of(places, one.name, offset)
        return slots

    def _hide_keys(self) -> None:
        """Put keys of the front matter that have no value into comments: the Hub takes no nulls."""
        if self.document.front is None:
            return
        start, end = self.document.front
        for at in yaml_keys.blank_lines(self.document.text[start:end]):
            self._edit(start + at, start + at, "# ")

    def _hide_advice(self, section: Section) -> None:
        """Put advice in italics, which speaks to whoever writes the card, out of its readers' sight."""
        for block in section.blocks:
            if block.kind != "comment" and guidance.is_guidance_block(
                self.document, self.labels, block
            ):
                text = self.document.text[block.start : block.end]
                self._edit(
                    block.start, block.end, f"<!-- {guidance.inside_comment(text.strip('_*'))} -->"
                )

    def _subtree(self, index: int) -> list[bool]:
        section = self.document.sections[index]
        last = index
        while (
            last + 1 < len(self.document.sections)
            and self.document.sections[last + 1].start <= section.extent
        ):
            if self.document.sections[last + 1].level <= section.level:
                break
            last += 1
        # Framework versions stand below whichever section comes last; they are no part of it.
        apart = {part.body for part in self.labels.outline if part.level}
        return [
            self.live[one]
            for one in range(index, last + 1)
            if one == index or not any(ask.fact in apart for ask in self.asked.get(one, []))
        ]

    def _is_live(self, index: int) -> bool:
        """Return whether a section's own text says something to a reader."""
        section = self.document.sections[index]
        own = self.asked.get(index, [])
        if any(one.empty is None or one.empty.notation == "generated" for one in own):
            return True
        places = [
            (one.slot.at if one.slot.kind in ("line", "cell") else one.slot.start, one.slot.end)
            for one in own
        ]
        for block in section.blocks:
            if block.kind in ("comment", "rule"):
                continue
            text = self.document.text[block.start : block.end]
            if block.kind == "paragraph" and is_advice(text, self.labels):
                continue
            if any(block.start <= end and start <= block.end for start, end in places):
                continue
            return True
        return False

    def _hide_section(self, index: int, section: Section) -> None:
        """Put a heading whose whole subtree is empty, and what it asks for, into comments."""
        heading = section.heading
        assert heading is not None  # noqa: S101 - the caller has looked
        own = [one for one in self.asked.get(index, []) if one.slot.kind == "body"]
        lines = [one for one in self.asked.get(index, []) if one.slot.kind in ("line", "cell")]
        fact = own[0].fact if own and not own[0].fallback else ""
        name = fact or SECTION + heading.title
        mark = "#" * heading.level
        parts = [f"{mark} {heading.title}", self._guidance(section.blocks, fact)]
        chunk = "<!--\n" + "\n\n".join(part for part in parts if part) + "\n-->"
        chunks = [self._remember(name, chunk)]
        chunks += [self._remember(one.fact, self._line_chunk(one)) for one in lines]
        newline = self.document.newline
        body = (newline * 2).join(part.replace("\n", newline) for part in chunks)
        end = section.end
        tail = newline * 2 if end < len(self.document.text) else newline
        self._edit(heading.start, end, body + tail)

    def _hide_lines(self, index: int) -> None:
        """Put the empty labelled lines of a section that says something into comments."""
        for one in self.asked.get(index, []):
            if one.empty is None or one.empty.notation == "generated":
                continue
            if one.slot.kind == "cell":
                chunk = f"<!-- {self._guide(one.fact)} -->"
                self._edit(one.slot.start, one.slot.end, self._remember(one.fact, chunk))
            elif one.slot.kind == "line":
                line = self.document.body_line(one.slot.at)
                last = self.document.body_line(one.slot.end)
                chunk = self._remember(one.fact, self._line_chunk(one))
                self._edit(self.document.offset(line), self.document.line_end(last), chunk)

    def _hide_body(self, index: int) -> None:
        """Put guidance in the place of a placeholder below a heading that stays because of its subsections."""
        for one in self.asked.get(index, []):
            if (
                one.slot.kind != "body"
                or one.empty is None
                or one.empty.notation in ("blank", "generated")
            ):
                continue
            chunk = self._remember(one.fact, f"<!-- {self._guide(one.fact)} -->")
            self._edit(one.slot.start, one.slot.end, chunk)

    def _drop_outdated(self, section: Section) -> None:
        """Take out a form's sentence about what one could do, where it has been done."""
        for block in section.blocks:
            text = self.document.text[block.start : block.end]
            if block.kind == "paragraph" and text.startswith(tuple(self.labels.outdated)):
                following = self.document.body_line(block.end) + 1
                while (
                    following <= self.document.body_line(section.end)
                    and not self._line(following).strip()
                ):
                    following += 1
                self._edit(block.start, min(self.document.offset(following), section.end), "")

    def _line(self, number: int) -> str:
        return self.document.text[self.document.offset(number) : self.document.line_end(number)]

    def _line_chunk(self, one: AskedFact) -> str:
        text = self.document.text
        start = text.rfind("\n", 0, one.slot.at) + 1
        marker = text[start : one.slot.at].strip() if one.slot.kind == "line" else "-"
        label = text[
            one.slot.at : one.slot.at
            + line_labels.after_label(text[one.slot.at : one.slot.at + 200])
        ].strip()
        lead = f"{marker} {label}".strip() if label else f"- **{one.slot.label}:**"
        return f"<!-- {lead} {self._guide(one.fact)} -->"

    def _guide(self, fact: str) -> str:
        kind = self.labels.kinds.get(fact)
        return guidance.inside_comment(kind.guide or "not known for this run") if kind else ""

    def _guidance(self, blocks: tuple[Block, ...], fact: str) -> str:
        """Return the form's own guidance for a section, else ours."""
        return guidance.block_guidance(self.document, self.labels, blocks) or (
            self._guide(fact) if fact else ""
        )

    def _remember(self, name: str, chunk: str) -> str:
        numbered = name_for(HIDDEN + name, self.memory)
        self.memory[numbered] = chunk
        self._unplaced.append((numbered, chunk))
        return chunk

    def _edit(self, start: int, end: int, text: str) -> None:
        """Put *text* there, with the chunks in it that were remembered since the last edit."""
        edit = Edit(start, end, text, len(self.edits))
        self.edits.append(edit)
        self._written += [Written(name, chunk, start, edit) for name, chunk in self._unplaced]
        self._unplaced.clear()
