"""What is ours in a card → brought up to date: same facts stay, new ones replace old ones, hidden places are shown.

One rule: only texts that were found exactly as we wrote them come here.
"""

from __future__ import annotations

from autocard.card.fill import written_text
from autocard.card.fill.fill_state import FillState
from autocard.card.fill.removal import UNKNOWN, Clearing
from autocard.card.fill.written_text import HIDDEN, SECTION, WrittenText
from autocard.card.form.asked_fact import AskedFact
from autocard.card.markdown.candidates import same
from autocard.card.markdown.line_labels import after_label
from autocard.card.markdown.slots import Slot
from autocard.card.report import State


class Refresh:
    """Brings what is ours up to date."""

    def __init__(self, work: FillState) -> None:
        """*work* takes the changes."""
        self.work = work
        self.clearing = Clearing(work)

    def slot(self, one: AskedFact) -> None:
        """Bring the value of a labelled line, a cell or the title up to date."""
        work = self.work
        new = work.text_for(one)
        work.placed.add(one.fact)
        if not new:
            self.clearing.slot(one)
        elif same(one.value, new):
            work.remember(one.fact, new, one.slot.start)
            work.report(one, "same")
        else:
            work.remember(one.fact, new, one.slot.start, work.change(work.put(one, new)))
            work.report(one, "refreshed")

    def block(self, mine: WrittenText) -> None:
        """Bring a text of ours between blank lines up to date; show a hidden one whose fact is known now."""
        work = self.work
        if mine.hidden:
            self._hidden(mine)
            return
        work.placed.add(mine.fact)
        if mine.slot is not None:
            self._value(mine, mine.slot)
            return
        shapes = [work.block(mine.fact), work.line(mine.fact)] if work.fact(mine.fact) else []
        current = work.text[mine.start : mine.end]
        fits = [shape for shape in shapes if same(current, shape)]
        if fits:
            work.remember(mine.fact, fits[0], mine.start)
            work.report_fact(mine.fact, "same", mine.start)
        elif shapes:
            new = shapes["\n" not in mine.text and self._was_line(mine)]
            work.remember(
                mine.fact,
                new,
                mine.start,
                work.change(work.writer.replaced_block(mine.start, mine.end, new)),
            )
            work.report_fact(mine.fact, "refreshed", mine.start)
        else:
            self.clearing.block(mine)

    def _value(self, mine: WrittenText, slot: Slot) -> None:
        """Bring the value of a line or cell up to date whose label only the user's own form knew."""
        work = self.work
        new = work.line(mine.fact, cell=slot.kind == "cell") or UNKNOWN
        if same(work.text[mine.start : mine.end], new):
            work.remember(mine.fact, new, mine.start)
            work.report_fact(mine.fact, "same", mine.start)
            return
        work.remember(
            mine.fact, new, mine.start, work.change(work.writer.inline(mine.start, mine.end, new))
        )
        work.report_fact(mine.fact, "cleared" if new == UNKNOWN else "refreshed", mine.start)

    def _was_line(self, mine: WrittenText) -> bool:
        """Return whether a one-line text of ours stands where a summary goes, below the heading of a parent."""
        section = self.work.document.section_at(mine.start)
        asked = [
            one.fallback
            for one in self.work.asked
            if one.slot.kind == "body" and one.slot.section == section and one.fact == mine.fact
        ]
        if asked:
            return asked[0] and mine.fact in self.work.firm
        texts = {
            text
            for name, text in self.work.remembered.items()
            if written_text.fact_of(name) == mine.fact
        }
        return len(texts) > 1 and max(texts, key=len) != mine.text

    def _hidden(self, mine: WrittenText) -> None:
        """Show a hidden place whose fact is known now; leave the others."""
        work = self.work
        if mine.fact.startswith(SECTION):
            if mine in self._shown_headings():
                inner = mine.text.removeprefix("<!--").lstrip()
                work.change(
                    work.writer.replace(mine.start, mine.end, inner.partition("\n")[0].rstrip())
                )
            else:
                work.remember(HIDDEN + mine.fact, mine.text, mine.start)
            return
        work.placed.add(mine.fact)
        state: State = "empty"
        if work.fact(mine.fact) is not None:
            chunk, value = self._shown(mine)
            work.remember(
                mine.fact,
                value,
                mine.start,
                work.change(work.writer.replace(mine.start, mine.end, chunk)),
            )
            state = "filled"
        else:
            work.remember(HIDDEN + mine.fact, mine.text, mine.start)
        work.report_fact(mine.fact, state, mine.start)

    def _shown_headings(self) -> list[WrittenText]:
        """Return the hidden headings below which something is shown now."""
        hidden = [one for one in self.work.found.ours if one.hidden]
        headings = [section.start for section in self.work.document.sections if section.heading]
        shown = []
        for number, one in enumerate(hidden):
            if one.fact.startswith(SECTION) or self.work.fact(one.fact) is None:
                continue
            level = _level(one.text)
            for above in reversed(hidden[:number]):
                if any(above.end <= start <= one.start for start in headings):
                    break
                if _level(above.text) < level:
                    level = _level(above.text)
                    shown.append(above)
        return shown

    def _shown(self, mine: WrittenText) -> tuple[str, str]:
        """Return a hidden chunk with its fact in it, and the fact's text."""
        inner = mine.text.removeprefix("<!--").removesuffix("-->").strip()
        if inner.startswith("#"):
            value = self.work.block(mine.fact)
            return inner.partition("\n")[0].rstrip() + "\n\n" + value, value
        label = after_label(inner)
        if label or not self._is_body(mine):
            value = self.work.line(mine.fact)
            return (inner[:label].rstrip() + " " + value if label else value), value
        value = self.work.block(mine.fact)
        return value, value

    def _is_body(self, mine: WrittenText) -> bool:
        """Return whether the hidden place stands on lines of its own, and not in a line or cell."""
        document = self.work.document
        line = document.body_line(mine.start)
        return (
            document.offset(line) == mine.start
            and document.line_end(document.body_line(mine.end)) == mine.end
        )


def _level(chunk: str) -> int:
    """Return the level of the heading in a hidden *chunk*; that of a line lies below them all."""
    inner = chunk.removeprefix("<!--").lstrip()
    return len(inner) - len(inner.lstrip("#")) or 7
