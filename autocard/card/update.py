"""A record into the card beside it: read, fill, write the card and then the record that remembers what was written.

One rule: a card that cannot be filled safely is left alone, and the new card goes beside it.

The record is written twice around the card: first with what is about to be written added to what
was, so that a crash between the two writes never makes text of ours look like a person's; then with
what stands in the card.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from autocard import files
from autocard import record as records
from autocard.card import fields
from autocard.card import suggest as suggesting
from autocard.card.fact import Fact, escape
from autocard.card.fill import author_text, base_statements, hidden_slots, new_card, other_runs
from autocard.card.fill.fill import Filled, Report, fill
from autocard.card.fill.written_text import YAML
from autocard.card.form.label_files import load
from autocard.card.form.labels import Labels
from autocard.card.front.yaml_keys import MERGED
from autocard.card.markdown.document import Document, find_front_matter
from autocard.errors import CardError, RecordError
from autocard.record import RECORD_NAME, RunRecord

PENDING = " (being written)"
"""What the name of a card has behind it in `slots` while the card is written."""


@dataclass(frozen=True)
class Outcome:
    """What an update did.

    Attributes:
        card: the file that holds the facts now: the card, or the one beside it.
        text: its text.
        changed: whether the card's text differs from what was in the file (with *dry_run*: would).
        before: the text that was there; None: there was none.
        reports: what became of each slot.
        warnings: what a person must be told: whole sentences, each once.
        left_alone: why the existing card was not filled; None: it was.
        proposed: facts that were proposed rather than known.
    """

    card: Path
    text: str
    changed: bool
    before: str | None
    reports: tuple[Report, ...]
    warnings: tuple[str, ...] = ()
    left_alone: str | None = None
    proposed: frozenset[str] = frozenset()

    @property
    def suggested(self) -> tuple[Report, ...]:
        """The slots that hold a proposal, which a person has to check."""
        return tuple(
            report
            for report in self.reports
            if report.slot in self.proposed and report.state in ("filled", "refreshed", "same")
        )

    @property
    def kept(self) -> tuple[Report, ...]:
        """The slots that hold a person's text where the record has another."""
        return tuple(report for report in self.reports if report.state == "kept")


@dataclass(frozen=True)
class Standing:
    """What counts as the card that stands there, where the file holds something else: a trainer has written over it.

    Attributes:
        text: the card; None: there was none.
        ours: slots that autocard wrote into it by another record (such as the Hub's), beside those
            it remembers.
        remembered: those it remembers, where it is another card than the file's; None: what the
            record beside it says.
    """

    text: str | None
    ours: Mapping[str, str] = field(default_factory=dict)
    remembered: Mapping[str, str] | None = None


@dataclass
class _Job:
    """One update on its way."""

    card: Path
    record: RunRecord
    template: str | None
    empty: str
    overwrite: Collection[str]
    labels: Labels
    extra: Mapping[str, Any] | None = None
    ours: Mapping[str, str] = field(default_factory=dict)
    other_run: bool = False
    """The record beside the card, whose `slots` are remembered, is another run's."""
    there: RunRecord | None = None
    """That record; None: there is none."""
    proposed: Mapping[str, Fact] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    withheld: frozenset[str] = frozenset()
    """Names that the front matter may not show as the base."""

    @property
    def front(self) -> dict[str, Any]:
        """What belongs into the front matter: the record's values, then what others bring that it does not say."""
        known, extra = fields.front_matter(self.record), self.extra or {}
        lists = {
            key: [*known[key], *(item for item in value if item not in known[key])]
            for key, value in extra.items()
            if key in MERGED and isinstance(value, list) and isinstance(known.get(key), list)
        }
        return {**extra, **known, **lists}


def update(
    card: Path,
    record: RunRecord,
    *,
    template: str | None = None,
    empty: str = "comment",
    overwrite: Collection[str] = (),
    dry_run: bool = False,
    standing: Standing | None = None,
    extra: Mapping[str, Any] | None = None,
    suggest: bool = False,
    withheld: Collection[str] = (),
) -> Outcome:
    """Put what *record* knows into *card*, and *record* beside it as `autocard.json`.

    Args:
        card: path of the card; made where there is none. A symbolic link is followed and stays one.
        record: the run's record; its own `slots` are not looked at, those of the file beside the
            card are.
        template: shipped name or path, for a new card; None: the Hub's own template.
        empty: how a new card shows what nobody has filled: "comment" or "placeholder".
        overwrite: names or labels of slots that are written whoever wrote there.
        dry_run: write nothing, only say what would be.
        standing: what counts as the card, where that is not what the file holds.
        extra: keys of the front matter that others bring (a trainer's tags); the record's values go
            before them.
        suggest: propose what only a person can say (licence, developers, citation), marked as such.
        withheld: names that the front matter may not show as the base: local folders that the model
            was loaded from.

    Raises:
        SettingsError: the template or a file of labels cannot be used. Nothing was written.
        NotWrittenError: a file could not be written. What was there before is still there.
        AbandonedError: it took too long and the caller has gone on.
    """
    ours = standing.ours if standing else {}
    job = _Job(
        card,
        record,
        template,
        empty,
        overwrite,
        load(new_card.label_files(template, card)),
        extra,
        ours,
    )
    job.withheld = frozenset(withheld) - {record.model.base_model} | base_statements.local_bases(
        card.parent, record
    )
    slots = _remembered_slots(job)
    before, problem = _read(card)
    target, in_file = card, before
    if standing is not None:
        before, problem = standing.text, None
        if standing.remembered is not None:
            slots = {**slots, card.name: dict(standing.remembered)}
    remembered = slots.get(card.name, {})
    job.proposed = (
        suggesting.suggestions(record, card.parent)
        if suggest
        else suggesting.kept(remembered, before or "")
    )
    filled: Filled | None = None
    if before is not None:
        try:
            filled = _from_front_matter(job, before, slots) or _fill_existing(
                job, card.name, before, slots
            )
        except CardError as exc:
            problem = str(exc)
    if filled is None:
        if problem is not None:
            target = path_beside(card)
            job.warnings.append(
                f"{card.name}: {problem}. It was left alone; the new card is {target.name}, beside it. "
                f"Put {card.name} right and run: autocard fill {card.name}"
            )
            before, _ = _read(target)
            in_file = before
            filled = _again(job, target.name, before, slots)
        filled = filled or _new(job)
    changed = filled.text != in_file
    if not dry_run:
        _write(job, target, filled, slots, changed=changed)
    return Outcome(
        target,
        filled.text,
        changed,
        in_file,
        filled.reports,
        tuple(job.warnings),
        problem,
        _own(job),
    )


def _own(job: _Job) -> frozenset[str]:
    """Return the facts that are proposals: those that the record does not know."""
    return frozenset(job.proposed.keys() - fields.facts(job.record).keys())


def _read(card: Path) -> tuple[str | None, str | None]:
    """Return the card's text (None: there is none), and why it cannot be used."""
    try:
        return files.read_text(card), None
    except FileNotFoundError:
        return None, None
    except UnicodeDecodeError:
        return None, "it is not UTF-8 text"
    except OSError as exc:
        return None, f"it cannot be read ({exc.strerror or type(exc).__name__})"
    except ValueError:
        return None, "its name has a null character"


def path_beside(card: Path) -> Path:
    """Return the path of the card that is written beside one which cannot be filled."""
    return card.with_name(f"{card.stem}.autocard{card.suffix}")


def _remembered_slots(job: _Job) -> dict[str, dict[str, str]]:
    """Return the `slots` of the record beside the card; none where there is none or it cannot be read."""
    path = job.card.parent / RECORD_NAME
    if not files.exists(path):
        return {}
    try:
        there = records.load(path, check_figures=False)
    except RecordError as exc:
        job.warnings.append(
            f"{exc} So what autocard wrote into {job.card.name} before counts as a person's text and is kept."
        )
        return {}
    job.there = there
    job.other_run = there.run.id != job.record.run.id
    return {name: dict(texts) for name, texts in there.slots.items()}


def _from_front_matter(
    job: _Job, text: str, slots: Mapping[str, Mapping[str, str]]
) -> Filled | None:
    """Return a new card below the front matter that stands there alone (as in a new repository of the Hub)."""
    top = 1 if text.startswith("\ufeff") else 0
    if text[find_front_matter(text, top)[1] :].strip():
        return None
    document = Document(text)
    blank = _blank(job)
    body = blank[Document(blank).body :].lstrip("\n")
    head = text if document.front else text[: document.top]
    gap = document.newline * (0 if not head.strip() else 1 if head.endswith("\n") else 2)
    return _fill_blank(
        job, head + gap + body.replace("\n", document.newline), slots.get(job.card.name, {})
    )


def _again(
    job: _Job, name: str, text: str | None, slots: Mapping[str, Mapping[str, str]]
) -> Filled | None:
    """Fill the card beside once more, if it is there and can be."""
    if text is None:
        return None
    try:
        return _fill_existing(job, name, text, slots)
    except CardError:
        return None


def _fill_existing(
    job: _Job, name: str, text: str, slots: Mapping[str, Mapping[str, str]]
) -> Filled:
    remembered = slots.get(name, {})
    pending = {**job.ours, **slots.get(name + PENDING, {})}
    facts = {**job.proposed, **fields.facts(job.record), **_reasons(job, {*remembered, *pending})}
    front = job.front
    if base_statements.names_other_base(
        text, job.record, {**remembered, **pending}, {*job.withheld, *job.overwrite}
    ):
        # What we know of the base is not what this card is about.
        facts = {
            name: fact for name, fact in facts.items() if name not in base_statements.OF_THE_BASE
        }
        front.pop("base_model_relation", None)
    filled = fill(
        text,
        facts,
        front,
        remembered=remembered,
        overwrite=job.overwrite,
        pending=pending,
        labels=job.labels,
        other_run=job.other_run,
        withheld=job.withheld,
        untrue=_untrue_tags(job, {**remembered, **pending}),
    )
    job.warnings += other_runs.warnings(
        job.card.name, text, filled.reports, job.record.run.id, job.labels
    )
    return _honest(filled, facts, job)


def _untrue_tags(job: _Job, remembered: Mapping[str, str]) -> frozenset[str]:
    """Return the tags that an earlier write may have left and that do not hold for the run that is shown now.

    Of another run's tags, those of its adapters are known by its record. Its library's tags go only
    where those of this run's library are known (`extra`).
    """
    untrue = set(base_statements.untrue_tags(job.record))
    if not job.other_run or job.there is None:
        return frozenset(untrue)
    untrue |= base_statements.method_tags(job.there)
    if job.extra is not None:
        untrue |= base_statements.remembered_tags(remembered)
    return frozenset(untrue - set(job.front.get("tags", ())))


def _new(job: _Job) -> Filled:
    """Return a new card, filled."""
    try:
        return _fill_blank(job, _blank(job), {})
    except CardError as exc:
        # Only a user's own template can be that strange.
        job.warnings.append(
            f"template {job.template}: {exc}. The Hub's own template was used instead."
        )
        return _fill_blank(replace(job, template=None), _blank(replace(job, template=None)), {})


def _blank(job: _Job) -> str:
    return new_card.blank(
        job.template,
        {
            name: author_text.variable(str(value))
            for name, value in job.record.facts.items()
            if value is not None
        },
    )


def _fill_blank(job: _Job, blank: str, remembered: Mapping[str, str]) -> Filled:
    """Return *blank* filled; what nobody has filled is hidden, or stays as the form has it."""
    facts = {**job.proposed, **fields.facts(job.record)}
    facts.update({name: fact for name, fact in _reasons(job, None).items() if name not in facts})
    yaml_only = {name: text for name, text in remembered.items() if name.startswith(YAML)}
    filled = fill(
        blank, facts, job.front, remembered=yaml_only, labels=job.labels, withheld=job.withheld
    )
    text, slots = filled.text.replace(new_card.CARD_DATA + "\n", ""), filled.slots
    if job.empty == "comment":
        text, slots = hidden_slots.hide(text, job.labels, slots)
    return _honest(Filled(text, slots, filled.reports), facts, job)


def _honest(filled: Filled, facts: Mapping[str, Fact], job: _Job) -> Filled:
    """Return *filled* with those slots reported as empty that hold a reason rather than a fact."""
    reasons = facts.keys() - fields.facts(job.record).keys() - job.proposed.keys()
    reports = [
        replace(one, state="empty") if one.slot in reasons else one for one in filled.reports
    ]
    return replace(filled, reports=tuple(reports))


def _reasons(job: _Job, names: Collection[str] | None) -> dict[str, Fact]:
    """Return the reasons that readers want to know, for facts that the record does not have.

    A new card (*names* is None) gives them all; a card that exists only where we wrote before
    (*names*).
    """
    known = fields.facts(job.record)
    found = {}
    for name, kind in job.labels.kinds.items():
        if name in known or not kind.say_why or not (names is None or name in names):
            continue
        reason = job.record.why_missing(kind.record)
        if reason:
            found[name] = Fact(
                escape(reason) if reason.startswith("not ") else f"not known: {escape(reason)}"
            )
    return found


def _write(
    job: _Job,
    target: Path,
    filled: Filled,
    slots: Mapping[str, Mapping[str, str]],
    *,
    changed: bool,
) -> None:
    """Write the record, the card, and the record again."""
    name = target.name
    path = job.card.parent / RECORD_NAME
    others = {key: dict(texts) for key, texts in slots.items() if key not in (name, name + PENDING)}
    if changed:
        before = {name: dict(slots[name])} if name in slots else {}
        waiting = {**others, **before, name + PENDING: filled.slots}
        files.write_text(path, records.to_json(job.record.model_copy(update={"slots": waiting})))
        files.write_text(target, filled.text)
    done = {**others, name: filled.slots}
    files.write_text(path, records.to_json(job.record.model_copy(update={"slots": done})))
