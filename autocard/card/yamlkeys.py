"""The keys of a front matter: where each stands, what it loads to, and whether that is a value.

One rule: PyYAML is asked for places and values only; nothing is changed here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from autocard.card.placeholders import find
from autocard.errors import CardError

MERGED = ("tags",)
"""Lists that other people and tools add to: ours are put beside theirs."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?")
_TEMPLATE_LINE = re.compile(r"^\{\{-?[ \t]*\w+[^{}\n]*\}\}[ \t]*\r?$", re.MULTILINE)
TEMPLATE = re.compile(r"\{\{[^{}\n]*\}\}")


@dataclass(frozen=True)
class Key:
    """One key: where its line begins, where its value is, what it loads to."""

    start: int
    colon: int
    value: yaml.Node
    end: int
    data: Any


def valid_hub_id(value: Any) -> bool:
    """Return whether *value* can be the id of a repository on the Hub: `name` or `owner/name`, no path."""
    return isinstance(value, str) and _HUB_ID.fullmatch(value) is not None and ".." not in value and "--" not in value


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
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f"line {mark.line + 2}: " if mark else ""
        msg = f"{where}the front matter is not YAML ({getattr(exc, 'problem', None) or type(exc).__name__})"
        raise CardError(msg) from exc
    if root is None:
        return {}, blank
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        msg = "the front matter is not a list of `key: value` lines"
        raise CardError(msg)
    keys = {}
    for key, value in root.value:
        if not isinstance(key, yaml.ScalarNode):
            msg = f"line {key.start_mark.line + 2}: a key of the front matter is not a word"
            raise CardError(msg)
        colon = text.find(":", key.end_mark.index)
        keys[key.value] = Key(key.start_mark.index, colon, value, _end(text, value), _load(value))
    return keys, blank


def _load(node: yaml.Node) -> Any:
    """Return what *node* loads to; a template expression in it loads to None."""
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError, TypeError):
        return None
    finally:
        loader.dispose()


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
    return sorted(key.start for key in keys.values() if key.value.start_mark.index >= key.end and key.data is None)


def is_blank(current: str, data: Any) -> bool:
    """Return whether a key with the text *current*, which loads to *data*, has no value yet."""
    if data is None or data == "":
        return True
    # `[More Information Needed]` is a list to YAML.
    text = data if isinstance(data, str) else current if " " in current.strip("[] ") else ""
    asks = bool(text) and find(text) is not None
    return asks or TEMPLATE.fullmatch(current.strip("\"' ")) is not None


def is_generated(key: str, data: Any) -> bool:
    """Return whether *data* is what Trainer, PEFT or sentence-transformers write where they know nothing better."""
    if key == "base_model":
        ids = data if isinstance(data, list) else [data]
        return not all(valid_hub_id(item) for item in ids)
    if key in MERGED:
        return isinstance(data, str) and data.startswith("base_model:") and not valid_hub_id(data.rpartition(":")[2])
    if key == "co2_eq_emissions":
        return isinstance(data, dict) and data.get("source") == "codecarbon"
    if key == "model-index":
        return isinstance(data, list) and not any(isinstance(item, dict) and item.get("results") for item in data)
    return False
