"""Values → YAML text that every parser reads alike: plain decimals, no nulls, quotes if in doubt.

One rule: nothing is written that YAML 1.1, YAML 1.2 or the Hub's own parser could take for
something else.
"""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal

import yaml

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./()+-]+)*")
"""Text that needs no quotes: `text-generation`, `org/model`, `CPU (8 cores)`."""
_LONGEST_PLAIN = 120
"""Characters. A longer text is quoted."""
_TEMPLATE = re.compile(r"\{(?=[{%#])")
"""The beginning of a template expression (`{{`, `{%`, `{#`), which a tool that renders cards would
run."""
_FIRST_SURROGATE, _LAST_SURROGATE = 0xD800, 0xDFFF
_TWO_DIGITS, _FOUR_DIGITS = 0x100, 0x10000
"""Below these code points, `\\x` and `\\u` are long enough."""


def clean(value: object) -> object:
    """Return *value* in plain Python types; None: it is missing or not finite.

    Entries of lists and mappings that are None, and mappings and lists that become empty by that,
    are left out.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Real):
        return _clean_number(value)
    if isinstance(value, Mapping):
        return _clean_mapping(value)
    if isinstance(value, AbstractSet):
        return _clean_items(sorted(value, key=str))
    if isinstance(value, Sequence):
        return _clean_items(value)
    return str(value)


def _clean_number(value: numbers.Real) -> int | float | None:
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if math.isfinite(float(value)) else None


def _clean_mapping(value: Mapping[object, object]) -> dict[str, object] | None:
    cleaned = {str(key): clean(item) for key, item in value.items()}
    return {key: item for key, item in cleaned.items() if item is not None} or None


def _clean_items(value: Iterable[object]) -> list[object] | None:
    cleaned = [clean(item) for item in value]
    return [item for item in cleaned if item is not None] or None


def scalar(value: object) -> str:
    """Return *value* (text, number or truth value) on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        # The Hub's filter reads 1.2e-05 as text.
        text = format(Decimal(repr(value)), "f")
        return text if "." in text else f"{text}.0"
    text = str(value)
    return text if _needs_no_quotes(text) else _quoted(text)


def _needs_no_quotes(text: str) -> bool:
    if not _PLAIN.fullmatch(text) or len(text) > _LONGEST_PLAIN:
        return False
    # `no` is False to YAML 1.1, and a bare `y` to some parsers of it.
    return bool(yaml.safe_load(text) == text) and text.lower() not in "yn"


def lines(value: object, indent: int) -> list[str]:
    """Return a list or mapping (not empty, cleaned) as the lines of a block."""
    found: list[str] = []
    if isinstance(value, Mapping):
        for key, item in value.items():
            found += entry(key, item, indent)
    elif isinstance(value, list):
        for item in value:
            found += _item_lines(item, indent)
    return found


def _item_lines(item: object, indent: int) -> list[str]:
    pad = " " * indent
    if not isinstance(item, Mapping | list):
        return [f"{pad}- {scalar(item)}"]
    first, *others = lines(item, indent + 2)
    return [f"{pad}- {first.lstrip(' ')}", *others]


def entry(key: str, value: object, indent: int) -> list[str]:
    """Return the lines of `key: value`."""
    head = f"{' ' * indent}{scalar(key)}:"
    if isinstance(value, Mapping):
        return [head, *lines(value, indent + 2)]
    if isinstance(value, list):
        return [head, *lines(value, indent)]
    return [f"{head} {scalar(value)}"]


def _quoted(text: str) -> str:
    """Return *text* in double quotes, which need the fewest rules."""
    escaped = "".join(_escaped(char) for char in text)
    return '"' + _TEMPLATE.sub(r"\\x7b", escaped) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char.isprintable():
        return char
    code = ord(char)
    if _FIRST_SURROGATE <= code <= _LAST_SURROGATE:  # half a character
        return "?"
    if code < _TWO_DIGITS:
        return f"\\x{code:02x}"
    if code < _FOUR_DIGITS:
        return f"\\u{code:04x}"
    return f"\\U{code:08x}"
