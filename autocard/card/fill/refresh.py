"""Our texts in a card, brought up to date: equal facts stay, new ones replace old ones.

One rule: only texts that were found exactly as we wrote them come here. Hidden places are shown
when their fact is there.
"""

from __future__ import annotations

from dataclasses import dataclass

from autocard.card.fill import list_comments, written_text
from autocard.card.fill.fill_state import FillState
from autocard.card.fill.list_comments import HiddenItem, Move
from autocard.card.fill.removal import UNKNOWN, Removal
from autocard.card.fill.written_text import HIDDEN, SECTION, WrittenText
from autocard.card.form.asked_fact import AskedFact
from autocard.card.markdown.line_labels import after_label
from autocard.card.markdown.occurrences import same
from autocard.card.markdown.slots import Slot
from autocard.card.report import State

_BELOW_ALL_HEADINGS = 7


@dataclass(frozen=True)
class _ShownPlace:
    """A hidden place with its fact: the text that replaces the comment, and the fact's in it."""

    chunk: str
    value: str


class Refresh:
    """Brings our texts up to date."""

    def __init__(self, state: FillState) -> None:
        """*state* takes the changes."""
        self._state = state
        self.removal = Removal(state)
        self._moved: set[int] = set()
        """Offsets of the comments that go below their list."""

    def slot(self, asked: AskedFact) -> None:
        """Bring the value of a labelled line, a cell or the title up to date."""
        state = self._state
        new = state.text_for(asked)
        state.placed.add(asked.fact)
        line_start = state.document.offset(state.document.body_line(asked.slot.at))
        if not new and line_start in self._moved:
            state.report(asked, "cleared")
        elif not new:
            self.removal.slot(asked)
        elif same(asked.value, new):
            state.remember(asked.fact, new, asked.slot.start)
            state.report(asked, "same")
        else:
            edit = state.add_edit(state.slot_edit(asked, new))
            state.remember(asked.fact, new, asked.slot.start, edit)
            state.report(asked, "refreshed")

    def block(self, text: WrittenText) -> None:
        """Bring a written text between blank lines up to date, or show a hidden place."""
        state = self._state
        if text.hidden:
            self._hidden(text)
            return
        state.placed.add(text.fact)
        if text.slot is not None:
            self._value(text, text.slot)
        elif state.fact(text.fact) is None:
            self.removal.block(text)
        else:
            self._visible_block(text)

    def _visible_block(self, text: WrittenText) -> None:
        """Refresh a block whose fact is there; both of its shapes may stand as one."""
        state = self._state
        block, line = state.block(text.fact), state.line(text.fact)
        current = state.text[text.start : text.end]
        for shape in (block, line):
            if same(current, shape):
                state.remember(text.fact, shape, text.start)
                state.report_fact(text.fact, "same", text.start)
                return
        is_line = "\n" not in text.text and self._was_line(text)
        new = line if is_line else block
        edit = state.add_edit(state.writer.replaced_block(text.start, text.end, new))
        state.remember(text.fact, new, text.start, edit)
        state.report_fact(text.fact, "refreshed", text.start)

    def _value(self, text: WrittenText, slot: Slot) -> None:
        """Refresh the value of a line or cell whose label only the user's own form had."""
        state = self._state
        new = state.line(text.fact, cell=slot.kind == "cell") or UNKNOWN
        if same(state.text[text.start : text.end], new):
            state.remember(text.fact, new, text.start)
            state.report_fact(text.fact, "same", text.start)
            return
        edit = state.add_edit(state.writer.inline(text.start, text.end, new))
        state.remember(text.fact, new, text.start, edit)
        state.report_fact(text.fact, "cleared" if new == UNKNOWN else "refreshed", text.start)

    def _was_line(self, text: WrittenText) -> bool:
        """Return whether a one-line written text is the summary below the heading of a parent."""
        state = self._state
        section = state.document.section_at(text.start)
        for asked in state.asked:
            slot = asked.slot
            if slot.kind == "body" and slot.section == section and asked.fact == text.fact:
                return asked.fallback and text.fact in state.primary
        texts = set()
        for name, remembered in state.remembered.items():
            if written_text.fact_of(name) == text.fact:
                texts.add(remembered)
        return len(texts) > 1 and max(texts, key=len) != text.text

    def _hidden(self, text: WrittenText) -> None:
        """Show a hidden place whose fact is there; leave the others."""
        state = self._state
        if text.fact.startswith(SECTION):
            self._hidden_heading(text)
            return
        state.placed.add(text.fact)
        outcome: State = "empty"
        if state.fact(text.fact) is None:
            if text.start not in self._moved:
                state.remember(HIDDEN + text.fact, text.text, text.start)
        else:
            shown = self._shown(text)
            edit = state.writer.replace(text.start, text.end, shown.chunk)
            if shown.chunk == shown.value and self._is_body(text):
                # A list stays apart from the one above it.
                edit = state.writer.replaced_block(text.start, text.end, shown.chunk)
            state.add_edit(edit)
            state.remember(text.fact, shown.value, text.start, edit)
            outcome = "filled"
        state.report_fact(text.fact, outcome, text.start)

    def hidden_items(self) -> None:
        """Put hidden items of lists below the visible ones; it comes before all else."""
        state = self._state
        items, shown = [], []
        for text in state.found.ours:
            if not text.hidden or not after_label(_without_opening(text.text)):
                continue
            if state.fact(text.fact) is None:
                items.append(HiddenItem(text.start, text.end, text.fact, text.text))
            else:
                shown.append(text.start)
        items += self._lines_to_hide()
        items.sort(key=lambda item: item.start)
        for move in list_comments.moves(state.document, items, shown):
            self._moved.update(item.start for item in move.items)
            self._move(move)

    def _lines_to_hide(self) -> list[HiddenItem]:
        """Return the lines that we wrote for facts that this run does not have."""
        state = self._state
        ours = {(text.start, text.end) for text in state.found.ours if text.asked}
        found = []
        for asked in state.asked:
            is_ours = (asked.slot.start, asked.slot.end) in ours
            is_ours = is_ours and not state.stood_before(asked.slot.start, asked.slot.end)
            if is_ours and not state.text_for(asked):
                item = self.removal.hidden_item(asked)
                found += [item] if item else []
        return found

    def _move(self, move: Move) -> None:
        state, newline = self._state, self._state.document.newline
        for item in move.items:
            state.add_edit(state.writer.replace(item.start, item.end + len(newline), ""))
        lines = newline.join(item.text for item in move.items)
        is_at_end = not state.text[: move.place].endswith("\n")
        chunk = newline + lines if is_at_end else lines + newline
        edit = state.add_edit(state.writer.replace(move.place, move.place, chunk))
        for item in move.items:
            state.remember(HIDDEN + item.name, item.text, move.place, edit)

    def _hidden_heading(self, text: WrittenText) -> None:
        """Show a hidden heading if something below it is shown."""
        state = self._state
        if text in self._shown_headings():
            heading = _without_opening(text.text).partition("\n")[0].rstrip()
            state.add_edit(state.writer.replace(text.start, text.end, heading))
        else:
            state.remember(HIDDEN + text.fact, text.text, text.start)

    def _shown_headings(self) -> list[WrittenText]:
        """Return the hidden headings below which something is shown now."""
        state = self._state
        hidden = [text for text in state.found.ours if text.hidden]
        shown = []
        for number, text in enumerate(hidden):
            if not text.fact.startswith(SECTION) and state.fact(text.fact) is not None:
                shown += self._headings_above(text, hidden[:number])
        return shown

    def _headings_above(self, text: WrittenText, before: list[WrittenText]) -> list[WrittenText]:
        """Return the hidden headings among *before* that *text* stands below."""
        visible = [section.start for section in self._state.document.sections if section.heading]
        level = _level(text.text)
        found = []
        for above in reversed(before):
            if any(above.end <= start <= text.start for start in visible):
                break
            if _level(above.text) < level:
                level = _level(above.text)
                found.append(above)
        return found

    def _shown(self, text: WrittenText) -> _ShownPlace:
        """Return a hidden place with its fact in it."""
        state = self._state
        inner = _without_opening(text.text).removesuffix("-->").strip()
        if inner.startswith("#"):
            value = state.block(text.fact)
            heading = inner.partition("\n")[0].rstrip()
            return _ShownPlace(f"{heading}\n\n{value}", value)
        label_end = after_label(inner)
        if label_end:
            value = state.line(text.fact)
            return _ShownPlace(f"{inner[:label_end].rstrip()} {value}", value)
        value = state.block(text.fact) if self._is_body(text) else state.line(text.fact)
        return _ShownPlace(value, value)

    def _is_body(self, text: WrittenText) -> bool:
        """Return whether the hidden place stands on lines of its own, and not in a line or cell."""
        document = self._state.document
        first, last = document.body_line(text.start), document.body_line(text.end)
        return document.offset(first) == text.start and document.line_end(last) == text.end


def _without_opening(chunk: str) -> str:
    return chunk.removeprefix("<!--").lstrip()


def _level(chunk: str) -> int:
    """Return the level of the heading in a hidden *chunk*; that of a line lies below them all."""
    inner = _without_opening(chunk)
    return len(inner) - len(inner.lstrip("#")) or _BELOW_ALL_HEADINGS
