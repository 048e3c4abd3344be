"""Read and check the value of each setting, whatever place it came from.

A reader gets the value and the words that name it in a message ("argument pue=0.9"). It returns the
value in its own type, or raises `SettingsError`: what is wrong, and what would do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from autocard import files
from autocard.errors import SettingsError
from autocard.settings.countries import country_code, did_you_mean_country, in_a_sentence
from autocard.settings.nearest import did_you_mean, listed, quoted
from autocard.settings.numeric import reader as number
from autocard.settings.regions import region_of_code, regions_called

EMPTY = ("comment", "placeholder")
DETAILS = ("standard", "full", "brief")
FRONT_MATTER = "front_matter"
SECTIONS: tuple[str, ...] = (
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
TRUE_WORDS = {"1", "true", "yes", "on", "y", "t"}
FALSE_WORDS = {"0", "false", "no", "off", "n", "f", ""}
_HOST = re.compile(r"(?!-)[a-z0-9-]+(\.[a-z0-9-]+)*")
"""A name of a host: git.example.org, localhost."""
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
"""An id of the Hub: gpt2, org/model-v1.2."""
_HUB_ADDRESS = re.compile(r"(?:https?://)?(?:huggingface\.co|hf\.co)/(?:datasets/|models/)?(.+)")
"""The address of a page of the Hub: https://huggingface.co/datasets/org/set."""


def refuse(what: str, problem: str) -> NoReturn:
    """Raise the error of a setting: *what* names it, its value and its place."""
    msg = f"{what}: {problem}"
    raise SettingsError(msg)


def _text(value: object, what: str) -> str:
    """Return a text that is not blank."""
    if not isinstance(value, str | os.PathLike):
        refuse(what, f"a text is needed, not {_kind(value)}.")
    if not str(value).strip():
        refuse(what, "the text is empty. Leave the setting out, or give one.")
    return str(value)


def _kind(value: object) -> str:
    """Return what *value* is, in words."""
    words = {
        bool: "a truth value",
        int: "a number",
        float: "a number",
        str: "a text",
        dict: "a table",
        type(None): "None",
    }
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return "a list"
    return words.get(type(value)) or f"an object of type {type(value).__name__}"


def _flag(value: object, what: str) -> bool:
    """Return a truth value, given as one, as 1 or 0, or in words."""
    word = str(value).strip().lower()
    if word in TRUE_WORDS | FALSE_WORDS:
        return word in TRUE_WORDS
    return refuse(what, "true or false is needed (also: yes, no, on, off, 1, 0).")


def _choice(*options: str) -> Callable[[object, str], str]:
    """Return a reader of one of *options*, in any case."""

    def read(value: object, what: str) -> str:
        word = _text(value, what).strip().lower()
        if word in options:
            return word
        known = listed([f'"{option}"' for option in options])
        return refuse(what, f"{known} is needed.{did_you_mean(word, options)}")

    return read


def _list(value: object, what: str, items: str) -> list[str]:
    """Return texts, given as a list or with commas between them; *items*: what they are."""
    if isinstance(value, str):
        value = [item for item in value.split(",") if item.strip()] or [value]
    if not isinstance(value, Collection) or isinstance(value, Mapping | bytes):
        refuse(what, f"{items} are needed, as a list or with commas between them.")
    return [_text(item, what).strip() for item in value]


# -- places ----------------------------------------------------------------------------------------


_grams = number(0, "g/kWh", most=5000)


def _intensity(value: object, what: str) -> float:
    """Return grams per kWh; a fraction of a gram can only be meant as kilograms."""
    grams = _grams(value, what)
    if 0 < grams < 1:
        refuse(what, f"the number is in grams per kWh. Did you mean {grams * 1000:g}?")
    return grams


def read_country(value: object, what: str) -> str:
    """Return the ISO 3166-1 alpha-3 code of a country, given by code or name."""
    text = _text(value, what).strip()
    code = country_code(text)
    if code is not None:
        return code
    regions = [one for one in (region_of_code(text), *regions_called(text)) if one is not None]
    if regions:
        one = regions[0]
        refuse(
            what,
            f"{one.name} is a region of {in_a_sentence(one.country_iso_code)}. "
            f'Give country_iso_code="{one.country_iso_code}" and region="{one.code}".',
        )
    return refuse(what, f"there is no such country.{did_you_mean_country(text)}")


# -- names of the Hub, and hosts -------------------------------------------------------------------


def _hub_id(value: object, what: str) -> str:
    """Return an id of the Hub."""
    text = _text(value, what).strip()
    if _HUB_ID.fullmatch(text):
        return text
    address = _HUB_ADDRESS.fullmatch(text.rstrip("/"))
    if address and _HUB_ID.fullmatch(address[1]):
        refuse(what, f"an id of the Hub is needed, not an address. Did you mean {address[1]}?")
    return refuse(
        what,
        f"{quoted(text)} cannot be an id of the Hugging Face Hub. "
        "Give one such as owner/name, never a path.",
    )


def _hub_ids(value: object, what: str) -> tuple[str, ...]:
    """Return ids of the Hub, given as a list or with commas between them."""
    return tuple(_hub_id(item, what) for item in _list(value, what, "ids of the Hub"))


def _hosts(value: object, what: str) -> tuple[str, ...]:
    """Return names of hosts, given as a list or with commas between them."""
    hosts = tuple(name.lower() for name in _list(value, what, "names of hosts"))
    for host in hosts:
        if not _HOST.fullmatch(host):
            refuse(
                what,
                f"{quoted(host)} cannot be the name of a host. "
                "Give one such as git.example.org, without https:// or a path.",
            )
    return hosts


# -- facts and files -------------------------------------------------------------------------------


def _facts(value: object, what: str) -> dict[str, str]:
    """Return template variable → text."""
    if not isinstance(value, Mapping):
        refuse(
            what, f'names and texts are needed, such as {{"license": "mit"}}, not {_kind(value)}.'
        )
    facts = {}
    for name, text in value.items():
        if not isinstance(name, str) or not name.isidentifier():
            refuse(
                what,
                f"{quoted(name)} cannot be the name of a fact. "
                "Names look like license, language, developers.",
            )
        facts[name] = _fact(name, text, what)
    return facts


def _fact(name: str, text: object, what: str) -> str:
    """Return a fact's text; a list is joined by commas."""
    if isinstance(text, Mapping):
        refuse(what, f"{name}: a text or a list of texts is needed, not a table.")
    if isinstance(text, Collection) and not isinstance(text, str):
        text = ", ".join(str(item) for item in text)
    words = "" if text is None else str(text)
    if not words.strip():
        refuse(what, f"{name} is empty. Leave it out, or give it a text.")
    return words


def _card(value: object, what: str) -> str:
    """Return the path of a card."""
    path = _text(value, what)
    if files.is_folder(Path(path)):
        refuse(what, f"this is a folder. Did you mean {Path(path) / 'README.md'}?")
    return path


def _unit(value: object, what: str) -> str:
    """Return a unit of energy in its usual spelling."""
    word = _text(value, what).strip()
    if word.lower() not in UNITS:
        refuse(what, f"a unit of energy is needed: {listed(list(UNITS.values()))}.")
    return UNITS[word.lower()]


read_detail = _choice(*DETAILS)


def read_sections(value: object, what: str) -> tuple[str, ...]:
    """Return names of sections, given as a list or with commas between them; "all" is all."""
    wanted = [name.lower() for name in _list(value, what, "names of sections")]
    for name in wanted:
        if name not in (*SECTIONS, "all"):
            known = did_you_mean(name, SECTIONS, f"There are: all, {', '.join(SECTIONS)}.")
            refuse(what, f"there is no section {quoted(name)}.{known}")
    return tuple(name for name in SECTIONS if name in wanted or "all" in wanted)


READERS: dict[str, Callable[[object, str], Any]] = {
    "template": _text,
    "card": _card,
    "base_model": _hub_id,
    "datasets": _hub_ids,
    "facts": _facts,
    "country_iso_code": read_country,
    "region": _text,
    "geolocate": _flag,
    "carbon_intensity_g_per_kwh": _intensity,
    "market_based_co2eq_g": number(0, "g"),
    "pue": number(1, "", most=10),
    "wue_l_per_kwh": number(0, "L/kWh"),
    "cpu_power_w": number(0, "W", above=True),
    "ram_power_w": number(0, "W", above=True),
    "measure_power_secs": number(0.1, "s"),
    "node_meter": _text,
    "node_meter_unit": _unit,
    "ledger_dir": _text,
    "empty": _choice(*EMPTY),
    "detail": read_detail,
    "sections": read_sections,
    "emissions": _flag,
    "last_word": _flag,
    "remote_hosts": _hosts,
    "plots": _flag,
    "quiet": _flag,
}
"""Setting → the function that reads and checks its value. The names are the contract."""
