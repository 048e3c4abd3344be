"""Write docs/settings_errors.md: wrong settings, and what autocard says to each of them.

Usage: python docs/make_settings_errors.py (writes the file), or with --check (reports whether it is
up to date). Each message is the one that a training would stop with.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).resolve().parent
OUT = HERE / "settings_errors.md"

sys.path[:0] = [str(HERE.parent)]

from autocard.errors import SettingsError  # noqa: E402 - of this checkout
from autocard.runtime.sessions import Sessions  # noqa: E402
from autocard.settings import OPTIONS, from_options, resolve  # noqa: E402

HOME = "/home/me/project"
"""Stands in the page for the folder of the files."""


@dataclass(frozen=True)
class Wrong:
    """Settings with a mistake, from one place."""

    arguments: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    project: str = ""
    """Text of pyproject.toml."""
    site: str = ""
    """Text of the site file."""
    codecarbon: str = ""
    """Text of .codecarbon.config."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Setting → what its option of the command line was given."""
    recorded_country: str | None = None
    """Of the run that a command was given options for."""

    def given(self) -> str:
        """Return what was given, as a person writes it."""
        words = [", ".join(f"{name}={value!r}" for name, value in self.arguments.items())]
        words += [f"{name}={value}" for name, value in self.variables.items()]
        words += [f"{OPTIONS[name]} {value}" for name, value in self.options.items()]
        for text in (self.project, self.site, self.codecarbon):
            words += text.splitlines()
        if self.recorded_country:
            words.append(f"(the record has {self.recorded_country})")
        return " ⏎ ".join(filter(None, words))

    def message(self) -> str:
        """Return what autocard says.

        Raises:
            AssertionError: it says nothing.
        """
        with TemporaryDirectory() as name:
            folder = Path(name)
            for file, text in (
                ("pyproject.toml", self.project),
                ("site.toml", self.site),
                (".codecarbon.config", self.codecarbon),
            ):
                if text:
                    (folder / file).write_text(text, encoding="utf-8")
            environ = dict(self.variables)
            if self.site:
                environ["AUTOCARD_SITE"] = str(folder / "site.toml")
            try:
                self._read(environ, folder)
            except SettingsError as exc:
                return str(exc).replace(str(folder), HOME)
        raise AssertionError(self.given())

    def _read(self, environ: Mapping[str, str], folder: Path) -> None:
        if self.options:
            from_options(self.options, self.recorded_country)
        else:
            Sessions(resolve(self.arguments, environ, folder))


def _arguments(*each: Mapping[str, Any]) -> list[Wrong]:
    return [Wrong(arguments=arguments) for arguments in each]


def _variables(*each: Mapping[str, str]) -> list[Wrong]:
    return [Wrong(variables=variables) for variables in each]


TABLES: dict[str, list[Wrong]] = {
    "Names of settings": [
        *_arguments(
            {"country": "DEU"},
            {"contry_iso_code": "DEU"},
            {"intensity": 56},
            {"power": 300},
            {"dataset": "org/set"},
            {"license": "mit"},
            {"output_dir": "out"},
        ),
        *_variables(
            {"AUTOCARD_COUNTRY": "DEU"},
            {"AUTOCARD_PLOT": "1"},
            {"AUTOCARD_FACTS": "license=mit"},
            {"AUTOCARD_HOME": "/opt/autocard"},
        ),
    ],
    "Countries": _arguments(
        {"country_iso_code": "Germny"},
        {"country_iso_code": "XX"},
        {"country_iso_code": "Korea"},
        {"country_iso_code": "FRN"},
        {"country_iso_code": "California"},
        {"country_iso_code": "US-CA"},
        {"country_iso_code": 49},
        {"country_iso_code": ""},
    ),
    "Regions": _arguments(
        {"country_iso_code": "USA", "region": "Californa"},
        {"country_iso_code": "USA", "region": "ON"},
        {"country_iso_code": "USA", "region": "Ontario"},
        {"country_iso_code": "DEU", "region": "US-CA"},
        {"country_iso_code": "CAN", "region": "Qubec"},
        {"country_iso_code": "SWE", "region": "SE5"},
        {"country_iso_code": "USA", "region": "us-east-1"},
        {"country_iso_code": "FRA", "region": "Normandy beach"},
        {"country_iso_code": "PRI", "region": "San Juan"},
        {"region": "California"},
        {"region": "Limburg"},
        {"region": "Atlantis"},
    ),
    "Numbers": [
        *_arguments(
            {"pue": 0.9},
            {"pue": 120},
            {"pue": "1,2"},
            {"pue": "120 %"},
            {"pue": True},
            {"pue": float("nan")},
            {"carbon_intensity_g_per_kwh": -1},
            {"carbon_intensity_g_per_kwh": 0.056},
            {"carbon_intensity_g_per_kwh": "56 g/kWh"},
            {"cpu_power_w": 0},
            {"cpu_power_w": -65},
            {"ram_power_w": "20 W"},
            {"measure_power_secs": 0},
            {"market_based_co2eq_g": "none"},
            {"wue_l_per_kwh": [0.4]},
        ),
        *_variables({"AUTOCARD_PUE": "0.9"}, {"AUTOCARD_CPU_POWER_W": "many"}),
    ],
    "True or false": [
        *_arguments({"plots": 2}, {"emissions": "maybe"}, {"geolocate": "ja"}),
        *_variables({"AUTOCARD_LAST_WORD": "never"}, {"AUTOCARD_QUIET": "2"}),
    ],
    "Models, data sets, hosts": _arguments(
        {"base_model": "/models/llama"},
        {"base_model": "./base"},
        {"base_model": "https://huggingface.co/org/base"},
        {"datasets": ["org/set", "my data"]},
        {"datasets": "https://huggingface.co/datasets/org/set"},
        {"datasets": 7},
        {"remote_hosts": "https://git.example.org"},
        {"remote_hosts": ["git.example.org/group"]},
    ),
    "Facts": [
        *_arguments(
            {"facts": {"licence": "mit"}},
            {"facts": {"licence": "mit", "developer": "Me"}},
            {"facts": {"funding": "a grant"}},
            {"facts": {"License (SPDX)": "mit"}},
            {"facts": {"license": ""}},
            {"facts": {"language": {"en": True}}},
            {"facts": "license=mit"},
        ),
        Wrong(project='[tool.autocard.facts]\nlicence = "mit"\n'),
    ],
    "Cards and forms": _arguments(
        {"template": "compct"},
        {"template": "forms/ours.md"},
        {"card": "."},
        {"empty": "hide"},
        {"detail": "breif"},
        {"sections": ["enviroment"]},
        {"sections": "environment, quux"},
        {"node_meter_unit": "watt"},
    ),
    "pyproject.toml": [
        Wrong(project=text)
        for text in (
            "[tool.autocard\npue = 1.2\n",
            "[tool.autocard]\npue = 1,2\n",
            "[tool.autocard]\ncountry_iso_code = FRA\n",
            '[tool.autocard]\ncountry = "FRA"\n',
            '[tool.autocard]\ncountry-iso-code = "FRA"\n',
            "[tool.autocard]\npue = [1.2]\n",
            "[tool.autocard]\nregion = true\n",
            '[tool]\nautocard = "FRA"\n',
            "[autocard]\npue = 1.2\n",
            "[tool.autocad]\npue = 1.2\n",
        )
    ],
    "The site file, CodeCarbon's configuration": [
        Wrong(site="pue 1.2\n"),
        Wrong(site="[tool.autocard]\npue = 1.2\n"),
        Wrong(site='country_iso_code = "Frankreich"\n'),
        Wrong(codecarbon="[codecarbon]\ncountry_iso_code = FR-NCE\n"),
        Wrong(variables={"CODECARBON_PUE": "0.5"}),
    ],
    "Two places that contradict each other": [
        Wrong({"country_iso_code": "FRA"}, {"AUTOCARD_REGION": "California"}),
        Wrong({"region": "Texas"}, {"AUTOCARD_COUNTRY_ISO_CODE": "FRA"}),
    ],
    "Options of `fill`, `render` and `show`": [
        Wrong(options={"country_iso_code": "Germny"}),
        Wrong(options={"country_iso_code": "USA", "region": "Californa"}),
        Wrong(options={"region": "California"}),
        Wrong(options={"region": "California"}, recorded_country="FRA"),
        Wrong(options={"pue": "0.9"}),
        Wrong(options={"carbon_intensity_g_per_kwh": "56,5"}),
    ],
}
"""Heading → wrong settings."""

HEAD = """<!-- Made by docs/make_settings_errors.py; tests/project/test_settings_errors.py holds it up to date. -->

# Settings: accepted spellings, and what mistakes say

A setting that does not exist or cannot be used stops the training before it starts, when the callback is made. Nothing is lost by
then. A message begins with the place of the mistake: `argument pue=0.9`, `AUTOCARD_PUE=0.9`, `pyproject.toml:3: pue = 0.9`.

## Accepted spellings

| Setting | Accepted |
|---|---|
| `country_iso_code` | ISO 3166-1 codes (`DEU`, `DE`), English names (`Germany`, `South Korea`), usual short names (`UK`, `GER`), in any case |
| `region` | ISO 3166-2 codes (`US-CA`), postal codes (`CA`, `ON`), names in English or the country's language (`California`, `Bavaria`, `Bayern`), Nordic bidding zones (`SE3`), in any case; a full code needs no country |
| numbers | numbers, or texts with a decimal point: `1.2`, `"1.2"` |
| true or false | `True`, `False`, `1`, `0`, `yes`, `no`, `on`, `off`, `true`, `false` |
| lists: `datasets`, `remote_hosts`, `sections` | a list, or one text with commas: `["org/a", "org/b"]`, `"org/a, org/b"` |
| `facts` | names and texts, or lists of texts: `{"license": "mit", "language": ["en", "de"]}`; `autocard facts` lists the names |

A region that CodeCarbon has no carbon intensity for is accepted: the country's mean is used, and the card says so. It has
intensities for the states of the USA, the provinces of Canada and China, and the bidding zones of Sweden, Norway and Finland.

Of a country and a region from different places, the stronger place decides: with `country_iso_code="FRA"` as an argument, a site
file's `USA` and `California` are both left out.

## What mistakes say
"""  # noqa: E501 - lines of the page


def page() -> str:
    """Return the page."""
    lines = [HEAD]
    for heading, wrongs in TABLES.items():
        lines += [f"### {heading}\n", "| Given | Message |", "|---|---|"]
        lines += [f"| {_code(wrong.given())} | {_cell(wrong.message())} |" for wrong in wrongs]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")


def _cell(text: str) -> str:
    """Return a message as text of a table."""
    for sign in "\\|*_<[]":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("\n", "<br>")


def main() -> int:
    """Write the page, or with --check say whether it is up to date; return the exit status."""
    made = page()
    if "--check" in sys.argv[1:]:
        return int(made != OUT.read_text(encoding="utf-8"))
    OUT.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
