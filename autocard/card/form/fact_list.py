"""The facts that forms, label files and the setting `facts` may name, as a list for people.

One rule: everything here stands in templates/labels.yaml; nothing is looked up in a record.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from autocard.card.form.label_files import load, shipped_table


@dataclass(frozen=True)
class FactEntry:
    """One fact of the table.

    Attributes:
        name: the template variable, and the key of `facts`.
        title: the label or heading under which it is shown.
        who: who can fill it: machine, suggested (a machine proposes it) or person.
        unit: unit of its figure, or "".
        record: path of the fact in autocard.json, or "".
        labels: labels and headings that ask for it.
        aliases: other names that templates give to it.
    """

    name: str
    title: str
    who: str
    unit: str
    record: str
    labels: tuple[str, ...]
    aliases: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it as it stands in JSON."""
        return asdict(self)


def fact_names() -> frozenset[str]:
    """Return the names that the setting `facts` accepts: facts, and their other names."""
    labels = load()
    return frozenset(labels.kinds) | {name for name, fact in labels.variables.items() if fact}


def fact_entries() -> list[FactEntry]:
    """Return the facts in the order of the table."""
    table = shipped_table()["facts"]
    labels = load()
    entries = []
    for name, kind in labels.kinds.items():
        aliases = tuple(alias for alias, fact in labels.variables.items() if fact == name)
        asking = tuple(_asking(table[name]))
        entries.append(
            FactEntry(name, kind.title, kind.who, kind.unit, kind.record, asking, aliases)
        )
    return entries


def _asking(entry: dict[str, Any]) -> list[str]:
    """Return the labels and headings of the table that ask for a fact."""
    found = [*entry.get("words", ()), *entry.get("fallback", ())]
    for below in entry.get("under", {}).values():
        found += below
    return list(dict.fromkeys(found))
