"""What the Hub takes as a language: codes of ISO 639 in lower case, `code` and `multilingual`.

Regions and scripts (`zh-CN`) belong into the key `language_bcp47`, which has no rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pycountry

from autocard.card.check.fault import Fault, each, shown

_NOT_CODES = ("code", "multilingual")
"""What the Hub takes beside the codes."""
_CODE = re.compile(r"[a-z]{2,3}")
_TAGGED = re.compile(r"(?P<code>[A-Za-z]{2,3})[-_].+")
"""A code with a region, a script or another suffix: zh-CN, en_unnorm."""
_COUNTRY_CODES = {
    "cn": "zh",
    "cz": "cs",
    "dk": "da",
    "gr": "el",
    "jp": "ja",
    "kr": "ko",
    "ua": "uk",
    "vn": "vi",
}
"""Countries' codes that people write for the language, where no language has that code."""
_BCP47 = re.compile(r"[A-Za-z]{2,3}(?:[-_](?:[A-Za-z]{4}|[A-Za-z]{2}|\d{3}))+")
"""A code with a script or a region: zh-Hans, pt_BR, es-419."""


def faults(data: Any) -> Iterator[Fault]:
    """Yield what the Hub refuses of *data*, the value of the key `language`."""
    for place, item in each(data):
        if item is False:
            yield Fault(
                place, 'unquoted `no` is "false" to YAML; Norwegian is "no" in quotes, or nb or nn'
            )
        elif not isinstance(item, str):
            yield Fault(place, f"is {shown(item)}; a code of ISO 639 is wanted")
        elif item not in _NOT_CODES and not _is_code(item):
            yield Fault(place, _text(item))


def _text(item: str) -> str:
    """Return what is wrong with *item*, and what to write."""
    if "," in item:
        parts = [part.strip() for part in item.split(",")]
        if all(_is_code(part) for part in parts):
            return f"{item!r} is no list for YAML; write [{', '.join(parts)}]"
    tagged = _TAGGED.fullmatch(item)
    code = code_for(tagged["code"] if tagged else item)
    if code is None:
        return (
            f"{item!r} is no code of ISO 639 in lower case (en, deu), "
            "and neither `code` nor `multilingual`"
        )
    if _BCP47.fullmatch(item):
        tag = item.replace("_", "-")
        return (
            f"{item!r} is not accepted, only bare codes in lower case; "
            f"write `{code}`, and `language_bcp47: {tag}` for the rest"
        )
    return f"{item!r} is not accepted, only bare codes in lower case; write `{code}`"


def code_for(name: str) -> str | None:
    """Return the code for the language *name*, a code in any case or its English name."""
    lower = name.strip().lower()
    if lower in _NOT_CODES or _is_code(lower):
        return lower
    if lower in _COUNTRY_CODES:
        return _COUNTRY_CODES[lower]
    if not lower.isascii() or not lower.replace(" ", "").isalpha():
        return None
    found = pycountry.languages.get(name=lower.title())
    return None if found is None else str(getattr(found, "alpha_2", found.alpha_3))


def _is_code(text: str) -> bool:
    if not _CODE.fullmatch(text):
        return False
    names = ("alpha_2", "alpha_3", "bibliographic")
    if any(pycountry.languages.get(**{name: text}) is not None for name in names):
        return True
    return pycountry.language_families.get(alpha_3=text) is not None
