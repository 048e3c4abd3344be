"""A record's facts into one card: an existing one, or a new one made from a template.

One rule: this decides which facts and keys go into the card; `fill` decides where, and proves it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from autocard.card import fields
from autocard.card.card_files import PENDING, Slots
from autocard.card.check import disagreements
from autocard.card.fact import Fact, escape
from autocard.card.fields.earlier_words import in_words_of_today
from autocard.card.fill import author_text, base_statements, hidden_slots, new_card, other_runs
from autocard.card.fill.fill import fill, left_out_keys
from autocard.card.fill.written_text import ADDED, YAML, is_text
from autocard.card.form.labels import Labels
from autocard.card.front.yaml_keys import MERGED
from autocard.card.libraries import library_facts
from autocard.card.markdown.document import Document
from autocard.card.markdown.front_place import find_front_matter
from autocard.card.report import Filled
from autocard.card.selection import Selection
from autocard.errors import CardError
from autocard.record import RunRecord


@dataclass(frozen=True)
class FillOrder:
    """What goes into a card.

    Attributes:
        card_name: the card's file name.
        record: the run's record.
        labels: the label table.
        template: shipped name or path, for a new card; None: the Hub's own template.
        empty: how a new card shows what is empty: "comment" or "placeholder".
        overwrite: names or labels of slots that are written even over a person's text.
        extra: keys of the front matter that others bring; None: no trainer is at hand.
        ours: slots that autocard wrote into the card by another record.
        withheld: names that the front matter may not show as the base model.
        slots: what was written into the cards of the folder.
        earlier_record: the record beside the card; None: there is none.
        proposed: facts that are proposed rather than known.
        selection: how much of the card is written.
        before: how much was written by the last fill.
    """

    card_name: str
    record: RunRecord
    labels: Labels
    template: str | None
    empty: str
    overwrite: Collection[str]
    extra: Mapping[str, object] | None
    ours: Mapping[str, str]
    withheld: frozenset[str]
    slots: Slots
    earlier_record: RunRecord | None
    proposed: Mapping[str, Fact] = field(default_factory=dict)
    selection: Selection = field(default_factory=Selection)
    before: Selection = field(default_factory=Selection)

    @property
    def is_other_run(self) -> bool:
        """Whether the record beside the card is another run's."""
        earlier = self.earlier_record
        return earlier is not None and earlier.run.id != self.record.run.id

    def front(self, written: Mapping[str, str] = MappingProxyType({})) -> dict[str, object]:
        """Return the front matter: the record's values, then what others bring beside them.

        *written*: what is remembered of the card, with the values that were left out.
        """
        known: dict[str, object] = fields.front_matter(self.record)
        extra = {**left_out_keys(written), **(self.extra or {})}
        front = {**extra, **known}
        for key in MERGED:
            ours, others = known.get(key), extra.get(key)
            if isinstance(ours, list) and isinstance(others, list):
                front[key] = [*ours, *(item for item in others if item not in ours)]
        return self.selection.front(front)

    def left_out(self) -> frozenset[str]:
        """Return the facts that are not wanted in the card."""
        names = self.labels.kinds
        return frozenset(name for name in names if not self.selection.wants(name, self.labels))

    def selected(self, facts: Mapping[str, Fact]) -> dict[str, Fact]:
        """Return those of *facts* that are written, as detailed as chosen."""
        selection, found = self.selection, {}
        for name, fact in facts.items():
            if selection.wants(name, self.labels):
                is_given = name in self.record.facts
                found[name] = fact if is_given else selection.shaped(name, fact)
        return found


class CardFiller:
    """Fills cards by one order.

    Attributes:
        warnings: what a person should read: whole sentences.
    """

    def __init__(self, order: FillOrder) -> None:
        """*order*: what goes into the cards."""
        self._order = order
        self._known = fields.facts(order.record)
        self.warnings: list[str] = []

    def proposals(self) -> frozenset[str]:
        """Return the facts that are proposals: those that the record does not have."""
        return frozenset(self._order.proposed.keys() - self._known.keys())

    def fill_existing(self, name: str, text: str) -> Filled:
        """Fill the card *text*, whose file is called *name*.

        Raises:
            CardError: it cannot be filled with certainty.
        """
        order = self._order
        if name == order.card_name:
            filled = self._below_front_matter(text)
            if filled is not None:
                return filled
        remembered = order.slots.get(name, {})
        pending = {**order.ours, **order.slots.get(name + PENDING, {})}
        written = {**remembered, **pending}
        ours = [
            text for name, text in remembered.items() if is_text(name) or name.startswith(ADDED)
        ]
        known = library_facts.facts(order.record, text, ours, order.labels)
        facts = order.selected({**order.proposed, **known, **self._reasons(written)})
        front = order.front({} if order.is_other_run else remembered)
        if self._leave_out_of_the_base(text, written, facts):
            front.pop("base_model_relation", None)
        filled = fill(
            text,
            facts,
            front,
            remembered=remembered,
            overwrite=order.overwrite,
            pending=pending,
            labels=library_facts.labels(text, order.labels),
            other_run=order.is_other_run,
            withheld=order.withheld,
            untrue=self._untrue_tags(written),
            added=self._added(facts),
            left_out=order.left_out(),
            keys_left_out=[key for key in MERGED if order.selection.leaves_out_key(key)],
        )
        self._warn_of_contradictions(text, filled)
        return self._without_reasons(filled, facts.keys() - known.keys())

    def _leave_out_of_the_base(
        self, text: str, written: Mapping[str, str], facts: dict[str, Fact]
    ) -> bool:
        """Take out of *facts* what is about our base where the card names another one."""
        order = self._order
        refused = {*order.withheld, *order.overwrite}
        if base_statements.names_other_base(text, order.record, written, refused):
            for fact in base_statements.OF_THE_BASE:
                facts.pop(fact, None)
        elif base_statements.states_other_base(
            text, order.record, written.values(), refused, order.labels
        ):
            facts.pop("model_summary", None)
        else:
            return False
        facts.pop("run_summary", None)  # its first column is our base
        self.warnings.append(
            f"{order.card_name}: it names another base model than this run's record "
            f"({order.record.model.base_model or 'which has none'}). The card's was kept, and "
            "autocard's summary and base_model_relation were left out. Take the record's: "
            f"autocard fill {order.card_name} --overwrite base_model"
        )
        return True

    def _warn_of_contradictions(self, text: str, filled: Filled) -> None:
        order = self._order
        found = disagreements.stated(text, filled.text, order.record, order.labels, filled.reports)
        of_the_base = ("base_model", f"{YAML}base_model", f"{YAML}base_model_relation")
        self.warnings += other_runs.warnings(
            order.card_name,
            text,
            filled.reports,
            [one for one in found if one.slot not in of_the_base],
            order.record.run.id,
        )

    def _added(self, facts: Mapping[str, Fact]) -> Collection[str] | None:
        """Return the facts that get a section of their own; a proposal gets none."""
        wanted = self._order.selection.added
        if not self._order.proposed:
            return wanted
        return (facts.keys() if wanted is None else frozenset(wanted)) - self.proposals()

    def _below_front_matter(self, text: str) -> Filled | None:
        """Return a new card below a front matter that stands alone, as in a new Hub repository."""
        top = 1 if text.startswith("\ufeff") else 0
        if text[find_front_matter(text, top)[1] :].strip():
            return None
        document = Document(text)
        blank = self._blank()
        body = blank[Document(blank).body :].lstrip("\n")
        head = text if document.front else text[: document.top]
        newlines = 0
        if head.strip():
            newlines = 1 if head.endswith("\n") else 2
        gap = document.newline * newlines
        card = head + gap + body.replace("\n", document.newline)
        return self._fill_blank(card, self._order.slots.get(self._order.card_name, {}))

    def new(self) -> Filled:
        """Return a new card, filled."""
        try:
            # A shipped form's library is no person's choice.
            is_shipped = self._order.template in (None, *new_card.SHIPPED)
            overwrite = ("library_name",) if is_shipped else ()
            return self._fill_blank(self._blank(), {}, overwrite)
        except CardError as exc:
            # Only a user's own template can be so unusual.
            self.warnings.append(
                f"template {self._order.template}: {exc}. The Hub's own template was used instead."
            )
        self._order = replace(self._order, template=None)
        return self._fill_blank(self._blank(), {})

    def _blank(self) -> str:
        given = {}
        for name, value in self._order.record.facts.items():
            if value is not None:
                given[name] = author_text.variable(str(value))
        return new_card.blank(self._order.template, given)

    def _fill_blank(
        self, blank: str, remembered: Mapping[str, str], overwrite: Collection[str] = ()
    ) -> Filled:
        """Return *blank* filled; what stays empty is hidden, or stays as the form has it."""
        order = self._order
        known = library_facts.facts(order.record, blank, (), order.labels)
        facts = {**order.proposed, **known}
        for name, reason in self._reasons(None).items():
            facts.setdefault(name, reason)
        facts = order.selected(facts)
        keys = {name: text for name, text in remembered.items() if name.startswith(YAML)}
        filled = fill(
            blank,
            facts,
            order.front(),
            remembered=keys,
            overwrite=overwrite,
            labels=order.labels,
            withheld=order.withheld,
        )
        text, slots = filled.text.replace(new_card.CARD_DATA + "\n", ""), filled.slots
        if order.empty == "comment":
            is_shipped = (order.template or new_card.DEFAULT) in new_card.SHIPPED
            text, slots = hidden_slots.hide(text, order.labels, slots, is_shipped=is_shipped)
        reports = Filled(text, slots, filled.reports)
        return self._without_reasons(reports, facts.keys() - known.keys())

    def _without_reasons(self, filled: Filled, unknown: Collection[str]) -> Filled:
        """Return *filled* with those slots reported as empty that have a reason, not a fact."""
        reasons = set(unknown) - self._order.proposed.keys()
        reports = []
        for report in filled.reports:
            is_reason = report.slot in reasons
            reports.append(replace(report, state="empty") if is_reason else report)
        return replace(filled, reports=tuple(reports))

    def _reasons(self, names: Collection[str] | None) -> dict[str, Fact]:
        """Return the reasons that readers expect, for facts that the record does not have.

        A new card (*names* is None) gets all of them; an existing one only those where we wrote
        before (*names*).
        """
        found = {}
        for name, kind in self._order.labels.kinds.items():
            is_wanted = kind.say_why and (names is None or name in names)
            if name in self._known or not is_wanted:
                continue
            reason = in_words_of_today(self._order.record).why_missing(kind.record)
            if reason:
                lead = "" if reason.startswith("not ") else "not known: "
                found[name] = Fact(lead + escape(reason))
        return found

    def _untrue_tags(self, written: Mapping[str, str]) -> frozenset[str]:
        """Return the tags that an earlier fill may have left and that do not hold for this run.

        Of another run's tags, its record has those of the adapters. Those of its library are
        removed only where this run's library is known (`extra`).
        """
        order = self._order
        untrue = set(base_statements.untrue_tags(order.record))
        if not order.is_other_run or order.earlier_record is None:
            return frozenset(untrue)
        untrue |= base_statements.method_tags(order.earlier_record)
        if order.extra is not None:
            untrue |= base_statements.remembered_tags(written)
        tags = order.front().get("tags", ())
        return frozenset(untrue.difference(tags if isinstance(tags, list | tuple) else ()))
