"""Figures in a card that are not this run's: a card that was copied, or one whose record was lost.

One rule: they are kept, as all that may be a person's, and told loudly with the way to take this
run's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from autocard.card.check.contradictions import contradicts
from autocard.card.fill.written_text import YAML
from autocard.card.form.labels import Labels
from autocard.card.front.yaml_keys import front_values, valid_hub_id
from autocard.card.report import Report

_RUN_ID = re.compile(r"\b[0-9a-f]{12}\b")


def runs(text: str, run: str | None) -> list[str]:
    """Return the runs, other than *run*, whose CO2 figures the front matter of the card *text* says it holds."""
    emissions = front_values(text, ["co2_eq_emissions"]).get("co2_eq_emissions")
    source = str(emissions.get("source", "")) if isinstance(emissions, dict) else ""
    found = _RUN_ID.findall(source) if "autocard" in source else []
    return [] if run in found else found


def warnings(
    card: str, text: str, reports: Iterable[Report], run: str | None, labels: Labels
) -> Iterator[str]:
    """Yield a warning where the card's figures are those of another run, or deny this run's, and stay in it."""
    kept = [report for report in reports if report.state == "kept"]
    yield from _no_id(card, kept)
    denied = [
        report.label
        for report in kept
        if not report.slot.startswith(YAML)
        and _says_why(labels, report.slot)
        and contradicts(report.there, report.wanted)
    ]
    ways = "".join(f' --overwrite "{label}"' for label in denied)
    others = (
        runs(text, run) if any(report.slot == YAML + "co2_eq_emissions" for report in kept) else []
    )
    if others and run is not None:
        also = f", and it denies this run's {', '.join(denied)}" if denied else ""
        yield (
            f"{card}: its co2_eq_emissions are those of run {others[0]}, not of this run ({run}){also}: the "
            "card was copied, and its figures with it. They were kept, because nothing here says that autocard wrote "
            f"them. Take this run's: autocard fill {card} --overwrite co2_eq_emissions{ways}"
        )
    elif denied:
        yield (
            f"{card}: {', '.join(denied)}: what stands there is not autocard's and says something else than "
            f"this run's record. It was kept. Take the record's: autocard fill {card}{ways}"
        )


def _no_id(card: str, kept: Iterable[Report]) -> Iterator[str]:
    """Yield a warning where a person's words stand for the base model's id, which the Hub refuses."""
    for report in kept:
        ids = _ids(report.there) if report.slot == YAML + "base_model" else []
        if not all(valid_hub_id(one) for one in ids):
            yield (
                f"{card}: base_model: {report.there} is not the id of a model on the Hub. It was kept. "
                f"Take the record's, {report.wanted}: autocard fill {card} --overwrite base_model"
            )


def _ids(text: str) -> list[Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return [text]
    return found if isinstance(found, list) else [found]


def _says_why(labels: Labels, fact: str) -> bool:
    kind = labels.kinds.get(fact)
    return kind is not None and kind.say_why
