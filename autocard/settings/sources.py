"""The places that settings come from, from the strongest to the weakest."""

from __future__ import annotations

import configparser
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autocard import files
from autocard.errors import SettingsError
from autocard.settings.nearest import did_you_mean, nearest, question, quoted
from autocard.settings.values import READERS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_PREFIX = "AUTOCARD_"
_SITE_FILE = "/etc/autocard.toml"
_VARIABLES = set(READERS) - {"facts"} | {"disabled", "site"}
"""What may stand behind the prefix in the environment."""
PERSONS_FACTS = (
    "license",
    "language",
    "developers",
    "funded_by",
    "shared_by",
    "model_description",
    "direct_use",
    "limitations",
    "citation_bibtex",
    "paper",
    "repo",
    "demo",
)
"""Facts that are taken for settings now and then."""
_NO_FILE = "there is no such file"
_MEND_SITE = "Correct the path, or unset the variable"
_ALL = "All settings: help(autocard.AutoCardCallback)."
_OUR_TABLE = re.compile(
    r"^\s*\[+\s*[\"']?(tool)[\"']?\s*\.\s*[\"']?autocard\b|^\s*autocard\s*[.=]", re.MULTILINE
)
"""The table of autocard in a pyproject.toml that cannot be parsed: [tool.autocard]."""

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
    where: Callable[[str, object], str]
    """Setting and value → how a message names them: "AUTOCARD_PUE=0.9"."""
    unread: str = ""
    """Why its file could not be read, and what follows; empty: it was, or there is none."""

    def given_as(self, name: str) -> str:
        """Return how a message names the setting *name* of this place."""
        return self.where(name, self.values[name])


def read_sources(
    arguments: Mapping[str, Any], environ: Mapping[str, str], folder: Path | None
) -> list[Source]:
    """Return the sources, from the strongest to the weakest; *folder*: where files are looked for.

    Raises:
        SettingsError: one of them has a setting that does not exist, or cannot be read.
    """
    _check_arguments(arguments)
    _check_variables(environ)
    return [
        Source("argument", arguments, argument),
        Source("AUTOCARD_* variable", _variables(environ), _variable),
        _project(folder),
        _site(environ.get("AUTOCARD_SITE", "")),
        _codecarbon(environ, folder),
    ]


def argument(name: str, value: object) -> str:
    """Return how a message names an argument: "argument pue=0.9"."""
    return f"argument {name}={quoted(value)}"


def _variable(name: str, value: object) -> str:
    return f"{_PREFIX}{name.upper()}={value}"


def _check_arguments(arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that do not exist."""
    unknown = [name for name in arguments if name not in READERS]
    _refuse([_unknown(argument(name, arguments[name]), name) for name in unknown])


def _check_variables(environ: Mapping[str, str]) -> None:
    """Refuse variables that do not exist: a typo would have no effect."""
    problems = []
    for name, value in sorted(environ.items()):
        setting = name.upper().removeprefix(_PREFIX).lower()
        if name.upper() == f"{_PREFIX}{setting.upper()}" != name and setting in _VARIABLES:
            problems.append(f"{name}={value}: did you mean {name.upper()}? Or unset it.")
        if not name.startswith(_PREFIX) or setting in _VARIABLES:
            continue
        near = [f"{_PREFIX}{one.upper()}" for one in nearest(setting, sorted(_VARIABLES))]
        hint = question(near, f"Unset it. {_ALL}") + (" Or unset it." if near else "")
        if setting == "facts" or setting in PERSONS_FACTS:
            hint = " Facts are given as the argument facts, or in [tool.autocard.facts]."
        problems.append(f"{name}={value}: there is no such variable.{hint}")
    _refuse(problems)


def _unknown(where: str, name: str) -> str:
    """Return the message for a setting called *name*, which does not exist."""
    if name in PERSONS_FACTS:
        return f'{where}: {name} is a fact, not a setting. Give it as facts={{"{name}": "…"}}.'
    return f"{where}: there is no setting {name}.{did_you_mean(name, READERS, _ALL)}"


def _refuse(problems: list[str]) -> None:
    if problems:
        raise SettingsError("\n".join(problems))


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that variables give; an empty variable gives none."""
    values = {}
    for name in READERS:
        value = environ.get(_PREFIX + name.upper(), "")
        if value.strip() and name in _VARIABLES:
            values[name] = value
    return values


# -- TOML ------------------------------------------------------------------------------------------


def _project(folder: Path | None) -> Source:
    """Return `[tool.autocard]` of the nearest pyproject.toml at or above *folder*."""
    name = "pyproject.toml"
    folders = () if folder is None else (folder, *folder.parents)
    file = next((place / name for place in folders if files.is_file(place / name)), None)
    if file is None:
        return Source(name, {}, argument)
    try:
        text = _read(file, str(file))
    except OSError as exc:
        why = f"it cannot be read ({files.reason(exc)})"
        return Source(name, {}, argument, _unread(str(file), why, "Make it readable"))
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        if not _OUR_TABLE.search(text):
            return Source(name, {}, argument)  # other tools report it
        raise SettingsError(_not_toml(file, exc)) from exc
    tools = tables.get("tool")
    tools = tools if isinstance(tools, dict) else {}
    for other in [*(f"tool.{tool}" for tool in tools), *tables]:
        if other != "tool.autocard" and _is_ours(other):
            where = f"{file}:{_line(text, other)}"
            _refuse([f"{where}: [{other}] is read by nothing. Did you mean [tool.autocard]?"])
    return _of_toml(name, file, text, tools.get("autocard", {}))


def _is_ours(table: str) -> bool:
    """Return whether a *table* of a pyproject.toml can only be a misspelt [tool.autocard]."""
    word = re.sub(r"[-_.\s]", "", table.removeprefix("tool.").casefold())
    return word in {"autocard", "autocards", "autcard", "autocrad", "autocad"}


def _site(given: str) -> Source:
    """Return the site file, at the path *given* or at its usual place."""
    file = files.expanded(Path(given or _SITE_FILE))
    where = f"AUTOCARD_SITE={given}" if given else _SITE_FILE
    none = Source("site file", {}, argument)
    try:
        text = _read(file, where)
    except FileNotFoundError:
        return replace(none, unread=_unread(where, _NO_FILE, _MEND_SITE)) if given else none
    except OSError as exc:
        mend = _MEND_SITE if given else "Ask the administrator of this machine to make it readable"
        why = f"it cannot be read ({files.reason(exc)})"
        return replace(none, unread=_unread(where, why, mend))
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise SettingsError(_not_toml(file, exc)) from exc
    if "tool" in table:
        where = f"{file}:{_line(text, 'tool.autocard')}"
        _refuse([f"{where}: a site file has its settings at the top, without [tool.autocard]."])
    return _of_toml("site file", file, text, table)


def _unread(where: str, why: str, mend: str) -> str:
    """Return the message for a file that this machine does not have, or does not let read."""
    return f"{where}: {why}. Training goes on without its settings. {mend}."


def _read(file: Path, where: str) -> str:
    """Return the text of *file*.

    Raises:
        OSError: it cannot be read.
        SettingsError: it is no text.
    """
    try:
        return files.read_text(file, files.SMALL_BYTES)
    except UnicodeDecodeError as exc:
        msg = f"{where}: the file cannot be read (it is not UTF-8 text). Correct it, or remove it."
        raise SettingsError(msg) from exc


def _not_toml(file: Path, exc: Exception) -> str:
    # tomllib's messages end in "(at line 3, column 15)".
    problem, _, place = str(exc).rpartition(" (at ")
    line = re.search(r"line (\d+)", place)
    where = f"{file}:{line[1]}" if line else str(file)
    return f"{where}: this is not TOML: {problem or exc}. Correct it; nothing in it was read."


def _of_toml(name: str, file: Path, text: str, table: object) -> Source:
    """Return the settings in *table* of *file*, whose text is *text*."""
    if not isinstance(table, dict):
        line = _line(text, "autocard")
        _refuse([f"{file}:{line}: autocard must be a table, such as [tool.autocard]."])
        return Source(name, {}, argument)

    def where(setting: str, value: object) -> str:
        return f"{file}:{_line(text, setting)}: {setting} = {_as_toml(value)}"

    unknown = [key for key in table if key not in READERS]
    _refuse([_unknown(where(key, table[key]), key) for key in unknown])
    return Source(name, table, where)


def _line(text: str, key: str) -> int:
    """Return the number of the line of *text* that sets *key*, or begins the table of that name."""
    last = key.rpartition(".")[2]
    wanted = re.compile(rf"\s*(\[.*)?[\"']?{re.escape(last)}[\"']?\s*([=.\]]|$)")
    lines = text.splitlines()
    return next((number for number, line in enumerate(lines, 1) if wanted.match(line)), 1)


def _as_toml(value: object) -> str:
    """Return *value* as TOML writes it, cut where it is long."""
    if isinstance(value, bool):
        return str(value).lower()
    return quoted(value).replace("'", '"')


# -- CodeCarbon ------------------------------------------------------------------------------------


def _codecarbon(environ: Mapping[str, str], folder: Path | None) -> Source:
    """Return place, PUE, intensity and powers as CodeCarbon's files and variables have them.

    The order is CodeCarbon's own: the home folder, the current folder, variables; the last wins.
    """
    theirs: dict[str, str] = {}
    places: dict[str, str] = {}
    home = environ.get("HOME")
    for place in (Path(home) if home else None, folder):
        if place is not None:
            file = place / ".codecarbon.config"
            found = _codecarbon_file(file)
            theirs.update(found)
            places.update(dict.fromkeys(found, f"{file}: "))
    for name, value in environ.items():
        if name.lower().startswith("codecarbon_"):
            key = name.lower().removeprefix("codecarbon_")
            theirs[key], places[key] = value, "CODECARBON_"
    values = {}
    for their_name, name in _FROM_CODECARBON.items():
        value = theirs.get(their_name, "")
        if value.strip():
            values[name] = value

    def where(setting: str, value: object) -> str:
        name = next(theirs for theirs, ours in _FROM_CODECARBON.items() if ours == setting)
        place = places.get(name, "")
        return f"{place}{name.upper() if place == 'CODECARBON_' else name}={value}"

    return Source("CodeCarbon's configuration", values, where)


def _codecarbon_file(file: Path) -> Mapping[str, str]:
    """Return the section of CodeCarbon in *file*; empty where it cannot be read."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(files.read_text(file, files.SMALL_BYTES))
    except (configparser.Error, OSError, UnicodeDecodeError):
        return {}
    return dict(parser["codecarbon"]) if parser.has_section("codecarbon") else {}
