"""How much of a card autocard writes: how detailed, and which sections.

One rule: the choice is remembered beside the card, among its written texts, and holds until another
one is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from autocard.card.fact import Fact
from autocard.card.fields import folds
from autocard.card.form.labels import Labels
from autocard.settings.values import DETAILS, FRONT_MATTER, SECTIONS

STANDARD, FULL, BRIEF = DETAILS

_DETAIL, _SECTIONS = "choice:detail", "choice:sections"
"""Names of the choice among the written texts of a card."""

_ADDED_IN_BRIEF = frozenset({"run_summary", "energy"})
"""Facts that a brief card has even where no slot asks for them."""
_KEYS_IN_BRIEF = (
    "base_model",
    "base_model_relation",
    "library_name",
    "pipeline_tag",
    "license",
    "language",
    "co2_eq_emissions",
)
_EMISSIONS_IN_BRIEF = ("emissions", "source")


@dataclass(frozen=True)
class Selection:
    """How much is written.

    Attributes:
        detail: "standard"; "full": nothing is folded; "brief": without what is folded, and in a
            card without slots only a summary table and the CO2 line.
        sections: names of the sections that are written, and of the front matter.
    """

    detail: str = STANDARD
    sections: tuple[str, ...] = SECTIONS

    @classmethod
    def of(cls, written: Mapping[str, str]) -> Selection:
        """Return the choice that is remembered among the *written* texts of a card."""
        names = written.get(_SECTIONS)
        sections = SECTIONS
        if names is not None:
            sections = tuple(name for name in SECTIONS if name in names.split(","))
        detail = written.get(_DETAIL, STANDARD)
        return cls(detail if detail in DETAILS else STANDARD, sections)

    def changed(self, detail: str | None, sections: tuple[str, ...] | None) -> Selection:
        """Return the choice with what is given; None: that stays."""
        return Selection(
            self.detail if detail is None else detail,
            self.sections if sections is None else sections,
        )

    def written(self) -> dict[str, str]:
        """Return what is remembered of the choice; nothing of the usual one."""
        found = {}
        if self.detail != STANDARD:
            found[_DETAIL] = self.detail
        if self.sections != SECTIONS:
            found[_SECTIONS] = ",".join(self.sections)
        return found

    @property
    def added(self) -> frozenset[str] | None:
        """Facts that are added where no slot asks for them; None: all."""
        return _ADDED_IN_BRIEF if self.detail == BRIEF else None

    def wants(self, fact: str, labels: Labels) -> bool:
        """Return whether *fact* belongs to a section that is written."""
        homes = labels.homes.get(fact)
        return homes is None or not homes.isdisjoint(self.sections)

    def shaped(self, name: str, fact: Fact) -> Fact:
        """Return *fact* as detailed as chosen."""
        if fact.block is None or self.detail == STANDARD:
            return fact
        if self.detail == FULL:
            return replace(fact, block=folds.opened(fact.block))
        block = folds.without_folds(fact.block)
        if name == "energy":
            block = block.replace("\n\n", " ")
        return replace(fact, block=block)

    def leaves_out_key(self, key: str) -> bool:
        """Return whether *key* of the front matter is not written."""
        is_brief = self.detail == BRIEF and key not in _KEYS_IN_BRIEF
        return FRONT_MATTER not in self.sections or is_brief

    def front(self, values: Mapping[str, object]) -> dict[str, object]:
        """Return the keys of the front matter that are written."""
        if FRONT_MATTER not in self.sections:
            return {}
        if self.detail != BRIEF:
            return dict(values)
        kept = {key: values[key] for key in _KEYS_IN_BRIEF if key in values}
        emissions = kept.get("co2_eq_emissions")
        if isinstance(emissions, Mapping):
            kept["co2_eq_emissions"] = {
                key: emissions[key] for key in _EMISSIONS_IN_BRIEF if key in emissions
            }
        return kept
