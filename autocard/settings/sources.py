"""The places that settings come from, from the strongest to the weakest."""

from __future__ import annotations

import configparser
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autocard import files
from autocard.errors import SettingsError
from autocard.settings.values import READERS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_PREFIX = "AUTOCARD_"
_SITE_FILE = "/etc/autocard.toml"
_VARIABLES = set(READERS) - {"facts"} | {"disabled", "site"}
"""What may stand behind the prefix in the environment."""

_FROM_CODECARBON = {
    "country_iso_code": "country_iso_code",
    "region": "region",
    "pue": "pue",
    "wue": "wue_l_per_kwh",
    "force_carbon_intensity_g_co2e_kwh": "carbon_intensity_g_per_kwh",
    "force_cpu_power": "cpu_power_w",
    "force_ram_power": "ram_power_w",
}
"""CodeCarbon's name of a setting → ours."""


@dataclass(frozen=True)
class Source:
    """One place, and the settings that it gives."""

    name: str
    """In words; the record has it."""
    values: Mapping[str, Any]
    """Setting → value as it was given."""


def read_sources(
    arguments: Mapping[str, Any], environ: Mapping[str, str], folder: Path | None
) -> list[Source]:
    """Return the sources, from the strongest to the weakest; *folder*: where files are looked for.

    Raises:
        SettingsError: one of them has a setting that does not exist, or cannot be read.
    """
    _check_names(arguments, environ)
    site = environ.get("AUTOCARD_SITE")
    return [
        Source("argument", arguments),
        Source("AUTOCARD_* variable", _variables(environ)),
        Source("pyproject.toml", _project(folder)),
        Source("site file", _toml(Path(site or _SITE_FILE), (), required=bool(site))),
        Source("CodeCarbon's configuration", _codecarbon(environ, folder)),
    ]


def _check_names(arguments: Mapping[str, Any], environ: Mapping[str, str]) -> None:
    """Refuse arguments and variables that do not exist: a typo would have no effect."""
    unknown = sorted(set(arguments) - set(READERS))
    if unknown:
        msg = (
            f"AutoCardCallback: no such argument: {', '.join(unknown)}. "
            f"Known: {', '.join(sorted(READERS))}."
        )
        raise SettingsError(msg)
    ours = [name for name in environ if name.startswith(_PREFIX)]
    unknown = sorted(name for name in ours if name.removeprefix(_PREFIX).lower() not in _VARIABLES)
    if unknown:
        known = ", ".join(f"{_PREFIX}{name.upper()}" for name in sorted(_VARIABLES))
        msg = (
            f"{', '.join(unknown)}: no such variable of autocard. "
            f"Unset it, or correct it. Known: {known}."
        )
        raise SettingsError(msg)


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that variables give; an empty variable gives none."""
    values = {}
    for name in READERS:
        value = environ.get(_PREFIX + name.upper(), "")
        if value.strip() and name in _VARIABLES:
            values[name] = value
    return values


def _project(folder: Path | None) -> dict[str, Any]:
    """Return `[tool.autocard]` of the nearest pyproject.toml at or above *folder*."""
    if folder is None:
        return {}
    for place in (folder, *folder.parents):
        file = place / "pyproject.toml"
        if file.is_file():
            return _toml(file, ("tool", "autocard"), required=False)
    return {}


def _toml(file: Path, keys: Sequence[str], *, required: bool) -> dict[str, Any]:
    """Return the table at *keys* of *file*; empty: there is no file, and none is *required*."""
    try:
        table: Any = tomllib.loads(files.read_text(file, files.SMALL_BYTES))
    except FileNotFoundError:
        if required:
            msg = f"AUTOCARD_SITE: there is no file {file.name}. Unset the variable, or correct it."
            raise SettingsError(msg) from None
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        if keys and not required and isinstance(exc, tomllib.TOMLDecodeError):
            return {}  # a pyproject.toml of the user's: their own tools report it
        msg = f"{file.name}: cannot be read as TOML ({exc}). Correct it, or remove it."
        raise SettingsError(msg) from exc
    for key in keys:
        table = table.get(key, {})
    unknown = sorted(set(table) - set(READERS))
    if unknown:
        msg = (
            f"{file.name}: no such setting of autocard: {', '.join(unknown)}. "
            f"Known: {', '.join(sorted(READERS))}."
        )
        raise SettingsError(msg)
    return dict(table)


# -- CodeCarbon ------------------------------------------------------------------------------------


def _codecarbon(environ: Mapping[str, str], folder: Path | None) -> dict[str, str]:
    """Return place, PUE, intensity and powers as CodeCarbon's files and variables have them.

    The order is CodeCarbon's own: the home folder, the current folder, variables; the last wins.
    """
    theirs: dict[str, str] = {}
    home = environ.get("HOME")
    for place in (Path(home) if home else None, folder):
        if place is not None:
            theirs.update(_codecarbon_file(place / ".codecarbon.config"))
    for name, value in environ.items():
        if name.lower().startswith("codecarbon_"):
            theirs[name.lower().removeprefix("codecarbon_")] = value
    values = {}
    for their_name, name in _FROM_CODECARBON.items():
        value = theirs.get(their_name, "")
        if value.strip():
            values[name] = value
    return values


def _codecarbon_file(file: Path) -> Mapping[str, str]:
    """Return the section of CodeCarbon in *file*; empty where it cannot be read."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(files.read_text(file, files.SMALL_BYTES))
    except (configparser.Error, OSError, UnicodeDecodeError):
        return {}
    return dict(parser["codecarbon"]) if parser.has_section("codecarbon") else {}
