"""Arguments, variables and files → one set of settings, each with the place that it came from.

First wins: arguments of the callback, `AUTOCARD_*` variables, `[tool.autocard]` of the nearest
pyproject.toml, a site file that an administrator sets once (`AUTOCARD_SITE`, else
/etc/autocard.toml), CodeCarbon's own configuration (place, PUE, intensity, powers). `sources` reads
these, `values` reads and checks each value, `one_place` joins country and region. Imports the
standard library; pycountry when a country is given.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autocard.settings.one_place import settle_place
from autocard.settings.sources import Source, read_sources
from autocard.settings.values import FALSE_WORDS, READERS


@dataclass(frozen=True)
class Settings:
    """What a user can decide. Every field may stay at its default."""

    template: str | None = None
    """A shipped template's name, or the path of a Markdown or Jinja file; None: the Hub's own
    template."""
    card: str | None = None
    """Path of the card; None: <output_dir>/README.md."""
    base_model: str | None = None
    """Hub id of the base model; None: worked out."""
    datasets: tuple[str, ...] = ()
    """Hub ids of the training data; empty: worked out."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Template variable → a person's text for it: license, language, developers, …"""
    country_iso_code: str | None = None
    """ISO 3166-1 alpha-3; given by code or name."""
    region: str | None = None
    """State, province or bidding zone: its name, however it was given."""
    geolocate: bool = False
    """Whether the place may be looked up over the network, once, when measuring starts."""
    carbon_intensity_g_per_kwh: float | None = None
    """Grid intensity, instead of CodeCarbon's yearly mean of the country."""
    market_based_co2eq_g: float | None = None
    """Market-based emissions of the run, from contracts: they cannot be measured."""
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
    detail: str | None = None
    """How much of a card stands open: "standard", "full" or "brief"; None: as the card has it,
    "standard" in a new one."""
    sections: tuple[str, ...] | None = None
    """Sections that autocard writes (`SECTIONS`); None: as the card has it, all in a new one."""
    emissions: bool = True
    """Whether energy and CO2 are measured."""
    last_word: bool = True
    """Whether our card is put back after the trainer's own writers have written theirs."""
    remote_hosts: tuple[str, ...] = ()
    """Git hosts that may be named as the code's remote, besides the public ones
    (`capture.code.PUBLIC_HOSTS`)."""
    plots: bool = False
    """Whether curves are drawn beside the card; needs the extra `plots` (matplotlib)."""
    quiet: bool = False
    """Whether the lines at the begin and the end of training are left out."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Setting → its source; only those that were given."""
    given_as: Mapping[str, str] = field(default_factory=dict)
    """Setting → how a message names it: "AUTOCARD_PUE=0.9"; only those that were given. Not for the
    record: it may hold paths of the machine."""
    unread: tuple[str, ...] = ()
    """Files of settings that could not be read: a sentence each, for the log."""


def disabled(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether `AUTOCARD_DISABLED` turns everything off: any value but no, false, off, 0."""
    return environ.get("AUTOCARD_DISABLED", "").strip().lower() not in FALSE_WORDS


def resolve(
    arguments: Mapping[str, Any],
    environ: Mapping[str, str] = os.environ,
    folder: Path | None = None,
) -> Settings:
    """Return the settings of *arguments*, *environ* and files seen from *folder* (default: here).

    Raises:
        SettingsError: one of them has no usable value; names it, its source, and what would do.
    """
    return _settled(read_sources(arguments, environ, folder or _current_folder()))


OPTIONS = {
    "country_iso_code": "--country",
    "region": "--region",
    "carbon_intensity_g_per_kwh": "--intensity",
    "pue": "--pue",
}
"""Setting → the option of the command line that gives it for a run that is over."""


def from_options(values: Mapping[str, Any], recorded_country: str | None = None) -> Settings:
    """Return the settings of *values*, which the options of a command gave for a recorded run.

    Args:
        values: setting → value; None: not given.
        recorded_country: of the run, for a region that is given alone.

    Raises:
        SettingsError: one of them has no usable value.
    """
    given = Source("option", values, lambda name, value: f"{OPTIONS[name]} {value}")
    wants_country = values.get("region") is not None
    recorded = {"country_iso_code": recorded_country if wants_country else None}
    return _settled([given, Source("record", recorded, lambda _name, code: f"the record's {code}")])


def _settled(sources: Sequence[Source]) -> Settings:
    """Return the settings of *sources*, from the strongest to the weakest."""
    values: dict[str, Any] = {}
    origins: dict[str, Source] = {}
    for source in sources:
        for name, value in source.values.items():
            if value is None or name in values:
                continue
            values[name] = READERS[name](value, source.where(name, value))
            origins[name] = source
    settle_place(values, origins, sources)
    return Settings(
        **values,
        sources={name: source.name for name, source in origins.items()},
        given_as={name: source.given_as(name) for name, source in origins.items()},
        unread=tuple(source.unread for source in sources if source.unread),
    )


def _current_folder() -> Path | None:
    """Return the current folder; None: it has been removed, and no project is found from it."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return None
