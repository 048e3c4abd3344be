"""Arguments, variables and files → one set of settings, each with the place that it came from.

First wins: arguments of the callback, `AUTOCARD_*` variables, `[tool.autocard]` of the nearest
pyproject.toml, a site file that an administrator sets once (`AUTOCARD_SITE`, else
/etc/autocard.toml), CodeCarbon's own configuration (place, PUE, intensity, powers). Imports the
standard library; pycountry when a country is given.
"""

from __future__ import annotations

import configparser
import math
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autocard import files
from autocard.errors import SettingsError

EMPTY = ("comment", "placeholder")
UNITS = {unit.lower(): unit for unit in ("J", "mJ", "uJ", "kJ", "Wh", "kWh")}
"""Of a node meter. "mJ" is millijoules: no node counts in megajoules."""
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}
_HOST = re.compile(r"(?!-)[a-z0-9-]+(\.[a-z0-9-]+)*")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True)
class Settings:
    """What a user can decide. Every field may stay at its default."""

    template: str | None = None
    """A shipped template's name, or the path of a Markdown or Jinja file; None: the Hub's own
    template."""
    card: str | None = None
    """Path of the card; None: <output_dir>/README.md."""
    base_model: str | None = None
    """Hub id of the base model; None: found out."""
    datasets: tuple[str, ...] = ()
    """Hub ids of the training data; empty: found out."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Template variable to what a person says of it: license, language, developers, …"""
    country_iso_code: str | None = None
    """ISO 3166-1 alpha-3 (alpha-2 is taken too)."""
    region: str | None = None
    """State or province, in the words of CodeCarbon's tables."""
    geolocate: bool = False
    """Whether the place may be looked up over the network, once, when measuring starts."""
    carbon_intensity_g_per_kwh: float | None = None
    """Grid intensity, instead of CodeCarbon's yearly mean of the country."""
    market_based_co2eq_g: float | None = None
    """Market-based emissions of the run, from contracts: nobody can measure them."""
    pue: float | None = None
    """Power usage effectiveness of the building, ≥ 1; None: not given."""
    wue_l_per_kwh: float | None = None
    """Water usage effectiveness."""
    cpu_power_w: float | None = None
    """Power of the node's CPU packages at full load, where CodeCarbon does not know the CPU."""
    ram_power_w: float | None = None
    """Power of the node's memory."""
    measure_power_secs: float = 15.0
    """Seconds between readings."""
    node_meter: str | None = None
    """File in which the node counts its own energy, or folder that holds it as `energy`; None:
    Cray's, where it is."""
    node_meter_unit: str = "J"
    """Unit of that number, where the file does not say it."""
    ledger_dir: str | None = None
    """Node-local folder for the ledger's ticks; None: the output folder."""
    empty: str = "comment"
    """How a new card shows what only people can fill: "comment" or "placeholder"."""
    emissions: bool = True
    """Whether energy and CO2 are measured."""
    last_word: bool = True
    """Whether our card is put back after the trainer's own writers have written theirs."""
    remote_hosts: tuple[str, ...] = ()
    """Git hosts that may be named as the code's remote, besides the public ones
    (`capture.code.PUBLIC_HOSTS`)."""
    plots: bool = False
    """Whether curves are drawn beside the card; needs the extra `plots` (matplotlib)."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Setting to where it came from; only those that were given."""


def disabled(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether `AUTOCARD_DISABLED` turns everything off."""
    return environ.get("AUTOCARD_DISABLED", "").strip().lower() not in _FALSE


def resolve(
    arguments: Mapping[str, Any],
    environ: Mapping[str, str] = os.environ,
    folder: Path | None = None,
) -> Settings:
    """Return the settings that *arguments*, *environ* and the files seen from *folder* (default: here) give.

    Raises:
        SettingsError: one of them cannot be meant; says which, where it came from, and what would
            do.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for source, layer in _layers(arguments, environ, folder or _here()):
        for name, value in layer.items():
            if value is None or name in values:
                continue
            values[name] = _READ[name](value, f"{name} (from {source})")
            sources[name] = source
    _check_together(values, sources)
    return Settings(**values, sources=sources)


def _here() -> Path | None:
    """Return the current folder; None: it has been removed, so no file of a project can be found from it."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return None


def _layers(
    arguments: Mapping[str, Any], environ: Mapping[str, str], folder: Path | None
) -> list[tuple[str, Mapping[str, Any]]]:
    """Return (source in words, settings) from the strongest to the weakest."""
    unknown = sorted(set(arguments) - set(_READ))
    if unknown:
        msg = f"AutoCardCallback: no such argument: {', '.join(unknown)}. Known: {', '.join(sorted(_READ))}."
        raise SettingsError(msg)
    strange = sorted(
        name
        for name in environ
        if name.startswith("AUTOCARD_") and name.removeprefix("AUTOCARD_").lower() not in _VARIABLES
    )
    if strange:
        known = ", ".join(f"AUTOCARD_{name.upper()}" for name in sorted(_VARIABLES))
        msg = f"{', '.join(strange)}: no such variable of autocard. Unset it, or correct it. Known: {known}."
        raise SettingsError(msg)
    variables = {
        name: environ[f"AUTOCARD_{name.upper()}"]
        for name in _READ
        if environ.get(f"AUTOCARD_{name.upper()}", "").strip() and name != "facts"
    }
    site = environ.get("AUTOCARD_SITE")
    return [
        ("argument", arguments),
        ("AUTOCARD_* variable", variables),
        ("pyproject.toml", _project(folder)),
        ("site file", _toml(Path(site or "/etc/autocard.toml"), (), required=bool(site))),
        ("CodeCarbon's configuration", _codecarbon(environ, folder)),
    ]


def _project(folder: Path | None) -> dict[str, Any]:
    """Return `[tool.autocard]` of the nearest pyproject.toml at or above *folder*; None: there is no folder."""
    for place in () if folder is None else (folder, *folder.parents):
        file = place / "pyproject.toml"
        if file.is_file():
            return _toml(file, ("tool", "autocard"), required=False)
    return {}


def _toml(file: Path, keys: Sequence[str], *, required: bool) -> dict[str, Any]:
    """Return the table at *keys* of *file*; empty where there is none, unless it was asked for by name."""
    if sys.version_info >= (3, 11):
        import tomllib  # noqa: PLC0415 - only where a file may have to be read
    else:
        import tomli as tomllib  # noqa: PLC0415
    try:
        table: Any = tomllib.loads(files.read_text(file, files.SMALL_BYTES))
    except FileNotFoundError:
        if required:
            msg = f"AUTOCARD_SITE: there is no file {file.name}. Unset the variable, or correct it."
            raise SettingsError(msg) from None
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        if keys and not required and isinstance(exc, tomllib.TOMLDecodeError):
            return {}  # somebody else's pyproject.toml: their tools will say so
        msg = f"{file.name}: cannot be read as TOML ({exc}). Correct it, or remove it."
        raise SettingsError(msg) from exc
    for key in keys:
        table = table.get(key, {})
    unknown = sorted(set(table) - set(_READ))
    if unknown:
        msg = f"{file.name}: no such setting of autocard: {', '.join(unknown)}. Known: {', '.join(sorted(_READ))}."
        raise SettingsError(msg)
    return dict(table)


_FROM_CODECARBON = {
    "country_iso_code": "country_iso_code",
    "region": "region",
    "pue": "pue",
    "wue": "wue_l_per_kwh",
    "force_carbon_intensity_g_co2e_kwh": "carbon_intensity_g_per_kwh",
    "force_cpu_power": "cpu_power_w",
    "force_ram_power": "ram_power_w",
}


def _codecarbon(environ: Mapping[str, str], folder: Path | None) -> dict[str, Any]:
    """Return what CodeCarbon's variables and files say of place, PUE, intensity and powers (its own order)."""
    found: dict[str, str] = {}
    home = environ.get("HOME")
    places = [Path(home)] if home else []
    if folder is not None:
        places.append(folder)
    for place in places:
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read_string(files.read_text(place / ".codecarbon.config", files.SMALL_BYTES))
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        if parser.has_section("codecarbon"):
            found.update(parser["codecarbon"])
    found.update(
        {
            key.lower().removeprefix("codecarbon_"): value
            for key, value in environ.items()
            if key.lower().startswith("codecarbon_")
        }
    )
    return {
        ours: found[theirs]
        for theirs, ours in _FROM_CODECARBON.items()
        if found.get(theirs, "").strip()
    }


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str | os.PathLike) or not str(value).strip():
        msg = f"{what}: {value!r} is not a text. Leave it out, or give one."
        raise SettingsError(msg)
    return str(value)


def _flag(value: Any, what: str) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _TRUE | _FALSE:
        return value.strip().lower() in _TRUE
    msg = f"{what}: {value!r} is neither true nor false."
    raise SettingsError(msg)


def _number(least: float, unit: str, *, above: bool = False) -> Callable[[Any, str], float]:
    """Return a reader of finite numbers of at least *least* (*above*: more than that)."""

    def read(value: Any, what: str) -> float:
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number) or number < least or (above and number == least):
            msg = f"{what}: {value!r} is not a number {'above' if above else 'of at least'} {least:g}{unit}."
            raise SettingsError(msg)
        return number

    return read


def _country(value: Any, what: str) -> str:
    import pycountry  # noqa: PLC0415 - only where a country is given

    code = _text(value, what).strip().upper()
    country = pycountry.countries.get(**{"alpha_2" if len(code) == 2 else "alpha_3": code})  # noqa: PLR2004
    if country is None:
        msg = f"{what}: {value!r} is no ISO 3166-1 code of a country. Give three letters, such as FRA or USA."
        raise SettingsError(msg)
    return str(country.alpha_3)


def _hub_id(value: Any, what: str) -> str:
    text = _text(value, what).strip()
    if not _HUB_ID.fullmatch(text) or Path(text).is_absolute():
        msg = f"{what}: {value!r} is no id of the Hugging Face Hub. Give one of the form owner/name, never a path."
        raise SettingsError(msg)
    return text


def _hub_ids(value: Any, what: str) -> tuple[str, ...]:
    ids = value.split(",") if isinstance(value, str) else value
    if not isinstance(ids, Sequence):
        msg = f"{what}: {value!r} is not a list of Hub ids."
        raise SettingsError(msg)
    return tuple(_hub_id(item, what) for item in ids)


def _hosts(value: Any, what: str) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, Sequence):
        msg = f"{what}: {value!r} is not a list of host names."
        raise SettingsError(msg)
    hosts = tuple(_text(name, what).strip().lower() for name in names)
    for host in hosts:
        if not _HOST.fullmatch(host):
            msg = f"{what}: {host!r} is no name of a host. Give one such as git.example.org, without https:// or a path."
            raise SettingsError(msg)
    return hosts


def _facts(value: Any, what: str) -> dict[str, str]:
    if not isinstance(value, Mapping):
        msg = f"{what}: {value!r} is not a mapping of template variables to texts."
        raise SettingsError(msg)
    facts = {}
    for name, text in value.items():
        if not isinstance(name, str) or not name.isidentifier():
            msg = f"{what}: {name!r} is no template variable. Names look like license, language, developers."
            raise SettingsError(msg)
        if isinstance(text, Sequence) and not isinstance(text, str):
            text = ", ".join(str(item) for item in text)  # noqa: PLW2901
        if text is None or not str(text).strip():
            msg = f"{what}: {name} is empty. Leave it out, or say it."
            raise SettingsError(msg)
        facts[name] = str(text)
    return facts


def _unit(value: Any, what: str) -> str:
    if not isinstance(value, str) or value.strip().lower() not in UNITS:
        msg = f"{what}: {value!r} is no unit of energy that is known here: {', '.join(UNITS.values())}."
        raise SettingsError(msg)
    return UNITS[value.strip().lower()]


def _empty(value: Any, what: str) -> str:
    if value not in EMPTY:
        msg = f'{what}: {value!r}: "comment" or "placeholder".'
        raise SettingsError(msg)
    return str(value)


_READ: dict[str, Callable[[Any, str], Any]] = {
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
    "emissions": _flag,
    "last_word": _flag,
    "remote_hosts": _hosts,
    "plots": _flag,
}
"""Setting → how its value is read and checked. The names are the contract."""


_VARIABLES = set(_READ) - {"facts"} | {"disabled", "site"}
"""What may stand behind `AUTOCARD_` in the environment."""


def _check_together(values: dict[str, Any], sources: Mapping[str, str]) -> None:
    """Refuse what only makes sense together: a region without its country means nothing."""
    if "region" in values and "country_iso_code" not in values:
        msg = (
            f"region (from {sources['region']}): {values['region']!r} without a country. "
            "Give country_iso_code too, such as USA."
        )
        raise SettingsError(msg)
