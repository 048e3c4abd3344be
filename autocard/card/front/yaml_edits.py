"""Edits of a YAML text: values replaced, list items added or removed, keys appended or removed.

One rule: an edit touches the place of one key and nothing else. Comments, quotes and the lines
between keys stay.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import yaml

from autocard.card.front import yaml_text
from autocard.card.front.yaml_keys import Blank, Key
from autocard.errors import CardError

_ITEM_ON_NEXT_LINE = re.compile(r"\n( *)-\s")
"""The first item of a list that stands on the lines below its anchor: `tags: &mine⏎  - a`."""


@dataclass(frozen=True, order=True)
class YamlEdit:
    """One change of the YAML text.

    Attributes:
        start: offset of the first character that is replaced.
        end: offset after the last one.
        text: the new text.
    """

    start: int
    end: int
    text: str


class YamlEditor:
    """Collects the edits of one YAML text.

    Attributes:
        edits: the edits so far.
    """

    def __init__(self, text: str, newline: str) -> None:
        """*newline*: the line ending of the card."""
        self._text = text
        self._newline = newline
        self.edits: list[YamlEdit] = []

    def current(self, key: Key) -> str:
        """Return the text of a key's value."""
        return self._text[key.at : key.end]

    def blank_text(self, blank: Blank) -> str:
        """Return the placeholder that stands for all keys."""
        return self._text[blank.start : blank.end]

    def insert_line(self, key: Key, line: str) -> None:
        """Put *line* above a key."""
        self._edit(key.start, key.start, line + self._newline)

    def after_colon(self, key: Key) -> str:
        """Return what stands between a key's colon and the end of its value."""
        return self._text[key.colon + 1 : max(key.end, key.colon + 1)]

    def restore_value(self, key: Key, text: str) -> None:
        """Put *text*, of `after_colon`, in the place of a key's value."""
        line_end = self._line_end(key.colon)
        if not text and self._text[key.colon + 1 : line_end].lstrip().startswith("#"):
            # `key:  # a comment` above a block: the comment stood there before.
            self._edit(line_end, max(key.end, line_end), "")
            return
        self._edit(key.colon + 1, max(key.end, key.colon + 1), text)

    def append_keys(self, lines: Sequence[str], blank: Blank) -> None:
        """Put new keys at the end, or in the place of the placeholder that stands for all keys."""
        block = self._newline.join(lines)
        if blank.span:
            self._edit(blank.start, blank.end, block)
            return
        lead = "" if not self._text or self._text.endswith("\n") else self._newline
        self._edit(len(self._text), len(self._text), lead + block + self._newline)

    def replace_value(self, key: Key, entry: Sequence[str]) -> None:
        """Replace a key's value by that of *entry*: the lines of `key: value`, or of a block."""
        if len(entry) == 1:
            self._replace_by_scalar(key, entry[0].partition(":")[2])
        else:
            self._replace_by_block(key, self._newline + self._newline.join(entry[1:]))

    def _replace_by_scalar(self, key: Key, value: str) -> None:
        """*value* begins with the blank that follows the colon."""
        if key.at >= key.end:
            self._edit(key.colon + 1, key.colon + 1, value)
        elif self._starts_below(key):
            self._edit(key.colon + 1, key.end, value)
        else:
            self._edit(key.at, key.end, value.lstrip())

    def _replace_by_block(self, key: Key, block: str) -> None:
        if key.at >= key.end:
            # `key:  # a comment`: the comment stays on the key's line.
            line_end = self._line_end(key.colon)
            self._edit(line_end, line_end, block)
        elif self._starts_below(key):
            self._edit(self._line_end(key.colon), key.end, block)
        else:
            self._edit(key.colon + 1, key.end, block)

    def remove_key(self, key: Key) -> bool:
        """Remove a key with its value; return False if something else stands on its last line."""
        newline = self._text.find("\n", key.end)
        after = len(self._text) if newline < 0 else newline + 1
        if self._text[key.end : after].strip():
            return False
        line_end = self._line_end(key.colon)
        if self._text[key.colon + 1 : line_end].lstrip().startswith("#"):
            # `key:  # a comment` above a block: the comment stays, and so does the key.
            self._edit(line_end, key.end, "")
        else:
            self._edit(key.start, after, "")
        return True

    def append_items(self, key: Key, values: Sequence[object]) -> bool:
        """Add *values* behind those of a list; return False where the value can be no list."""
        items = [yaml_text.scalar(value) for value in values]
        node = key.value
        if isinstance(node, yaml.SequenceNode) and not node.flow_style:
            self._append_lines(key, node, items)
        elif isinstance(node, yaml.SequenceNode):
            self._append_in_brackets(key, node, items)
        elif isinstance(node, yaml.ScalarNode) and node.style not in ("|", ">"):
            # `tags: one` becomes `tags: [one, two]`.
            self._edit(key.at, key.end, f"[{self.current(key)}, {', '.join(items)}]")
        else:
            return False
        return True

    def _append_lines(self, key: Key, node: yaml.SequenceNode, items: Sequence[str]) -> None:
        column = node.start_mark.column
        first_item = _ITEM_ON_NEXT_LINE.search(self._text, key.at)
        if first_item and self._text[key.at] != "-":
            column = len(first_item[1])
        lead = self._newline + " " * column + "- "
        # A comment on the last line is about its item, so the new ones come behind it.
        line_end = self._line_end(key.end)
        self._edit(line_end, line_end, "".join(lead + item for item in items))

    def _append_in_brackets(self, key: Key, node: yaml.SequenceNode, items: Sequence[str]) -> None:
        bracket = key.end - 1
        if node.value and not self._text[:bracket].rstrip().endswith(","):
            last = node.value[-1].end_mark.index
            self._edit(last, last, ", " + ", ".join(items))
        else:
            self._edit(bracket, bracket, ", ".join(items))

    def remove_items(self, key: Key, values: Collection[object], *, keep_last: bool) -> bool:
        """Remove the lines of the items *values* of a list; return False where that is impossible.

        *keep_last*: something is added behind the last item, which then has to stay.
        """
        node = key.value
        if key.alias or not isinstance(node, yaml.SequenceNode):
            return False
        if node.flow_style:
            return self._remove_in_brackets(key, node, values)
        lines = []
        for item, value in zip(node.value, key.data, strict=True):
            if value not in values:
                continue
            start = self._text.rfind("\n", 0, item.start_mark.index) + 1
            end = self._text.find("\n", item.start_mark.index) + 1
            line = self._text[start:end].strip()
            if not line.startswith("- ") or "#" in line:
                return False
            if keep_last and item is node.value[-1]:
                return False
            lines.append((start, end))
        for start, end in lines:
            self._edit(start, end, "")
        return True

    def _remove_in_brackets(
        self, key: Key, node: yaml.SequenceNode, values: Collection[object]
    ) -> bool:
        """Remove the items *values* at the end of a list; return False where that is impossible."""
        kept = [value for value in key.data if value not in values]
        if not kept or key.data[: len(kept)] != kept or "#" in self.current(key):
            return False
        first, last = node.value[len(kept) - 1], node.value[-1]
        self._edit(first.end_mark.index, last.end_mark.index, "")
        return True

    def _edit(self, start: int, end: int, text: str) -> None:
        self.edits.append(YamlEdit(start, end, text))

    def _starts_below(self, key: Key) -> bool:
        """Return whether a key's value begins on a line below the key."""
        return "\n" in self._text[key.colon : key.at]

    def _line_end(self, offset: int) -> int:
        newline = self._text.find("\n", offset)
        end = len(self._text) if newline < 0 else newline
        return end - 1 if self._text[end - 1 : end] == "\r" else end


def apply(text: str, edits: Sequence[YamlEdit]) -> str:
    """Return *text* after *edits*, which are in order.

    Raises:
        CardError: two of them overlap.
    """
    pieces = []
    position = 0
    for edit in edits:
        if edit.start < position:
            msg = "two changes of the front matter overlap"
            raise CardError(msg)
        pieces += [text[position : edit.start], edit.text]
        position = edit.end
    return "".join([*pieces, text[position:]])
