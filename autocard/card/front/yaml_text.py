"""Values → YAML text that every parser reads alike: plain decimals, no nulls, quotes where a word could be misread.

One rule: nothing is written that YAML 1.1, YAML 1.2 or the Hub's own parser could take for
something else.
"""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import yaml

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./()+-]+)*")
_TEMPLATE = re.compile(r"\{(?=[{%#])")
"""The beginning of a template expression, which a tool that renders cards would run."""


def clean(value: Any) -> Any:
    """Return *value* as plain strings, numbers, truth values, lists and mappings; None: missing or not finite.

    Entries of lists and mappings that are None, and mappings and lists that become empty by that,
    are left out.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(float(value)) else None
    if isinstance(value, Mapping):
        cleaned = {str(key): clean(item) for key, item in value.items()}
        return {key: item for key, item in cleaned.items() if item is not None} or None
    if isinstance(value, Sequence | set | frozenset):
        items = [
            clean(item)
            for item in (sorted(value, key=str) if isinstance(value, set | frozenset) else value)
        ]
        return [item for item in items if item is not None] or None
    return str(value)


def scalar(value: Any) -> str:
    """Return *value* (text, number or truth value) on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        # The Hub's filter reads 1.2e-05 as text.
        text = format(Decimal(repr(value)), "f")
        return text if "." in text else f"{text}.0"
    if (
        _PLAIN.fullmatch(value)
        and len(value) <= 120  # noqa: PLR2004
        and yaml.safe_load(value) == value
        and value.lower() not in "yn"
    ):
        return str(value)
    quoted = "".join(_quoted(char) for char in str(value))
    return '"' + _TEMPLATE.sub(r"\\x7b", quoted) + '"'


def lines(value: Any, indent: int) -> list[str]:
    """Return a list or mapping (not empty, cleaned) as the lines of a block, each *indent* blanks to the right."""
    pad = " " * indent
    found = []
    if isinstance(value, Mapping):
        for key, item in value.items():
            found += entry(key, item, indent)
        return found
    for item in value:
        if isinstance(item, Mapping | list):
            inner = lines(item, indent + 2)
            found += [f"{pad}- {inner[0].lstrip(' ')}", *inner[1:]]
        else:
            found.append(f"{pad}- {scalar(item)}")
    return found


def entry(key: str, value: Any, indent: int) -> list[str]:
    """Return the lines of `key: value`."""
    head = f"{' ' * indent}{scalar(key)}:"
    if isinstance(value, Mapping):
        return [head, *lines(value, indent + 2)]
    if isinstance(value, list):
        return [head, *lines(value, indent)]
    return [f"{head} {scalar(value)}"]


def _quoted(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char.isprintable():
        return char
    code = ord(char)
    if 0xD800 <= code <= 0xDFFF:  # noqa: PLR2004 - half a character
        return "?"
    return (
        f"\\x{code:02x}"
        if code < 0x100  # noqa: PLR2004
        else f"\\u{code:04x}"
        if code < 0x10000  # noqa: PLR2004
        else f"\\U{code:08x}"
    )
