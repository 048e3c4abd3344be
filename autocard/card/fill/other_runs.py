"""Figures in a card that are not this run's: the card was copied, or its record was lost.

One rule: they are kept, like everything that may be a person's, and a warning says how to take this
run's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator

from autocard.card.check.findings import Contradiction
from autocard.card.fill.written_text import YAML
from autocard.card.front.yaml_keys import front_values, valid_hub_id
from autocard.card.report import Report

_RUN_ID = re.compile(r"\b[0-9a-f]{12}\b")
"""`0123456789ab`: 12 hexadecimal digits."""
_EMISSIONS_OPTION = " --overwrite co2_eq_emissions"
_SEE = "To see what the record has: autocard check {}"


def runs(text: str, run: str | None) -> list[str]:
    """Return the other runs whose CO2 figures the front matter of the card *text* has."""
    emissions = front_values(text, ["co2_eq_emissions"]).get("co2_eq_emissions")
    source = str(emissions.get("source", "")) if isinstance(emissions, dict) else ""
    found = _RUN_ID.findall(source) if "autocard" in source else []
    return [] if run in found else found


def warnings(
    card: str,
    text: str,
    reports: Iterable[Report],
    contradictions: Iterable[Contradiction],
    run: str | None,
) -> Iterator[str]:
    """Yield a warning if figures stay that are another run's, or contradict this run's."""
    kept = [report for report in reports if report.state == "kept"]
    yield from _invalid_base_ids(card, kept)
    contradictions = list(contradictions)
    denied = list(dict.fromkeys(one.label for one in contradictions))
    options = _options(kept, {one.slot for one in contradictions})
    keeps_emissions = any(report.slot == YAML + "co2_eq_emissions" for report in kept)
    others = runs(text, run) if keeps_emissions else []
    if others and run is not None:
        options = options.replace(_EMISSIONS_OPTION, "")
        also = f", and it denies this run's {', '.join(denied)}" if denied else ""
        yield (
            f"{card}: its co2_eq_emissions are those of run {others[0]}, not of this run ({run})"
            f"{also}: the card was copied, and its figures with it. They were kept, because "
            "nothing here says that autocard wrote them. Take this run's: "
            f"autocard fill {card}{_EMISSIONS_OPTION}{options}"
        )
    elif denied:
        how = f"Take the record's: autocard fill {card}{options}" if options else _SEE.format(card)
        yield (
            f"{card}: not what this run's record has: {', '.join(denied)}. That text is not "
            f"autocard's, so it was kept. {how}"
        )


def _options(kept: Iterable[Report], slots: Collection[str]) -> str:
    """Return the options of `fill` that take the record's text in *slots*."""
    found: dict[str, None] = {}
    for report in kept:
        if report.slot in slots:
            found[f" {report.option()}"] = None
    return "".join(found)


def _invalid_base_ids(card: str, kept: Iterable[Report]) -> Iterator[str]:
    """Yield a warning if a person's words stand in place of the base model's id.

    The Hub refuses such a card.
    """
    for report in kept:
        ids = _ids(report.there) if report.slot == YAML + "base_model" else []
        if not all(valid_hub_id(base) for base in ids):
            yield (
                f"{card}: base_model: {report.there} is not the id of a model on the Hub. It was "
                f"kept. Take the record's, {report.wanted}: "
                f"autocard fill {card} --overwrite base_model"
            )


def _ids(text: str) -> list[object]:
    """Return the values of a report's JSON."""
    try:
        found = json.loads(text)
    except ValueError:
        return [text]
    return found if isinstance(found, list) else [found]
