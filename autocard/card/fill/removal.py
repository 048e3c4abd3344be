"""Texts of ours whose fact this run does not have → out of the card, without leaving bare labels or empty headings.

One rule: what we added goes as a whole; a place that the form has keeps its label, and says that
this is not known; in a card of ours that hides what nobody has filled, it is hidden like the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

from autocard.card.fact import plain
from autocard.card.fill.fill_state import FillState
from autocard.card.fill.written_text import HIDDEN, SECTION, WrittenText
from autocard.card.form.asked_fact import AskedFact
from autocard.card.markdown.document import Document, Section
from autocard.card.markdown.edit import Edit
from autocard.card.markdown.line_labels import after_label
from autocard.card.markdown.slots import Slot

UNKNOWN = "not known for this run"
"""What stands in a form's own slot where an earlier run's figure was."""


class Clearing:
    """Takes out what is ours and no longer known."""

    def __init__(self, work: FillState) -> None:
        """*work* takes the changes."""
        self.work = work
        self._hidden: set[int] = set()
        """Numbers of the sections whose headings are hidden now with what was below them."""

    def slot(self, one: AskedFact) -> None:
        """Take our value out of a labelled line, a cell or the title."""
        work, slot = self.work, one.slot
        whole = _whole_line(work.document, slot)
        if slot.kind == "title":
            # A card has a title; this one says what it did.
            work.remember(one.fact, one.value, slot.start)
            work.report(one, "same")
        elif slot.section in work.found.added and whole is not None:
            work.removals.append(whole)
            work.report(one, "cleared")
        elif slot.kind in ("line", "cell") and work.hides:
            if whole is None:
                self._put(
                    one,
                    f"<!-- {_title(work, one.fact)}: {UNKNOWN} -->",
                    slot.start,
                    slot.end,
                    hidden=True,
                )
            else:
                start, end = work.document.offset(work.document.body_line(slot.at)), slot.end
                line = work.text[start : slot.start].strip()
                lead = line[: after_label(line) or len(line)].rstrip()
                self._put(one, f"<!-- {lead} {UNKNOWN} -->", start, end, hidden=True)
        else:
            self._put(one, UNKNOWN, slot.start, slot.end, hidden=False)

    def block(self, mine: WrittenText) -> None:
        """Take a text of ours between blank lines out."""
        work = self.work
        number = work.document.section_at(mine.start)
        if number in work.found.added:
            work.removals.append(_lines_around(work.document, mine.start, mine.end))
            work.report_fact(mine.fact, "cleared", mine.start)
            return
        if work.hides:
            chunk = f"<!-- {_title(work, mine.fact)}: {UNKNOWN} -->"
            start, name = mine.start, HIDDEN + mine.fact
            section = work.document.sections[number]
            if (
                section.heading
                and section.extent == section.end
                and _is_all(work.text, section, mine)
            ):
                mark = "#" * section.heading.level
                chunk = f"<!--\n{mark} {section.heading.title}\n\n{UNKNOWN}\n-->"
                start = section.heading.start
                self._hidden.add(number)
        else:
            chunk, start, name = UNKNOWN, mine.start, mine.fact
        same = work.text[start : mine.end].replace("\r\n", "\n") == chunk
        edit = None if same else work.change(work.writer.replace(start, mine.end, chunk))
        work.remember(name, chunk, start, edit)
        work.report_fact(mine.fact, "empty" if same else "cleared", mine.start)

    def false(self, one: AskedFact) -> None:
        """Take out a tool's text that says something of what it did not know."""
        self._put(
            one,
            f"<!-- {_title(self.work, one.fact)}: {UNKNOWN} -->",
            one.slot.start,
            one.slot.end,
            hidden=True,
        )

    def _put(self, one: AskedFact, chunk: str, start: int, end: int, *, hidden: bool) -> None:
        work = self.work
        same = work.text[start:end] == chunk
        edit = None if same else work.change(work.writer.replace(start, end, chunk))
        work.remember(HIDDEN + one.fact if hidden else one.fact, chunk, start, edit)
        work.report(one, "empty" if same else "cleared")

    def _hide_parents(self) -> None:
        """Hide the headings below which nothing is shown any more, because all of their subsections are hidden."""
        work, sections = self.work, self.work.document.sections
        written = [edit.start for edit in work.edits]
        for number in range(len(sections) - 1, -1, -1):
            section = sections[number]
            below = subsections(sections, number)
            if section.heading is None or not below or not self._hidden.issuperset(below):
                continue
            own = [
                block for block in section.blocks if not work.text.startswith("<!--", block.start)
            ]
            filled = any(section.start <= at < section.end for at in written)
            keeps = number in work.found.added or number in work.parents or section.level == 1
            if own or filled or keeps or "--" in section.heading.title:
                continue
            self._hidden.add(number)
            chunk = f"<!--\n{'#' * section.level} {section.heading.title}\n-->"
            start = section.heading.start
            end = start + len(work.text[start : section.heading.end].rstrip("\r\n"))
            edit = work.change(work.writer.replace(start, end, chunk))
            work.remember(HIDDEN + SECTION + section.heading.title, chunk, start, edit)

    def finish(self) -> set[int]:
        """Turn what goes as a whole into edits; return the numbers of the sections whose headings go with it."""
        work = self.work
        self._hide_parents()
        taken = sorted(edit.start for edit in work.edits)
        removals = _together(work.text, work.removals, taken)
        bare = _bare_sections(work, removals)
        headings = [
            (work.document.sections[number].heading, work.document.sections[number].end)
            for number in bare
        ]
        places = [*removals, *((heading.start, end) for heading, end in headings if heading)]
        for start, end in _together(work.text, places, taken):
            work.edits.append(
                Edit(*_with_gap(work.text, start, end, work.document.body, taken), "")
            )
        return bare


def _title(work: FillState, fact: str) -> str:
    return plain(work.labels.title(fact)).replace("--", "")


def _whole_line(document: Document, slot: Slot) -> tuple[int, int] | None:
    """Return the lines of a labelled *slot*, the last newline included, if nothing else stands on them."""
    if slot.kind != "line":
        return None
    start = document.offset(document.body_line(slot.at))
    last = document.body_line(slot.end)
    before = document.text[start : slot.at].strip()
    after = document.text[slot.end : document.line_end(last)].strip().lower()
    if before.strip("-*+") or after not in ("", "<br>", "<br/>", "<br />"):
        return None
    return start, document.offset(last + 1)


def _lines_around(document: Document, start: int, end: int) -> tuple[int, int]:
    return document.offset(document.body_line(start)), document.offset(document.body_line(end) + 1)


def _is_all(text: str, section: Section, mine: WrittenText) -> bool:
    """Return whether a text of ours is all that *section* shows."""
    first, *others = section.blocks
    shown = [block for block in others if not text.startswith("<!--", block.start)]
    return mine.start <= first.start and all(block.end <= mine.end for block in shown)


def _together(text: str, places: list[tuple[int, int]], taken: list[int]) -> list[tuple[int, int]]:
    """Return *places* in order, those joined that have nothing between them and nothing put there (*taken*)."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(places):
        last = joined[-1] if joined else None
        blank = last is not None and not text[last[1] : start].strip()
        if (
            last is not None
            and blank
            and (start <= last[1] or not any(last[1] <= at <= start for at in taken))
        ):
            joined[-1] = (last[0], max(end, last[1]))
        else:
            joined.append((start, end))
    return joined


def _bare_sections(work: FillState, removals: list[tuple[int, int]]) -> set[int]:
    """Return the numbers of sections that we added and that nothing is left in."""
    sections = work.document.sections
    bare: set[int] = set()
    for number in sorted(work.found.added, reverse=True):
        section = sections[number]
        below = subsections(sections, number)
        gone = all(
            any(a <= block.start and block.end <= b for a, b in removals)
            for block in section.blocks
        )
        if gone and number not in work.parents and all(inner in bare for inner in below):
            bare.add(number)
    return bare


def subsections(sections: Sequence[Section], number: int) -> list[int]:
    """Return the numbers of the sections below the section *number*, of all levels."""
    section, below = sections[number], []
    for inner in range(number + 1, len(sections)):
        if sections[inner].start > section.extent or sections[inner].level <= section.level:
            break
        below.append(inner)
    return below


def _with_gap(text: str, start: int, end: int, body: int, taken: list[int]) -> tuple[int, int]:
    """Return the place with the blank lines that would stand twice without it, unless something is put among them."""
    first, last = start, end
    while last > first and not text[text.rfind("\n", 0, last - 1) + 1 : last].strip():
        last = text.rfind("\n", 0, last - 1) + 1
    if start <= body or text[max(body, start - 4) : start].replace("\r", "").endswith("\n\n"):
        while last < len(text):
            line = text.find("\n", last)
            line = len(text) if line < 0 else line + 1
            if text[last:line].strip():
                break
            last = line
    if not text[last:].strip():
        last = len(text)
        while first - 1 > body and text[first - 1] == "\n" and text[first - 2] in "\r\n":
            first -= 2 if text[first - 2 : first] == "\r\n" else 1
    return (start, end) if any(first < at < last for at in taken) else (first, last)
