"""The keys of a front matter: where each stands, what it loads to, and whether that is a value.

One rule: PyYAML is asked for places and values only; nothing is changed here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

from autocard.card.form.placeholders import find
from autocard.card.front import yaml_reader
from autocard.card.front.yaml_reader import YamlError
from autocard.card.markdown.document import find_front_matter
from autocard.errors import CardError

MERGED = ("tags",)
"""Lists that other people and tools add to: ours are put beside theirs."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?")
_LOCAL_PATH = re.compile(
    r"[./~\\]|[A-Za-z]:[\\/]|file:|[^/:\s]+/[^/\s]+/|\S*\\\S|(?:.*/)?(?:checkpoint|ckpt)-?\d+/?\Z|\S+/\Z"
)
"""What libraries write of a model from the disk: `./out`, `~/x`, `C:\\models`, `a/b/c`,
`out/checkpoint-500`."""
_CODECARBON_KEYS = frozenset(
    (
        "emissions",
        "energy_consumed",
        "training_type",
        "on_cloud",
        "cpu_model",
        "ram_total_size",
        "hours_used",
    )
)
_NOTHING = frozenset({"None", "none", "null", "NULL"})
_TEMPLATE_LINE = re.compile(r"^\{\{-?[ \t]*\w+[^{}\n]*\}\}[ \t]*\r?$", re.MULTILINE)
TEMPLATE = re.compile(r"\{\{[^{}\n]*\}\}")


UNREADABLE: Any = type("Unreadable", (), {"__repr__": lambda _: "a value that cannot be read"})()
"""What the value of a key is that no value can be made of (`!mine x`, `2001-99-99`). It equals
itself only."""


@dataclass(frozen=True)
class Key:
    """One key.

    Attributes:
        start: offset of its line.
        colon: offset of the colon behind it.
        value: the value's node; of an alias, what it stands for.
        at: offset of the value, or of the alias.
        end: offset after the last character of the value, or of the alias.
        alias: whether the value is an alias.
        shared: whether another key refers to something in this value.
    """

    start: int
    colon: int
    value: yaml.Node
    at: int
    end: int
    alias: bool = False
    shared: bool = False

    @cached_property
    def data(self) -> Any:
        """What the value says: made only where it is asked for."""
        return _value(self.value)


def valid_hub_id(value: Any) -> bool:
    """Return whether *value* can be the id of a repository on the Hub: `name` or `owner/name`, no path."""
    return (
        isinstance(value, str)
        and _HUB_ID.fullmatch(value) is not None
        and ".." not in value
        and "--" not in value
    )


def _is_base(value: Any) -> bool:
    """Return whether *value* can name a base: libraries write "None" where they know none."""
    return valid_hub_id(value) and value not in _NOTHING


@dataclass(frozen=True)
class Blank:
    """A place that stands for all keys: `{{ card_data }}` or `{}`."""

    span: bool = False
    start: int = 0
    end: int = 0


def read_keys(text: str) -> tuple[dict[str, Key], Blank]:
    """Return the keys of *text* and where new ones replace a placeholder for them all."""
    blank = Blank()
    found = _TEMPLATE_LINE.search(text)
    if found:
        end = found.end() - (1 if found[0].endswith("\r") else 0)
        blank = Blank(span=True, start=found.start(), end=end)
        text = text[: found.start()] + " " * (end - found.start()) + text[end:]
    elif text.strip() == "{}":
        at = text.index("{}")
        return {}, Blank(span=True, start=at, end=at + 2)
    return _keys(text), blank


def front_values(card: str, names: Collection[str] | None = None) -> dict[str, Any]:
    """Return what the front matter of the text *card* says: each key, or those called *names*, that can be read."""
    place, _ = find_front_matter(card, card.startswith("\ufeff"))
    try:
        keys, _ = read_keys(card[place[0] : place[1]]) if place else ({}, None)
    except CardError:
        return {}
    wanted = {name: key for name, key in keys.items() if names is None or name in names}
    return {name: key.data for name, key in wanted.items() if key.data is not UNREADABLE}


def _keys(text: str) -> dict[str, Key]:
    keys = {}
    for entry in _entries(text):
        colon = text.find(":", entry.key.end_mark.index)
        alias = entry.alias_end >= 0
        end = entry.alias_end if alias else _end(text, entry.value)
        start = entry.key.start_mark.index
        keys[entry.key.value] = Key(
            start, colon, entry.value, entry.start, end, alias=alias, shared=entry.shared
        )
    return keys


def _entries(text: str) -> list[yaml_reader.Entry]:
    try:
        entries = yaml_reader.entries(text) or []
    except YamlError as exc:
        where = f"line {exc.line + 2}: " if exc.line is not None else ""
        msg = f"{where}the front matter cannot be read ({exc})"
        raise CardError(msg) from exc
    for entry in entries:
        if not entry.plain_key:
            msg = f"line {entry.key.start_mark.line + 2}: a key of the front matter is not a word"
            raise CardError(msg)
    return entries


def key_lines(text: str) -> list[tuple[str, int]]:
    """Return the name and the line, from 0, of each key of the YAML *text*, one that stands there twice included."""
    return [(entry.key.value, entry.key.start_mark.line) for entry in _entries(text)]


def merged(keys: Mapping[str, Key]) -> dict[str, Any]:
    """Return what the merge key (`<<: *defaults`) among *keys* brings, by key; nothing where there is none."""
    if "<<" not in keys:
        return {}
    return {key: _value(node) for key, node in yaml_reader.merged_keys(keys["<<"].value).items()}


def _value(node: yaml.Node) -> Any:
    try:
        return yaml_reader.value(node)
    except YamlError:
        return UNREADABLE


def _end(text: str, node: yaml.Node) -> int:
    """Return where the last character of *node* stands: PyYAML's own mark of a block lies beyond comments."""
    last = node
    while isinstance(last, yaml.CollectionNode) and not last.flow_style and last.value:
        tail = last.value[-1]
        last = tail[1] if isinstance(tail, tuple) else tail
    end: int = last.end_mark.index
    start: int = last.start_mark.index
    return start + len(text[start:end].rstrip())


def blank_lines(text: str) -> list[int]:
    """Return where in the YAML *text* the lines of keys without a value begin."""
    keys, _ = read_keys(text)
    return sorted(key.start for key in keys.values() if key.at >= key.end and key.data is None)


def is_blank(current: str, data: Any) -> bool:
    """Return whether a key with the text *current*, which loads to *data*, has no value yet."""
    if data is None or data == "":
        return True
    # `[More Information Needed]` is a list to YAML.
    text = data if isinstance(data, str) else current if " " in current.strip("[] ") else ""
    asks = bool(text) and find(text) is not None
    return asks or TEMPLATE.fullmatch(current.strip("\"' ")) is not None


def is_withheld(key: str, data: Any, withheld: Collection[str]) -> bool:
    """Return whether *data* names a base that no card may show, such as a local folder shaped like an id."""
    if key == "base_model":
        ids = data if isinstance(data, list) else [data]
        return any(isinstance(item, str) and item in withheld for item in ids)
    if key in MERGED and isinstance(data, str) and data.startswith("base_model:"):
        return any(data.endswith(f":{name}") for name in withheld)
    return False


def is_generated(key: str, data: Any, current: str = "") -> bool:
    """Return whether *data* is what Trainer, PEFT or sentence-transformers write where they know nothing better.

    *current* is the text of the value: a tool writes no comments.
    """
    if key == "base_model":
        ids = data if isinstance(data, list) else [data]
        return any(_is_no_id(item) for item in ids)
    if key in MERGED:
        return (
            isinstance(data, str)
            and data.startswith("base_model:")
            and not _is_base(data.rpartition(":")[2])
        )
    if key == "co2_eq_emissions":
        return isinstance(data, dict) and "#" not in current and _is_codecarbon_callback(data)
    if key == "model-index":
        return isinstance(data, list) and not any(
            isinstance(item, dict) and item.get("results") for item in data
        )
    return False


def _is_codecarbon_callback(data: Mapping[str, Any]) -> bool:
    """Return whether *data* has each key that the model cards of sentence-transformers and SetFit write.

    The Hub's documentation asks people to write `source: codecarbon` by hand, beside `emissions`.
    """
    return data.get("source") == "codecarbon" and data.keys() >= _CODECARBON_KEYS


def _is_no_id(item: Any) -> bool:
    """Return whether *item* stands where an id should and is no one's words: a local path, nothing, "None", a list."""
    if not isinstance(item, str) or not item.strip() or item in _NOTHING:
        return True
    return not valid_hub_id(item) and _LOCAL_PATH.match(item) is not None
