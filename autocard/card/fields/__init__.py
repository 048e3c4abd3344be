"""A record → the texts of a card: facts for its slots, values for its front matter.

One rule: nothing is computed here but roundings and shares of what the record holds; a fact that is
not there is left out, so that its slot stays empty. Each part of a card has its module; names of
models, data sets and settings pass through `escape`.
"""

from __future__ import annotations

from dataclasses import replace

from autocard.card.fact import Fact
from autocard.card.fields import (
    identity,
    impact,
    machines,
    procedure,
    run_summary,
    snippet,
    software,
    testing,
)
from autocard.card.fields.earlier_words import in_words_of_today
from autocard.card.fields.front import front_matter
from autocard.card.fields.quantities import of_texts
from autocard.card.fields.single import all_facts as single
from autocard.card.fill import author_text
from autocard.record import RunRecord, finite

__all__ = ["facts", "front_matter"]

_PARTS = (
    identity.facts,
    procedure.facts,
    testing.facts,
    impact.facts,
    machines.facts,
    software.facts,
    snippet.facts,
    single.facts,
)


def facts(record: RunRecord) -> dict[str, Fact]:
    """Return the facts of *record* by template variable; what is not there is left out.

    What a person gave (`record.facts`) stands as it was given, as far as it stays in its place, and
    goes before ours.
    """
    record = in_words_of_today(finite(record))
    found: dict[str, Fact] = {}
    for part in _PARTS:
        found.update({name: fact for name, fact in part(record).items() if fact is not None})
    for name, quantities in of_texts(record, found).items():
        found[name] = replace(found[name], quantities=quantities)
    summary = run_summary.run_summary(record)
    if summary is not None:
        found["run_summary"] = summary
    for name, given in record.facts.items():
        text = "" if given is None else str(given).strip()
        if text:
            found[name] = Fact(
                author_text.line(text), author_text.block(text) if "\n" in text else None
            )
    return found
