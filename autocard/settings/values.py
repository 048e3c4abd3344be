"""Read and check the value of each setting, whatever place it came from.

A reader gets the value and the words that name it in a message ("pue (from argument)"). It returns
the value in its own type, or raises `SettingsError` with what would do.
"""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from autocard.errors import SettingsError

EMPTY = ("comment", "placeholder")
DETAILS = ("standard", "full", "brief")
FRONT_MATTER = "front_matter"
SECTIONS = (
    FRONT_MATTER,
    "details",
    "uses",
    "bias",
    "get_started",
    "training",
    "procedure",
    "evaluation",
    "testing",
    "examination",
    "environment",
    "technical",
    "compute",
    "citation",
    "acknowledgements",
    "glossary",
    "more",
    "authors",
    "contact",
    "versions",
)
"""What a card can be limited to: the front matter, and the sections of templates/labels.yaml."""
UNITS = {unit.lower(): unit for unit in ("J", "mJ", "uJ", "kJ", "Wh", "kWh")}
"""Of a node meter. "mJ" is millijoules: no node counts in megajoules."""
TRUE_WORDS = {"1", "true", "yes", "on"}
FALSE_WORDS = {"0", "false", "no", "off", ""}
_HOST = re.compile(r"(?!-)[a-z0-9-]+(\.[a-z0-9-]+)*")
"""A name of a host: git.example.org, localhost."""
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
"""An id of the Hub: gpt2, org/model-v1.2."""


def _text(value: object, what: str) -> str:
    """Return a text that is not blank."""
    if not isinstance(value, str | os.PathLike) or not str(value).strip():
        msg = f"{what}: {value!r} is not a text. Leave it out, or give one."
        raise SettingsError(msg)
    return str(value)


def _flag(value: object, what: str) -> bool:
    """Return a truth value, given as one or in words."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in TRUE_WORDS | FALSE_WORDS:
        return value.strip().lower() in TRUE_WORDS
    msg = f"{what}: {value!r} is neither true nor false."
    raise SettingsError(msg)


def _number(least: float, unit: str, *, above: bool = False) -> Callable[[object, str], float]:
    """Return a reader of finite numbers of at least *least* (*above*: more than that)."""

    def read(value: object, what: str) -> float:
        try:
            # True and False are no numbers here, although Python takes them for 1 and 0.
            number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            number = math.nan
        is_large_enough = number > least if above else number >= least
        if not math.isfinite(number) or not is_large_enough:
            limit = f"{'above' if above else 'of at least'} {least:g}{unit}"
            msg = f"{what}: {value!r} is not a number {limit}."
            raise SettingsError(msg)
        return number

    return read


def _country(value: object, what: str) -> str:
    """Return the ISO 3166-1 alpha-3 code of a country."""
    import pycountry  # noqa: PLC0415 - only where a country is given

    code = _text(value, what).strip().upper()
    is_alpha_2 = len(code) == len("FR")
    country = pycountry.countries.get(**{"alpha_2" if is_alpha_2 else "alpha_3": code})
    if country is None:
        msg = (
            f"{what}: {value!r} is no ISO 3166-1 code of a country. "
            "Give three letters, such as FRA or USA."
        )
        raise SettingsError(msg)
    return str(country.alpha_3)


def _hub_id(value: object, what: str) -> str:
    """Return an id of the Hub."""
    text = _text(value, what).strip()
    if not _HUB_ID.fullmatch(text) or Path(text).is_absolute():
        msg = (
            f"{what}: {value!r} is no id of the Hugging Face Hub. "
            "Give one of the form owner/name, never a path."
        )
        raise SettingsError(msg)
    return text


def _hub_ids(value: object, what: str) -> tuple[str, ...]:
    """Return ids of the Hub, given as a list or with commas between them."""
    ids = value.split(",") if isinstance(value, str) else value
    if not isinstance(ids, Sequence):
        msg = f"{what}: {value!r} is not a list of Hub ids."
        raise SettingsError(msg)
    return tuple(_hub_id(item, what) for item in ids)


def _hosts(value: object, what: str) -> tuple[str, ...]:
    """Return names of hosts, given as a list or with commas between them."""
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, Sequence):
        msg = f"{what}: {value!r} is not a list of host names."
        raise SettingsError(msg)
    hosts = tuple(_text(name, what).strip().lower() for name in names)
    for host in hosts:
        if not _HOST.fullmatch(host):
            msg = (
                f"{what}: {host!r} is no name of a host. "
                "Give one such as git.example.org, without https:// or a path."
            )
            raise SettingsError(msg)
    return hosts


def _facts(value: object, what: str) -> dict[str, str]:
    """Return template variable → text."""
    if not isinstance(value, Mapping):
        msg = f"{what}: {value!r} is not a mapping of template variables to texts."
        raise SettingsError(msg)
    facts = {}
    for name, text in value.items():
        if not isinstance(name, str) or not name.isidentifier():
            msg = (
                f"{what}: {name!r} is no template variable. "
                "Names look like license, language, developers."
            )
            raise SettingsError(msg)
        words = _words(text)
        if not words.strip():
            msg = f"{what}: {name} is empty. Leave it out, or give it a text."
            raise SettingsError(msg)
        facts[name] = words
    return facts


def _words(text: object) -> str:
    """Return a fact's text; a list is joined by commas."""
    if text is None:
        return ""
    if isinstance(text, Sequence) and not isinstance(text, str):
        return ", ".join(str(item) for item in text)
    return str(text)


def _unit(value: object, what: str) -> str:
    """Return a unit of energy in its usual spelling."""
    if not isinstance(value, str) or value.strip().lower() not in UNITS:
        known = ", ".join(UNITS.values())
        msg = f"{what}: {value!r} is no unit of energy that is known here: {known}."
        raise SettingsError(msg)
    return UNITS[value.strip().lower()]


def _empty(value: object, what: str) -> str:
    """Return how a new card shows empty slots."""
    if value not in EMPTY:
        msg = f'{what}: {value!r}: "comment" or "placeholder".'
        raise SettingsError(msg)
    return str(value)


def read_detail(value: object, what: str) -> str:
    """Return how much of a card stands open."""
    if isinstance(value, str) and value.strip().lower() in DETAILS:
        return value.strip().lower()
    msg = f'{what}: {value!r}: "standard", "full" or "brief".{_nearest(value, DETAILS)}'
    raise SettingsError(msg)


def read_sections(value: object, what: str) -> tuple[str, ...]:
    """Return names of sections, given as a list or with commas between them; "all" is all."""
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, Sequence):
        msg = f"{what}: {value!r} is not a list of sections: {', '.join(SECTIONS)}."
        raise SettingsError(msg)
    wanted = [_text(name, what).strip().lower() for name in names]
    if wanted == ["all"]:
        return SECTIONS
    for name in wanted:
        if name not in SECTIONS:
            known = f" Known: all, {', '.join(SECTIONS)}."
            msg = f"{what}: no such section: {name}.{_nearest(name, SECTIONS) or known}"
            raise SettingsError(msg)
    return tuple(name for name in SECTIONS if name in wanted)


def _nearest(value: object, known: Sequence[str]) -> str:
    """Return a question that names the one of *known* that looks most like *value*, or ""."""
    near = difflib.get_close_matches(str(value).lower(), known, n=1)
    return f" Did you mean {near[0]}?" if near else ""


READERS: dict[str, Callable[[object, str], Any]] = {
    "template": _text,
    "card": _text,
    "base_model": _hub_id,
    "datasets": _hub_ids,
    "facts": _facts,
    "country_iso_code": _country,
    "region": _text,
    "geolocate": _flag,
    "carbon_intensity_g_per_kwh": _number(0, " g/kWh"),
    "market_based_co2eq_g": _number(0, " g"),
    "pue": _number(1, ""),
    "wue_l_per_kwh": _number(0, " L/kWh"),
    "cpu_power_w": _number(0, " W", above=True),
    "ram_power_w": _number(0, " W", above=True),
    "measure_power_secs": _number(0.1, " s"),
    "node_meter": _text,
    "node_meter_unit": _unit,
    "ledger_dir": _text,
    "empty": _empty,
    "detail": read_detail,
    "sections": read_sections,
    "emissions": _flag,
    "last_word": _flag,
    "remote_hosts": _hosts,
    "plots": _flag,
    "quiet": _flag,
}
"""Setting → the function that reads and checks its value. The names are the contract."""
