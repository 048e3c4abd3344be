"""The keys of a front matter: where each stands, what it loads to, and whether that is a value.

One rule: PyYAML gives places and values only; nothing is changed here.
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
from autocard.card.markdown.front_place import find_front_matter
from autocard.errors import CardError

MERGED = ("tags",)
"""Lists that people and other tools add to: our items are put beside theirs."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?")
"""`gpt2`, `meta-llama/Llama-3.1-8B`."""
_LOCAL_PATH = re.compile(
    r"[./~\\]"  # `./out`, `/data/out`, `~/out`, `\\server\out`
    r"|[A-Za-z]:[\\/]"  # `C:\models`
    r"|file:"
    r"|[^/:\s]+/[^/\s]+/"  # `a/b/c`
    r"|\S*\\\S"  # `models\mine`
    r"|(?:.*/)?(?:checkpoint|ckpt)-?\d+/?\Z"  # `out/checkpoint-500`
    r"|\S+/\Z"  # `out/`
)
"""What libraries write of a model from the disk."""
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
"""Keys of `co2_eq_emissions` that the model cards of sentence-transformers and SetFit write."""
_EMISSION_PARTS = frozenset(
    ("emissions", "source", "training_type", "geographical_location", "hardware_used")
)
"""Keys of `co2_eq_emissions` that the Hub reads."""
_NOTHING = frozenset({"None", "none", "null", "NULL"})
"""What libraries write where they have no base model."""
_TEMPLATE_LINE = re.compile(r"^\{\{-?[ \t]*\w+[^{}\n]*\}\}[ \t]*\r?$", re.MULTILINE)
"""A line of a form that stands for all keys: `{{ card_data }}`."""
TEMPLATE = re.compile(r"\{\{[^{}\n]*\}\}")
"""A variable in the place of a value: `{{ license }}`."""


class _Unreadable:
    def __repr__(self) -> str:
        return "a value that cannot be read"


UNREADABLE = _Unreadable()
"""The value of a key of which no value can be made (`!mine x`, `2001-99-99`). It equals itself
only."""


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
        """The value in Python, made on first use."""
        return _value(self.value)


def valid_hub_id(value: object) -> bool:
    """Return whether *value* can be the id of a repository on the Hub: `name` or `owner/name`."""
    return (
        isinstance(value, str)
        and _HUB_ID.fullmatch(value) is not None
        and ".." not in value
        and "--" not in value
    )


def _is_base(value: str) -> bool:
    """Return whether *value* can name a base model: libraries write "None" where they have none."""
    return valid_hub_id(value) and value not in _NOTHING


@dataclass(frozen=True)
class Blank:
    """A place that stands for all keys: `{{ card_data }}` or `{}`.

    Attributes:
        span: whether there is one.
        start: offset of its first character.
        end: offset after the last one.
    """

    span: bool = False
    start: int = 0
    end: int = 0


def read_keys(text: str) -> tuple[dict[str, Key], Blank]:
    """Return the keys of *text*, and the placeholder for all keys that new ones replace.

    Raises:
        CardError: it is not a YAML mapping of words.
    """
    if text.strip() == "{}":
        start = text.index("{}")
        return {}, Blank(span=True, start=start, end=start + 2)
    found = _TEMPLATE_LINE.search(text)
    if found is None:
        return _keys(text), Blank()
    start, end = found.span()
    if found[0].endswith("\r"):
        end -= 1
    # Blanks in its place keep the offsets of the keys around it.
    without = text[:start] + " " * (end - start) + text[end:]
    return _keys(without), Blank(span=True, start=start, end=end)


def front_values(card: str, names: Collection[str] | None = None) -> dict[str, Any]:
    """Return the front matter of the text *card*: each readable value, or those of *names*."""
    place, _ = find_front_matter(card, card.startswith("\ufeff"))
    if place is None:
        return {}
    try:
        keys, _ = read_keys(card[place[0] : place[1]])
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
    """Return name and line (from 0) of each key of the YAML *text*, with duplicates."""
    return [(entry.key.value, entry.key.start_mark.line) for entry in _entries(text)]


def merged(keys: Mapping[str, Key]) -> dict[str, object]:
    """Return the values that a merge key (`<<: *defaults`) among *keys* brings, by key."""
    if "<<" not in keys:
        return {}
    return {key: _value(node) for key, node in yaml_reader.merged_keys(keys["<<"].value).items()}


def _value(node: yaml.Node) -> object:
    try:
        return yaml_reader.value(node)
    except YamlError:
        return UNREADABLE


def _end(text: str, node: yaml.Node) -> int:
    """Return the offset after the last character of *node*.

    PyYAML's own mark of a block's end lies beyond the comments that follow it.
    """
    last = node
    while isinstance(last, yaml.CollectionNode) and not last.flow_style and last.value:
        tail = last.value[-1]
        last = tail[1] if isinstance(tail, tuple) else tail
    end: int = last.end_mark.index
    start: int = last.start_mark.index
    return start + len(text[start:end].rstrip())


def blank_lines(text: str) -> list[int]:
    """Return the offsets of the lines of the YAML *text* whose keys have no value."""
    keys, _ = read_keys(text)
    return sorted(key.start for key in keys.values() if key.at >= key.end and key.data is None)


NO_VALUE = "None"
"""What libraries write for a value that they do not know: `base_model: None` is a word to YAML."""


def is_blank(current: str, data: object) -> bool:
    """Return whether a key with the text *current*, which loads to *data*, has no value yet."""
    if data in (None, "", NO_VALUE):
        return True
    text = ""
    if isinstance(data, str):
        text = data
    elif " " in current.strip("[] "):
        # `[More Information Needed]` is a list to YAML.
        text = current
    if text and find(text) is not None:
        return True
    return TEMPLATE.fullmatch(current.strip("\"' ")) is not None


def is_blank_form(current: str, data: object, value: object) -> bool:
    """Return whether *data* only asks for *value*: an empty list, or its parts without values.

    A comment in the text *current* is a person's, and so is a part that *value* cannot have.
    """
    if "#" in current:
        return False
    if isinstance(data, dict) and isinstance(value, dict):
        is_asked = data.keys() <= value.keys() | _EMISSION_PARTS
        return is_asked and all(is_blank("", part) for part in data.values())
    return isinstance(data, list) and all(is_blank("", item) for item in data)


def is_withheld(key: str, data: object, withheld: Collection[str]) -> bool:
    """Return whether *data* names a base model that no card may show, such as a local folder."""
    if key == "base_model":
        ids = data if isinstance(data, list) else [data]
        return any(isinstance(item, str) and item in withheld for item in ids)
    if key in MERGED and isinstance(data, str) and data.startswith("base_model:"):
        return any(data.endswith(f":{name}") for name in withheld)
    return False


def is_generated(key: str, data: object, current: str = "") -> bool:
    """Return whether *data* is what trainers and PEFT write where they have no real value.

    *current* is the text of the value: a tool writes no comments.
    """
    if key == "base_model":
        ids = data if isinstance(data, list) else [data]
        return any(_is_no_id(item) for item in ids)
    if key in MERGED:
        return _is_tag_without_base(data)
    if key == "co2_eq_emissions":
        return isinstance(data, dict) and "#" not in current and _is_codecarbon_callback(data)
    if key == "model-index":
        return isinstance(data, list) and not any(_has_results(item) for item in data)
    return False


def _is_tag_without_base(tag: object) -> bool:
    """Return whether *tag* names a base model that is none: `base_model:adapter:None`."""
    is_base_tag = isinstance(tag, str) and tag.startswith("base_model:")
    return is_base_tag and not _is_base(str(tag).rpartition(":")[2])


def _has_results(entry: object) -> bool:
    """Return whether *entry* of a model index has results."""
    return isinstance(entry, dict) and bool(entry.get("results"))


def _is_codecarbon_callback(data: Mapping[str, object]) -> bool:
    """Return whether *data* has each key that the cards of sentence-transformers and SetFit have.

    The Hub's documentation asks people to write `source: codecarbon` by hand, beside `emissions`.
    """
    return data.get("source") == "codecarbon" and data.keys() >= _CODECARBON_KEYS


def _is_no_id(item: object) -> bool:
    """Return whether *item* of `base_model` is neither an id nor a person's words.

    That is a local path, nothing, "None" or a list.
    """
    if not isinstance(item, str) or not item.strip() or item in _NOTHING:
        return True
    return not valid_hub_id(item) and _LOCAL_PATH.match(item) is not None
