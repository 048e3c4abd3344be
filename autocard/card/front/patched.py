"""A patched front matter, and the proof that nothing but the written keys changed."""

from __future__ import annotations

from dataclasses import dataclass, field

from autocard.card.front.yaml_edits import YamlEdit
from autocard.card.front.yaml_keys import Key, read_keys
from autocard.card.report import State
from autocard.errors import CardError

_WRITING_STATES = frozenset({"filled", "refreshed", "cleared"})


@dataclass
class Patched:
    """The front matter after the patch.

    Attributes:
        yaml: its new text, between the `---` lines.
        written: key → the value that is ours now.
        states: key → filled, refreshed, kept, removed, same or cleared.
        edits: the changes of the old YAML, in order.
        kept_values: key that was kept → its value.
        merged_lists: key of a list that others write too → the value that it must have.
        replaced: key whose placeholder was replaced → what stood behind its colon.
        restored: keys where that stands again.
    """

    yaml: str
    written: dict[str, object] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    edits: list[YamlEdit] = field(default_factory=list)
    kept_values: dict[str, object] = field(default_factory=dict)
    merged_lists: dict[str, list[object]] = field(default_factory=dict)
    replaced: dict[str, str] = field(default_factory=dict)
    restored: set[str] = field(default_factory=set)


def prove(before: str, patched: Patched) -> None:
    """Check that every other key kept its text, and that ours have the values that they should.

    Texts are compared, not their values: a person's value may be anything, and of any size.

    Raises:
        CardError: one has not.
    """
    if not patched.edits:
        return
    old, _ = read_keys(before)
    new, _ = read_keys(patched.yaml)
    touched = {key for key, state in patched.states.items() if state in _WRITING_STATES}
    touched -= patched.restored & new.keys()
    for key in old.keys() | new.keys():
        if key in touched or key in patched.restored:
            continue
        if _key_text(before, old.get(key)) != _key_text(patched.yaml, new.get(key)):
            msg = f"the key {key!r} of the front matter would have changed"
            raise CardError(msg)
    for key, items in patched.merged_lists.items():
        if key not in new or new[key].data != items:
            msg = f"the list {key!r} of the front matter would not read back as it was written"
            raise CardError(msg)
    for key in touched - patched.merged_lists.keys():
        _prove_value(key, new.get(key), patched)


def _prove_value(key: str, place: Key | None, patched: Patched) -> None:
    """Check one key that was written or removed; *place*: where it stands in the new YAML."""
    if patched.states[key] == "cleared":
        if place is not None and place.data is not None:
            msg = f"the key {key!r} of the front matter would not go"
            raise CardError(msg)
    elif place is None or place.data != patched.written[key]:
        msg = f"the key {key!r} of the front matter would not read back as it was written"
        raise CardError(msg)


def _key_text(text: str, key: Key | None) -> str | None:
    return None if key is None else text[key.start : max(key.end, key.colon + 1)]
