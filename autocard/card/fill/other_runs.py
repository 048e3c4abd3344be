"""Figures in a card that are not this run's: the card was copied, or its record was lost.

One rule: they are kept, like everything that may be a person's, and a warning says how to take this
run's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from autocard.card.check.contradictions import contradicts
from autocard.card.fill.written_text import YAML
from autocard.card.form.labels import Labels
from autocard.card.front.yaml_keys import front_values, valid_hub_id
from autocard.card.report import Report

_RUN_ID = re.compile(r"\b[0-9a-f]{12}\b")
"""`0123456789ab`: 12 hexadecimal digits."""


def runs(text: str, run: str | None) -> list[str]:
    """Return the other runs whose CO2 figures the front matter of the card *text* has."""
    emissions = front_values(text, ["co2_eq_emissions"]).get("co2_eq_emissions")
    source = str(emissions.get("source", "")) if isinstance(emissions, dict) else ""
    found = _RUN_ID.findall(source) if "autocard" in source else []
    return [] if run in found else found


def warnings(
    card: str, text: str, reports: Iterable[Report], run: str | None, labels: Labels
) -> Iterator[str]:
    """Yield a warning if figures stay that are another run's, or contradict this run's."""
    kept = [report for report in reports if report.state == "kept"]
    yield from _invalid_base_ids(card, kept)
    denied = [report.label for report in kept if _contradicts_record(report, labels)]
    options = "".join(f' --overwrite "{label}"' for label in denied)
    keeps_emissions = any(report.slot == YAML + "co2_eq_emissions" for report in kept)
    others = runs(text, run) if keeps_emissions else []
    if others and run is not None:
        also = f", and it denies this run's {', '.join(denied)}" if denied else ""
        yield (
            f"{card}: its co2_eq_emissions are those of run {others[0]}, not of this run ({run})"
            f"{also}: the card was copied, and its figures with it. They were kept, because "
            "nothing here says that autocard wrote them. Take this run's: "
            f"autocard fill {card} --overwrite co2_eq_emissions{options}"
        )
    elif denied:
        yield (
            f"{card}: {', '.join(denied)}: what stands there is not autocard's and says something "
            "else than this run's record. It was kept. Take the record's: "
            f"autocard fill {card}{options}"
        )


def _contradicts_record(report: Report, labels: Labels) -> bool:
    """Return whether a kept text contradicts a figure that readers expect a reason for."""
    if report.slot.startswith(YAML):
        return False
    return _has_reason(labels, report.slot) and contradicts(report.there, report.wanted)


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


def _has_reason(labels: Labels, fact: str) -> bool:
    kind = labels.kinds.get(fact)
    return kind is not None and kind.say_why
