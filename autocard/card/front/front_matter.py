"""The YAML at the top of a card, patched key by key: comments, quotes, order, `no`, `1.10` and unknown keys stay.

One rule: only the places of the keys that are written change. What YAML loads is looked at, never
printed back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from autocard.card.fill.written_text import YAML
from autocard.card.front import yaml_text
from autocard.card.front.yaml_keys import (
    MERGED,
    UNREADABLE,
    Key,
    is_blank,
    is_generated,
    is_withheld,
    merged,
    read_keys,
)
from autocard.card.report import State
from autocard.errors import CardError

BY_OTHERS = " (by others)"
"""What the name of a key has behind it in the memory, for those of its list's items that stood
there before ours."""
_FIRST_ITEM = re.compile(r"\n( *)-\s")
"""Where the items of `tags: &mine` stand: on the lines below."""


@dataclass
class Patched:
    """The front matter after the patch.

    Attributes:
        yaml: its new text, between the `---` lines.
        written: key → the value that is ours now.
        states: key → filled, refreshed, kept, removed, same or cleared.
        edits: (start, end, new text) in the old YAML.
        theirs: key that was kept → what it loads to.
        merged: key of a list that others write too → what it must load to.
    """

    yaml: str
    written: dict[str, Any] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    edits: list[tuple[int, int, str]] = field(default_factory=list)
    theirs: dict[str, Any] = field(default_factory=dict)
    merged: dict[str, list[Any]] = field(default_factory=dict)


def patch(
    text: str,
    values: Mapping[str, Any],
    remembered: Mapping[str, str],
    pending: Mapping[str, str] | None = None,
    *,
    overwrite: Collection[str] = (),
    newline: str = "\n",
    rote: Mapping[str, Any] | None = None,
    withheld: Collection[str] = (),
    untrue: Collection[str] = (),
) -> Patched:
    """Return *text*, the YAML between the `---` lines, with *values* in it as far as they may be written.

    Args:
        text: ends with a newline unless it is empty.
        values: key → value; None and what is not finite is left out.
        remembered: what `Patched.written` held last time, as JSON, under "yaml:" and the key.
        pending: the same of a fill that was cut off.
        overwrite: keys that are written whoever set them.
        newline: the card's line ending.
        rote: keys that a tool has just written, whatever it knew, and what it writes there.
        withheld: names of bases that no card may show, whoever wrote them there.
        untrue: tags that no longer hold, and go where they are ours.

    Raises:
        CardError: it is not a YAML mapping, or what would come out is not sure. Nothing was
            written.
    """
    patcher = _Patcher(
        text,
        remembered,
        pending or {},
        overwrite,
        newline,
        rote=rote or {},
        withheld=withheld,
        untrue=untrue,
    )
    patcher.run(
        {
            key: cleaned
            for key, value in values.items()
            if (cleaned := yaml_text.clean(value)) is not None
        }
    )
    patcher.patched.yaml = _apply(text, patcher.patched.edits)
    _prove(text, patcher.patched)
    return patcher.patched


def _as_list(data: Any) -> list[Any]:
    """Return the values of a key that may hold a list, one value alone or nothing."""
    if data is None:
        return []
    return data if isinstance(data, list) else [data]


def _recall(remembered: Mapping[str, str], key: str) -> Any:
    try:
        return json.loads(remembered[YAML + key])
    except (KeyError, ValueError, RecursionError):
        return None


class _Patcher:
    """One patch on its way."""

    def __init__(
        self,
        text: str,
        remembered: Mapping[str, str],
        pending: Mapping[str, str],
        overwrite: Collection[str],
        newline: str,
        *,
        rote: Mapping[str, Any],
        withheld: Collection[str],
        untrue: Collection[str],
    ) -> None:
        self.rote = rote
        self.untrue = untrue
        self.withheld = withheld
        self.text = text
        self.keys, self.blank = read_keys(text)
        self.remembered = remembered
        self.pending = pending
        self.overwrite = overwrite
        self.newline = newline
        self.patched = Patched(text)

    def run(self, wanted: Mapping[str, Any]) -> None:
        """Decide about every key."""
        new: list[str] = []
        inherited = merged(self.keys)
        for key, value in wanted.items():
            if key in self.keys:
                self._existing(key, self.keys[key], value)
            elif key in inherited:
                self._keep(key, inherited[key])
            elif _recall(self.remembered, key) is not None and key not in self.overwrite:
                self.patched.states[key] = "removed"
            else:
                new += yaml_text.entry(key, value, 0)
                self.patched.written[key] = value
                self.patched.states[key] = "filled"
        for key in self.keys.keys() - wanted.keys():
            self._unwanted(key, self.keys[key])
        if new and self.blank.span:
            self._edit(self.blank.start, self.blank.end, self.newline.join(new))
        elif new:
            lead = "" if not self.text or self.text.endswith("\n") else self.newline
            self._edit(len(self.text), len(self.text), lead + self.newline.join(new) + self.newline)
        self.patched.edits.sort()

    def _existing(self, key: str, place: Key, value: Any) -> None:
        """Decide about a key that stands there already, and write it."""
        current = self._current(place)
        if key in MERGED and isinstance(value, list):
            self._merge(key, place, value)
            return
        if place.data == value and type(place.data) is type(value):
            self.patched.states[key] = "same"
            self.patched.written[key] = value
            return
        if place.shared:
            self._keep(key, place.data)
            return
        if (
            is_blank(current, place.data)
            or self._is_refused(key, place.data, current)
            or self._is_rote(key, place)
        ):
            self.patched.states[key] = "filled"
        elif self._is_ours(key, place) or key in self.overwrite:
            self.patched.states[key] = "refreshed"
        else:
            self._keep(key, place.data)
            return
        self.patched.written[key] = value
        self._replace(place, yaml_text.entry(key, value, 0))

    def _keep(self, key: str, data: Any) -> None:
        self.patched.states[key] = "kept"
        self.patched.theirs[key] = data

    def _is_refused(self, key: str, data: Any, current: str = "") -> bool:
        return is_generated(key, data, current) or is_withheld(key, data, self.withheld)

    def _is_rote(self, key: str, place: Key) -> bool:
        return (
            self.rote.get(key) is not None
            and place.data == self.rote[key]
            and YAML + key not in self.remembered
        )

    def _is_ours(self, key: str, place: Key) -> bool:
        known = [_recall(source, key) for source in (self.remembered, self.pending)]
        return any(
            one is not None and place.data == one for one in known
        ) and "#" not in self._current(place)

    def _current(self, place: Key) -> str:
        return self.text[place.at : place.end]

    def _edit(self, start: int, end: int, new: str) -> None:
        self.patched.edits.append((start, end, new))

    def _replace(self, place: Key, entry: list[str]) -> None:
        """Put the lines *entry* (`key: value`, or `key:` and a block) in the place of a key's value."""
        start, end = place.at, place.end
        if len(entry) == 1:
            value = entry[0].partition(":")[2]
            if start >= end:
                self._edit(place.colon + 1, place.colon + 1, value)
            elif "\n" in self.text[place.colon : start]:
                self._edit(place.colon + 1, end, value)
            else:
                self._edit(start, end, value.lstrip())
            return
        block = self.newline + self.newline.join(entry[1:])
        if start >= end:
            # A comment behind the blank key stays where it is.
            at = self._line_end(place.colon)
            self._edit(at, at, block)
        elif "\n" in self.text[place.colon : start]:
            at = self._line_end(place.colon)
            self._edit(at, end, block)
        else:
            self._edit(place.colon + 1, end, block)

    def _line_end(self, at: int) -> int:
        end = self.text.find("\n", at)
        end = len(self.text) if end < 0 else end
        return end - 1 if self.text[end - 1 : end] == "\r" else end

    def _merge(self, key: str, place: Key, value: list[Any]) -> None:
        """Add what is missing to a list that others write too; drop what means nothing to the Hub."""
        if place.data is UNREADABLE:
            self._keep(key, place.data)
            return
        known = _recall(self.remembered, key) or []
        others = _recall(self.remembered, key + BY_OTHERS) or []
        theirs = _as_list(place.data)
        # One of ours that is there no longer was taken out by somebody.
        missing = [item for item in value if item not in theirs and item not in known]
        bad = [
            item
            for item in theirs
            if self._is_refused(key, item) or self._is_untrue(item, known, others)
        ]
        # What we wrote before and do not know this time (tags of the library, where no trainer is
        # at hand) stays ours.
        before = [
            item for item in known if item in theirs and item not in value and item not in bad
        ]
        ours = [item for item in value if item in theirs or item in missing or item in known]
        self.patched.written[key] = ours + before
        if value or bad:
            self.patched.states[key] = "filled" if missing or bad else "same"
        if not self.patched.written[key]:
            del self.patched.written[key]
        kept = [item for item in theirs if item not in bad]
        stood = [item for item in self.patched.written.get(key, []) if item in theirs]
        found = [item for item in stood if item in others or item not in known]
        if found:
            self.patched.written[key + BY_OTHERS] = found
        if not missing and not bad:
            return
        if bad and not kept and not missing and not place.shared:
            del self.patched.states[key]
            self._take_out(key, place)
        else:
            self._write_list(key, place, value, missing, bad)

    def _write_list(
        self, key: str, place: Key, value: list[Any], missing: list[Any], bad: list[Any]
    ) -> None:
        """Put the values *missing* into a list, and take the values *bad* out of it, where that can be done."""
        current = self._current(place)
        theirs = _as_list(place.data)
        kept = [item for item in theirs if item not in bad]
        rewritable = "#" not in current and (place.alias or bad) and (kept or missing)
        if place.shared:
            # Another key refers to this list: what is added here would be added there.
            self._keep_list(key, value, theirs)
        elif is_blank(current, place.data):
            self._replace(place, yaml_text.entry(key, missing, 0))
        elif rewritable and all(isinstance(item, str | int | float) for item in kept):
            self._replace(place, yaml_text.entry(key, kept + missing, 0))
        elif bad and self._remove_lines(place, bad, appends=bool(missing)):
            if missing:
                self._append(key, place, missing)
        elif bad or place.alias:
            self._keep_list(key, value, theirs)
        else:
            self._append(key, place, missing)
        if self.patched.states[key] == "filled":
            self.patched.merged[key] = kept + missing if kept != [""] else missing

    def _is_untrue(self, item: Any, known: list[Any], others: list[Any]) -> bool:
        """Return whether *item* of a list does not hold for this run, and was written by us and by nobody else."""
        return item in self.untrue and item in known and item not in others

    def _remove_lines(self, place: Key, bad: list[Any], *, appends: bool) -> bool:
        """Take the items *bad* out of a list with comments; return whether that can be done line by line.

        *appends*: something is added behind the last item, which then has to stay.
        """
        node = place.value
        if place.alias or not isinstance(node, yaml.SequenceNode) or node.flow_style:
            return False
        places = []
        for item, data in zip(node.value, place.data, strict=True):
            if data not in bad:
                continue
            start = self.text.rfind("\n", 0, item.start_mark.index) + 1
            end = self.text.find("\n", item.start_mark.index) + 1
            line = self.text[start:end].strip()
            if not line.startswith("- ") or "#" in line or (appends and item is node.value[-1]):
                return False
            places.append((start, end))
        for start, end in places:
            self._edit(start, end, "")
        return True

    def _append(self, key: str, place: Key, missing: list[Any]) -> None:
        """Put the values *missing* behind those that stand in a list."""
        current, node = self._current(place), place.value
        added = [yaml_text.scalar(item) for item in missing]
        if isinstance(node, yaml.SequenceNode) and not node.flow_style:
            found = _FIRST_ITEM.search(self.text, place.at)
            column = (
                len(found[1]) if found and self.text[place.at] != "-" else node.start_mark.column
            )
            lead = self.newline + " " * column + "- "
            # behind a comment on the last line: it is about that item
            at = self._line_end(place.end)
            self._edit(at, at, "".join(lead + item for item in added))
        elif isinstance(node, yaml.SequenceNode):
            at = place.end - 1
            lead = ", " if node.value and not self.text[:at].rstrip().endswith(",") else ""
            self._edit(at, at, lead + ", ".join(added))
        elif isinstance(node, yaml.ScalarNode) and node.style not in ("|", ">"):
            self._edit(place.at, place.end, f"[{current}, {', '.join(added)}]")
        else:
            self._keep_list(key, missing, [])

    def _keep_list(self, key: str, value: list[Any], theirs: list[Any]) -> None:
        """Leave a list as it is; those of *value* that stand in it already are remembered."""
        self._keep(key, theirs)
        self.patched.written[key] = [item for item in value if item in theirs]
        if not self.patched.written[key]:
            del self.patched.written[key]

    def _unwanted(self, key: str, place: Key) -> None:
        """Take out what we wrote and no longer know, or what a tool wrote and the Hub refuses (a local path)."""
        if key in MERGED:
            self._merge(key, place, [])
            return
        refused = (
            key == "base_model"
            and place.data not in (None, "")
            and self._is_refused(key, place.data)
        )
        if place.shared or place.data is UNREADABLE:
            return
        if refused or self._is_ours(key, place):
            self._take_out(key, place)

    def _take_out(self, key: str, place: Key) -> None:
        """Take out a key with its value; it stays where something else stands on its last line."""
        after = self.text.find("\n", place.end)
        after = len(self.text) if after < 0 else after + 1
        if self.text[place.end : after].strip():
            return
        self.patched.states[key] = "cleared"
        below = self._line_end(place.colon)
        if self.text[place.colon + 1 : below].lstrip().startswith("#"):
            # The key's own line has a comment, which stays, as does the key.
            self._edit(below, place.end, "")
        else:
            self._edit(place.start, after, "")


def _apply(text: str, edits: list[tuple[int, int, str]]) -> str:
    pieces = []
    at = 0
    for start, end, new in edits:
        if start < at:
            msg = "two changes of the front matter overlap"
            raise CardError(msg)
        pieces += [text[at:start], new]
        at = end
    return "".join([*pieces, text[at:]])


def _prove(before: str, patched: Patched) -> None:
    """Check that every other key has the text that it had, and ours say what they should.

    Texts are compared, not what they load to: that may be anything, and of any size.

    Raises:
        CardError: one has not.
    """
    if not patched.edits:
        return
    old, _ = read_keys(before)
    new, _ = read_keys(patched.yaml)
    touched = {
        key for key, state in patched.states.items() if state in ("filled", "refreshed", "cleared")
    }
    for key in old.keys() | new.keys():
        if key not in touched and _text_of(before, old.get(key)) != _text_of(
            patched.yaml, new.get(key)
        ):
            msg = f"the key {key!r} of the front matter would have changed"
            raise CardError(msg)
    for key, items in patched.merged.items():
        if key not in new or new[key].data != items:
            msg = f"the list {key!r} of the front matter would not read back as it was written"
            raise CardError(msg)
    for key in touched - patched.merged.keys():
        if patched.states[key] == "cleared":
            if key in new and new[key].data is not None:
                msg = f"the key {key!r} of the front matter would not go"
                raise CardError(msg)
        elif key not in new or new[key].data != patched.written[key]:
            msg = f"the key {key!r} of the front matter would not read back as it was written"
            raise CardError(msg)


def _text_of(text: str, key: Key | None) -> str | None:
    return None if key is None else text[key.start : max(key.end, key.colon + 1)]
