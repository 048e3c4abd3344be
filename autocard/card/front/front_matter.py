"""The YAML at the top of a card, patched key by key: comments, quotes and order stay.

One rule: only the places of the keys that are written change. Values are read from YAML to be
compared; they are never printed back.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from autocard.card.fill.written_text import WAS, YAML
from autocard.card.front import yaml_edits, yaml_text
from autocard.card.front.list_merge import ListMerge, Refusals, as_list
from autocard.card.front.patched import Patched, prove
from autocard.card.front.yaml_edits import YamlEditor
from autocard.card.front.yaml_keys import (
    MERGED,
    NO_VALUE,
    UNREADABLE,
    Key,
    is_blank,
    is_blank_form,
    merged,
    read_keys,
)
from autocard.card.report import State

BY_OTHERS = " (by others)"
"""Suffix of a key's name in the written text, for those items of its list that stood there before
ours."""


TRL_LICENCE = ("licence", "license")
"""What TRL writes below the card of whatever model; the Hub reads no such key."""

ALL_KEYS = ""
"""What the placeholder that stands for all keys (`{{ card_data }}`) is called among the keys."""


def patch(
    text: str,
    values: Mapping[str, object],
    remembered: Mapping[str, str],
    pending: Mapping[str, str] | None = None,
    *,
    overwrite: Collection[str] = (),
    newline: str = "\n",
    trainer_values: Mapping[str, object] | None = None,
    withheld: Collection[str] = (),
    untrue: Collection[str] = (),
) -> Patched:
    """Write *values* into *text*, the YAML between the `---` lines, as far as that is allowed.

    Args:
        text: ends with a newline unless it is empty.
        values: key → value; None and what is not finite is left out.
        remembered: what `Patched.written` held last time, as JSON, under "yaml:" and the key.
        pending: the same of a fill that was interrupted.
        overwrite: keys that are written even over a person's value.
        newline: the card's line ending.
        trainer_values: keys that a trainer writes into each of its cards, and the values it gives
            them; only where it has just written this card.
        withheld: names of base models that no card may show, even if a person wrote them.
        untrue: tags that no longer hold; they are removed where we wrote them.

    Raises:
        CardError: it is not a YAML mapping, or the result cannot be proved. Nothing was written.
    """
    patcher = _Patcher(text, remembered, pending or {}, overwrite, newline)
    patcher.trainer_values = trainer_values or {}
    patcher.refusals = Refusals(withheld, untrue)
    patcher.run(_cleaned(values))
    return _proved(text, patcher)


def without_ours(text: str, remembered: Mapping[str, str], newline: str = "\n") -> Patched:
    """Remove from *text* what `patch` wrote and nobody changed; blanks stand again where they were.

    Args:
        text: the YAML between the `---` lines.
        remembered: what `Patched.written` and `Patched.replaced` held last time.
        newline: the card's line ending.

    Raises:
        CardError: it is not a YAML mapping, or the result cannot be proved.
    """
    patcher = _Patcher(text, remembered, {}, (), newline)
    patcher.trainer_values, patcher.refusals = {}, Refusals()
    patcher.remove_ours()
    return _proved(text, patcher)


def _proved(text: str, patcher: _Patcher) -> Patched:
    patched = patcher.patched
    patched.edits = sorted(patcher.editor.edits)
    patched.yaml = yaml_edits.apply(text, patched.edits)
    prove(text, patched)
    return patched


def _cleaned(values: Mapping[str, object]) -> dict[str, object]:
    cleaned = {key: yaml_text.clean(value) for key, value in values.items()}
    return {key: value for key, value in cleaned.items() if value is not None}


def _recall(remembered: Mapping[str, str], key: str) -> object:
    """Return the remembered value of *key*; None: there is none, or it is no JSON."""
    try:
        value: object = json.loads(remembered[YAML + key])
    except (KeyError, ValueError, RecursionError):
        return None
    return value


class _Patcher:
    """Decides for each key of one front matter whether it is written, kept or removed."""

    trainer_values: Mapping[str, object]
    refusals: Refusals

    def __init__(
        self,
        text: str,
        remembered: Mapping[str, str],
        pending: Mapping[str, str],
        overwrite: Collection[str],
        newline: str,
    ) -> None:
        self._keys, self._blank = read_keys(text)
        self._remembered = remembered
        self._pending = pending
        self._overwrite = overwrite
        self.editor = YamlEditor(text, newline)
        self.patched = Patched(text)

    def run(self, values: Mapping[str, object]) -> None:
        """Decide for the keys of *values*, then for the other keys that stand there."""
        new_lines: list[str] = []
        inherited = merged(self._keys)
        for key, value in values.items():
            if key in self._keys:
                self._existing(key, self._keys[key], value)
            elif key in inherited:
                self._keep(key, inherited[key])
            elif _recall(self._remembered, key) is not None and key not in self._overwrite:
                self.patched.states[key] = "removed"
            else:
                new_lines += yaml_text.entry(key, value, 0)
                self._written(key, value, "filled")
        for key, place in self._keys.items():
            if key not in values:
                self._without_value(key, place)
        if new_lines:
            self.editor.append_keys(new_lines, self._blank)
            if self._blank.span:
                self.patched.replaced[ALL_KEYS] = self.editor.blank_text(self._blank)

    def remove_ours(self) -> None:
        """Remove our values and the items that we added to lists."""
        placeholder = self._remembered.get(WAS + YAML + ALL_KEYS, "")
        for key, place in self._keys.items():
            if place.shared or place.data is UNREADABLE:
                continue
            before = self._remembered.get(WAS + YAML + key)
            if self._is_ours(key, place):
                self._remove_ours(key, place, before)
                if before is None and placeholder:
                    self.editor.insert_line(place, placeholder)
                    placeholder = ""
            elif key in MERGED:
                self._remove_our_items(key, place)
        self.patched.written.clear()

    def _remove_our_items(self, key: str, place: Key) -> None:
        """Remove the items that we added to a list; the lines of the others stay as they are."""
        others = as_list(_recall(self._remembered, key + BY_OTHERS) or [])
        ours = [item for item in as_list(_recall(self._remembered, key)) if item not in others]
        current = as_list(place.data)
        kept = [item for item in current if item not in ours]
        if kept == current:
            return
        before = self._remembered.get(WAS + YAML + key)
        if before and len(kept) == 1 and before.strip() == str(kept[0]):
            # `tags: one` had become `tags: [one, ours]`.
            self._remove_ours(key, place, before)
            return
        if kept and self.editor.remove_items(place, ours, keep_last=False):
            self.patched.states[key] = "filled"
            self.patched.merged_lists[key] = kept
            return
        self.refusals = Refusals(untrue=[str(item) for item in ours])
        self._merge_list(key, place, [])

    def _remove_ours(self, key: str, place: Key, before: str | None) -> None:
        """Remove a key, or put the text *before* in the place of its value."""
        if before is None:
            self._remove(key, place)
            return
        self.editor.restore_value(place, before)
        self.patched.states[key] = "cleared"
        self.patched.restored.add(key)

    def _existing(self, key: str, place: Key, value: object) -> None:
        """Decide for a key that stands there already, and write it."""
        if key in MERGED and isinstance(value, list):
            self._merge_list(key, place, value)
            return
        # 1 == True == 1.0 in Python, but not in YAML.
        if place.data == value and type(place.data) is type(value):
            if not self._is_ours(key, place):
                self.patched.replaced[key] = self.editor.after_colon(place)
            self._written(key, value, "same")
            return
        state = None if place.shared else self._replaced_state(key, place, value)
        if state is None:
            self._keep(key, place.data)
            return
        self._written(key, value, state)
        if self._is_empty(place, value):
            self.patched.replaced[key] = self.editor.after_colon(place)
        self.editor.replace_value(place, yaml_text.entry(key, value, 0))

    def _is_empty(self, place: Key, value: object) -> bool:
        """Return whether a key waits for *value*."""
        current = self.editor.current(place)
        return is_blank(current, place.data) or is_blank_form(current, place.data, value)

    def _replaced_state(self, key: str, place: Key, value: object) -> State | None:
        """Return the state of a value that *value* replaces; None: it is a person's, and stays."""
        current = self.editor.current(place)
        if (
            self._is_empty(place, value)
            or self.refusals.refuses(key, place.data, current)
            or self._is_trainers(key, place)
        ):
            return "filled"
        if self._is_ours(key, place) or key in self._overwrite:
            return "refreshed"
        return None

    def _written(self, key: str, value: object, state: State) -> None:
        self.patched.states[key] = state
        self.patched.written[key] = value

    def _keep(self, key: str, value: object) -> None:
        self.patched.states[key] = "kept"
        self.patched.kept_values[key] = value

    def _is_trainers(self, key: str, place: Key) -> bool:
        """Return whether a trainer wrote the value, as it does whatever it trained."""
        value = self.trainer_values.get(key)
        return value is not None and place.data == value and YAML + key not in self._remembered

    def _is_ours(self, key: str, place: Key) -> bool:
        """Return whether we wrote the value; a comment in it is a person's, and makes it theirs."""
        if "#" in self.editor.current(place):
            return False
        written = (_recall(self._remembered, key), _recall(self._pending, key))
        return any(value is not None and place.data == value for value in written)

    def _without_value(self, key: str, place: Key) -> None:
        """Remove a value that we wrote and this run lacks, or a tool's that the Hub refuses."""
        if key in MERGED:
            self._merge_list(key, place, [])
            return
        if place.shared or place.data is UNREADABLE:
            return
        is_refused_base = (
            key == "base_model"
            and place.data not in (None, "")
            and self.refusals.refuses(key, place.data)
        )
        is_no_base = key == "base_model" and place.data == NO_VALUE
        is_tools = is_no_base or (key, place.data) == TRL_LICENCE
        if is_refused_base or is_tools or self._is_ours(key, place):
            self._remove(key, place)

    def _remove(self, key: str, place: Key) -> None:
        if self.editor.remove_key(place):
            self.patched.states[key] = "cleared"

    def _merge_list(self, key: str, place: Key, value: list[object]) -> None:
        """Add what is missing to a list that others write too; remove what must not stand there."""
        if place.data is UNREADABLE:
            self._keep(key, place.data)
            return
        merge = ListMerge(
            key=key,
            wanted=value,
            current=as_list(place.data),
            remembered=as_list(_recall(self._remembered, key) or []),
            by_others=as_list(_recall(self._remembered, key + BY_OTHERS) or []),
            refusals=self.refusals,
        )
        if merge.written:
            self.patched.written[key] = merge.written
        if merge.found:
            self.patched.written[key + BY_OTHERS] = merge.found
        if merge.empties and not place.shared:
            self._remove(key, place)
        elif merge.changes:
            self.patched.states[key] = "filled"
            self._write_list(key, place, merge)
        elif value:
            self.patched.states[key] = "same"

    def _write_list(self, key: str, place: Key, merge: ListMerge) -> None:
        """Add the values that a list lacks, and remove the bad ones, where that can be done."""
        current = self.editor.current(place)
        rewritten = merge.kept + merge.missing
        if place.shared:
            # Another key refers to this list: what is added here would be added there.
            done = False
        elif is_blank(current, place.data):
            self.patched.replaced[key] = self.editor.after_colon(place)
            self.editor.replace_value(place, yaml_text.entry(key, merge.missing, 0))
            done = True
        elif (
            rewritten
            and "#" not in current
            and (place.alias or merge.bad)
            and all(isinstance(item, str | int | float) for item in merge.kept)
        ):
            self.editor.replace_value(place, yaml_text.entry(key, rewritten, 0))
            done = True
        else:
            if not isinstance(place.data, list) or not place.data:
                self.patched.replaced[key] = self.editor.after_colon(place)
            done = self._edit_items(place, merge)
        if done:
            was_empty_text = merge.kept == [""]
            self.patched.merged_lists[key] = merge.missing if was_empty_text else rewritten
        else:
            self._keep_list(key, merge)

    def _edit_items(self, place: Key, merge: ListMerge) -> bool:
        """Remove and add items line by line; return False where that is impossible."""
        if merge.bad:
            adds = bool(merge.missing)
            if not self.editor.remove_items(place, merge.bad, keep_last=adds):
                return False
            return not adds or self.editor.append_items(place, merge.missing)
        return not place.alias and self.editor.append_items(place, merge.missing)

    def _keep_list(self, key: str, merge: ListMerge) -> None:
        """Leave a list as it is; those of our values that stand in it already are remembered."""
        self._keep(key, merge.current)
        self.patched.written[key] = [item for item in merge.wanted if item in merge.current]
        if not self.patched.written[key]:
            del self.patched.written[key]
