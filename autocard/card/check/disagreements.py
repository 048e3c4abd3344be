"""Where a card and its record disagree, once the card is filled.

One rule: what a fill would put right is no disagreement, so a statement counts only if it stands in
the filled card, too.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from autocard.card import fields
from autocard.card.check import comparison, known, measures
from autocard.card.check.edited_figures import edited
from autocard.card.check.findings import Contradiction
from autocard.card.check.front_values import front_contradicts
from autocard.card.check.known_fact import Known
from autocard.card.check.statements import Statement, statements
from autocard.card.fill.written_text import YAML
from autocard.card.form.labels import Labels, words
from autocard.card.front.yaml_keys import key_lines
from autocard.card.markdown import slots
from autocard.card.markdown.document import Document
from autocard.card.markdown.front_place import find_front_matter
from autocard.card.report import Report
from autocard.errors import CardError
from autocard.record import RunRecord

_SHORT = 160
"""Characters of a text that are shown."""
_PACKAGE_LINE = re.compile(
    r"^[ \t]*[-*+][ \t]+\**(?P<name>[A-Za-z][\w .-]{1,30}?)\**:?[ \t]+"
    r"v?(?P<version>\d+(?:\.\d+){1,3})",
    re.MULTILINE,
)
"""- PEFT 0.17.1"""
_ARGUMENT = re.compile(r"[a-z]+(?:_[a-z0-9]+)+")
"""num_train_epochs: the name of an argument, not a word for a fact."""
_WITH_OTHERS = frozenset({"model_specs", "results", "software", "framework_versions"})
"""Facts whose section has further figures, beside the one that a label states."""
_SUMMED = ("time", "GPU time", "energy", "mass")


def find(
    text: str, filled: str, record: RunRecord, labels: Labels, reports: Iterable[Report]
) -> list[Contradiction]:
    """Return what the card *text* says against *record*, in its order.

    Args:
        text: the card as it stands.
        filled: the same card after a fill.
        record: the record.
        labels: the table of words.
        reports: what the fill did with each slot.
    """
    reports = list(reports)
    found = stated(text, filled, record, labels, reports)
    lines = {one.line for one in found}
    slots_found = {one.slot for one in found if one.slot not in _WITH_OTHERS}
    for figure in edited(text, fields.facts(record), labels, reports, slots_found):
        if figure.line not in lines:
            theirs, ours = _short(figure.figure.theirs), _short(figure.figure.ours)
            found.append(Contradiction(figure.fact, figure.label, figure.line, theirs, ours))
    return sorted(found, key=lambda one: one.line)


def stated(
    text: str, filled: str, record: RunRecord, labels: Labels, reports: Iterable[Report]
) -> list[Contradiction]:
    """Return the labelled values that contradict *record*, without the figures in sections."""
    return [*_front(text, reports), *_body(text, filled, record, labels)]


# -- front matter ----------------------------------------------------------------------------------


def _front(text: str, reports: Iterable[Report]) -> Iterator[Contradiction]:
    kept = [one for one in reports if one.state == "kept" and one.slot.startswith(YAML)]
    key_line = _key_lines(text) if kept else {}
    for report in kept:
        key = report.slot.removeprefix(YAML)
        if front_contradicts(key, _value(report.there), _value(report.wanted)):
            line = key_line.get(key, report.line)
            yield Contradiction(
                report.slot, report.label, line, _short(report.there), _short(report.wanted)
            )


def _key_lines(text: str) -> Mapping[str, int]:
    """Return key of the front matter → its line, counted from 1."""
    place, _ = find_front_matter(text, 1 if text.startswith("\ufeff") else 0)
    if place is None:
        return {}
    first = text.count("\n", 0, place[0]) + 1
    try:
        return {name: first + line for name, line in key_lines(text[slice(*place)])}
    except CardError:
        return {}


def _value(text: str) -> object:
    """Return the value of the front matter that *text* is the JSON of, or the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


# -- body ------------------------------------------------------------------------------------------


def _body(text: str, filled: str, record: RunRecord, labels: Labels) -> Iterator[Contradiction]:
    document = Document(text)
    judge = _Judge(record, known.known_facts(record), labels)
    wrong = []
    for statement in statements(document, labels):
        denied = judge.denies(statement)
        if denied is not None:
            wrong.append((statement, denied))
    for statement, denied in _left(wrong, text, filled, labels):
        line, there = document.line_number(statement.at), _short(statement.values[0])
        yield Contradiction(denied.fact, statement.label, line, there, _short(denied.record))
    yield from _package_lines(document, filled, labels, known.versions(record))
    yield from _title(document, labels, record)


def _left(
    wrong: list[tuple[Statement, _Denied]], text: str, filled: str, labels: Labels
) -> Iterator[tuple[Statement, _Denied]]:
    """Yield those of the *wrong* statements of *text* that the card *filled* still has."""
    if text == filled or not wrong:
        yield from wrong
        return
    left = Counter(_key(one) for one in statements(Document(filled), labels))
    for statement, denied in wrong:
        if left[_key(statement)]:
            left[_key(statement)] -= 1
            yield statement, denied


def _key(statement: Statement) -> tuple[str, str, tuple[str, ...]]:
    return statement.fact, statement.label, statement.values


class _Denied(NamedTuple):
    """A fact that a card states otherwise, and what the record has."""

    fact: str
    record: str


class _Judge:
    """Compares statements with one record."""

    def __init__(self, record: RunRecord, facts: Mapping[str, Known], labels: Labels) -> None:
        self._facts = facts
        self._labels = labels
        self._metrics = known.metrics(record)
        self._versions = known.versions(record)
        self._settings = record.training.hyperparameters

    def denies(self, statement: Statement) -> _Denied | None:
        """Return what the record has in place of *statement*; None: it may be right."""
        fact = self._facts.get(statement.fact)
        if _ARGUMENT.fullmatch(statement.label):
            # An argument may not count: `num_train_epochs` beside `max_steps`.
            value = self._settings.get(statement.label)
            fact = None if value is None else Known(str(value))
        if fact is not None:
            is_wrong = _all_contradict(statement, fact)
            return _Denied(statement.fact, fact.text) if is_wrong else None
        if statement.fact or _ARGUMENT.fullmatch(statement.label):
            return None
        return self._other_version(statement) or self._other_metric(statement)

    def _other_version(self, statement: Statement) -> _Denied | None:
        version = self._versions.get(words(statement.label).replace(" ", "-"))
        stated = statement.values[0]
        if version is None or not comparison.other_version(stated, version):
            return None
        return _Denied("software", version)

    def _other_metric(self, statement: Statement) -> _Denied | None:
        """Return the record's value of the metric that the label is, if it is another."""
        values = self._metrics.get(known.metric_word(statement.label))
        is_one = not statement.whole or len(statement.values) == 1
        if values is None or not is_one or not self._is_own_place(statement.path):
            return None
        ours = Known("", numbers=frozenset(values))
        if not _all_contradict(statement, ours):
            return None
        return _Denied("results", f"{values[0]:.4g}")

    def _is_own_place(self, path: tuple[str, ...]) -> bool:
        """Return whether the headings say nothing of other data: the title, "Results"."""
        below_title = path[1:]
        return all(self._labels.is_section_heading(heading) for heading in below_title)


def _all_contradict(statement: Statement, ours: Known) -> bool:
    """Return whether each value of *statement*, and their sum, contradicts *ours*."""
    values = [value for value in statement.values if value.strip()]
    fact, label = statement.fact, statement.label
    if not values or not all(comparison.contradicts(fact, label, one, ours) for one in values):
        return False
    return not (statement.whole and len(values) > 1 and _sum_agrees(statement, ours))


def _sum_agrees(statement: Statement, ours: Known) -> bool:
    kinds: dict[str, float] = {}
    for value in statement.values:
        for kind, figures in comparison.stated_figures(statement.label, value).items():
            kinds[kind] = kinds.get(kind, 0.0) + figures[0].low
    accepted = comparison.accepted_values(ours)
    for kind in _SUMMED:
        if kind not in kinds:
            continue
        total = measures.Figure(kinds[kind], kinds[kind])
        if any(total.agrees(value) for value in accepted.get(kind, ())):
            return True
    return False


def _package_lines(
    document: Document, filled: str, labels: Labels, versions: Mapping[str, str]
) -> Iterator[Contradiction]:
    """Yield the versions in lists of packages, "- PEFT 0.17.1", that the run did not use."""
    for section in document.sections:
        meaning = labels.heading(section.path[-1], section.path[:-1]) if section.heading else None
        if meaning is None or meaning.fact not in ("framework_versions", "software"):
            continue
        for match in _PACKAGE_LINE.finditer(document.text, section.start, section.end):
            version = versions.get(words(match["name"]).replace(" ", "-"))
            is_other = version is not None and comparison.other_version(match["version"], version)
            if version is None or not is_other or match[0] not in filled:
                continue
            line = document.line_number(match.start("name"))
            theirs = f"{match['name']} {match['version']}"
            yield Contradiction(meaning.fact, match["name"], line, theirs, version)


def _title(document: Document, labels: Labels, record: RunRecord) -> Iterator[Contradiction]:
    """Yield the title if it is the base model's: then the card is that model's."""
    base, name = record.model.base_model, record.model.name
    title = slots.title(document, labels)
    if title is None or not base or not name:
        return
    text = document.text[title.start : title.end].strip().lower()
    own = {name.lower(), name.rpartition("/")[2].lower()}
    if text not in own and text in {base.lower(), base.rpartition("/")[2].lower()}:
        line = document.line_number(title.start)
        yield Contradiction("model_id", "title", line, f"{text}, the base model", name)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHORT else line[: _SHORT - 1] + "…"
