"""A country as a person writes it → its ISO 3166-1 alpha-3 code.

Codes, English names and official names are pycountry's; the table below has what else is usual.
pycountry is imported only where a country is given.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from autocard.settings.nearest import nearest, question

ACCEPTED = "Use an ISO 3166-1 code (DEU or DE) or the English name (Germany)."

_USUAL = """
GBR: UK, U.K., Great Britain, Britain, England, Scotland, Wales, Northern Ireland
USA: U.S., U.S. of A., America
ARE: UAE, Emirates; AUT: Österreich; BEL: België, Belgique, Belgien; BGR: BUL; BRA: Brasil
BRN: Brunei; CHE: SUI, Schweiz, Suisse, Svizzera; CHL: CHI
CHN: PRC, PR China, Mainland China; CIV: Ivory Coast; COD: DRC, DR Congo; CPV: Cape Verde
DEU: GER, Deutschland; DNK: DEN, Danmark
ESP: España; FIN: Suomi; GRC: GRE, Hellas; HRV: CRO; IDN: INA; ITA: Italia; JPN: Nippon
KOR: ROK; LVA: LAT; MAC: Macau; MKD: Macedonia; MMR: Burma; MYS: MAS; NLD: NED, Holland, Nederland
NOR: Norge; PHL: PHI; POL: Polska; PRT: POR; PSE: Palestine; RUS: Russia; SAU: KSA; SVN: SLO
SWE: Sverige; SWZ: Swaziland; TLS: East Timor; TUR: Turkey; TWN: ROC; VAT: Vatican, Vatican City
VNM: VIE; ZAF: RSA
"""
"""Code → usual names that pycountry lacks: short and former ones, Olympic codes, own languages."""


def same_words(text: str) -> str:
    """Return *text* as names are compared: letters and digits in lower case, without accents."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    letters = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return re.sub(r"[_\W]+", "", re.sub(r"^\s*the\s+", "", letters))


def country_code(text: str) -> str | None:
    """Return the ISO 3166-1 alpha-3 code of the country that *text* names; None: there is none."""
    return _codes().get(same_words(text))


def alpha_2(code: str) -> str:
    """Return the ISO 3166-1 alpha-2 code of the country with the alpha-3 *code*."""
    return str(_country(code).alpha_2)


def code_of_alpha_2(letters: str) -> str | None:
    """Return the alpha-3 code of the alpha-2 code *letters*; None: there is no such country."""
    import pycountry  # noqa: PLC0415 - only where a country is given

    country = pycountry.countries.get(alpha_2=letters)
    return None if country is None else str(country.alpha_3)


def country_name(code: str) -> str:
    """Return the English name of the country with the alpha-3 *code*."""
    country = _country(code)
    return str(getattr(country, "common_name", country.name))


def in_a_sentence(code: str) -> str:
    """Return the name of the country with the alpha-3 *code* as it stands in a sentence."""
    name = country_name(code)
    return f"the {name}" if name.startswith("United ") or name == "Netherlands" else name


def did_you_mean_country(text: str) -> str:
    """Return " Did you mean Germany (DEU)?", or what is accepted."""
    codes = {country_name(code): code for code in set(_codes().values())}
    names = [f"{name} ({codes[name]})" for name in nearest(text, sorted(codes))]
    return question(names, ACCEPTED)


def _country(code: str) -> Any:
    import pycountry  # noqa: PLC0415 - only where a country is given

    return pycountry.countries.get(alpha_3=code)


@lru_cache(maxsize=1)
def _codes() -> dict[str, str]:
    """Return what countries are called, as `same_words` has it → alpha-3 code."""
    import pycountry  # noqa: PLC0415 - only where a country is given

    codes: dict[str, str] = {}
    for country in pycountry.countries:
        for name in _names(country):
            codes[same_words(name)] = str(country.alpha_3)
    for row in re.split(r"[;\n]", _USUAL.strip()):
        code, _, names = row.strip().partition(":")
        for name in names.split(","):
            codes.setdefault(same_words(name), code)
    return codes


def _names(country: Any) -> Iterator[str]:
    for key in ("alpha_2", "alpha_3", "name", "official_name", "common_name"):
        name = getattr(country, key, None)
        if name:
            yield name
            before, comma, after = name.partition(", ")  # Korea, Republic of
            yield f"{after} {before}" if comma else name
