"""Check a front matter by the Hub's rules, offline: its lists are in card/hub_lists.py.

One rule: "refused" is only what the Hub's own validation refuses (wrong types, empty and local ids,
results without a data set, licenses and languages that it does not know); what it accepts and does
not understand is a warning. Sources: the model card specification of hub-docs,
huggingface_hub's `model_index_to_eval_results`, and the lists that the file names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autocard.card import hub_lists
from autocard.card.check import hub_keys, language_codes, usual_names
from autocard.card.check.fault import Fault, each, shown
from autocard.card.form.placeholders import find
from autocard.card.front import yaml_keys
from autocard.card.front.yaml_keys import Key, valid_hub_id

_RELATIONS = ("adapter", "merge", "quantized", "finetune")
_TRAINING_TYPES = ("pre-training", "fine-tuning")


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with one key of a front matter.

    Attributes:
        key: the key, with the place inside it (`model-index[0].results[1].dataset`).
        line: line of the file, counted from 1; 0: not known.
        text: what is wrong, and what would be right.
        refused: whether the Hub refuses a card that has it.
    """

    key: str
    line: int
    text: str
    refused: bool = True


def problems(text: str, first_line: int = 1) -> list[Problem]:
    """Return what is wrong with the YAML *text*, which begins at *first_line* of the file.

    Raises:
        CardError: it is not a YAML mapping.
    """
    keys, blank = yaml_keys.read_keys(text)
    if blank.span:
        return []
    found = [*_repeated_keys(text, first_line), *_unread_keys(keys, text, first_line)]
    for name, key in keys.items():
        line = first_line + text.count("\n", 0, key.start)
        current = text[key.at : key.end]
        if yaml_keys.is_blank(current, key.data) and _is_placeholder(current):
            continue  # a placeholder is not wrong but empty
        found += [
            Problem(name + fault.place, line, fault.text, fault.refused)
            for fault in _faults(name, key, current)
        ]
    license_ = keys.get("license")
    if license_ and license_.data == "other" and not _has_own_license(keys):
        line = first_line + text.count("\n", 0, license_.start)
        advice = "`other` wants license_name and license_link beside it"
        found.append(Problem("license", line, advice, refused=False))
    return sorted(found, key=lambda problem: problem.line)


def _has_own_license(keys: Mapping[str, Key]) -> bool:
    return "license_name" in keys or "license_link" in keys


def empty_keys(text: str) -> dict[str, int]:
    """Return key → line (from 0), of the keys of the YAML *text* without a value of their own."""
    keys, _ = yaml_keys.read_keys(text)
    return {
        name: text.count("\n", 0, key.start)
        for name, key in keys.items()
        if yaml_keys.is_blank(text[key.at : key.end], key.data)
    }


def _is_placeholder(current: str) -> bool:
    text = current.strip("\"' ")
    return bool(text) and find(text) is not None


def _repeated_keys(text: str, first_line: int) -> Iterator[Problem]:
    names = set()
    for name, line in yaml_keys.key_lines(text):
        if name in names:
            yield Problem(name, first_line + line, "stands there twice; YAML takes a key once")
        names.add(name)


def _unread_keys(keys: Mapping[str, Key], text: str, first_line: int) -> Iterator[Problem]:
    """Yield the keys that are misspelled, so that the Hub does not read them."""
    for name, key in keys.items():
        meant = hub_keys.meant_key(name)
        if meant is not None:
            line = first_line + text.count("\n", 0, key.start)
            advice = f"the Hub does not read this key: {meant}?"
            yield Problem(name, line, advice, refused=False)


def _faults(name: str, key: Key, current: str) -> Iterator[Fault]:
    if key.data is None:
        yield Fault("", f"has no value; give it one or take the key out{_hint(current)}")
        return
    rule = _RULES.get(name)
    if rule is not None:
        yield from rule(key.data)


def _hint(current: str) -> str:
    return f" (in YAML, `{current}` is no value)" if current.strip() else ""


# -- rules for one key each ------------------------------------------------------------------------


def _one_of(
    what: str,
    known: frozenset[str],
    proposal: Callable[[str], str | None],
    *,
    refused: bool,
) -> Callable[[Any], Iterator[Fault]]:
    """Return the rule that each value is on the Hub's list *known*; *proposal* names another."""

    def rule(data: Any) -> Iterator[Fault]:
        for place, item in each(data):
            if not isinstance(item, str):
                yield Fault(place, f"is {shown(item)}; a word is wanted")
            elif item not in known:
                name = proposal(item)
                advice = f"; is {name!r} meant?" if name else ""
                yield Fault(place, f"{item!r} is no {what} that the Hub knows{advice}", refused)

    return rule


def _ids(what: str) -> Callable[[Any], Iterator[Fault]]:
    """Return the rule that each value is the id of a *what* on the Hub."""

    def rule(data: Any) -> Iterator[Fault]:
        for place, item in each(data):
            if item in (None, ""):
                yield Fault(place, "is empty; give an id or take it out")
            elif not valid_hub_id(item):
                why = "a path of one machine" if _is_local(item) else "no id of the Hub"
                yield Fault(place, f"{item!r} is {why}; a {what} is named as `owner/name`")

    return rule


def _is_local(item: Any) -> bool:
    """Return whether *item* is a path: ./model, ~/model, or one with a backslash."""
    return isinstance(item, str) and (item.startswith((".", "/", "~")) or "\\" in item)


def _words(data: Any) -> Iterator[Fault]:
    for place, item in each(data):
        if not isinstance(item, str) or not item:
            yield Fault(place, f"is {shown(item)}; words are wanted")


def _tags(data: Any) -> Iterator[Fault]:
    yield from _words(data)
    for place, item in each(data):
        if not isinstance(item, str) or not item.startswith("base_model:"):
            continue
        if not valid_hub_id(item.rpartition(":")[2]):
            yield Fault(place, f"{item!r} names no model of the Hub", refused=False)


def _relation(data: Any) -> Iterator[Fault]:
    if data not in _RELATIONS:
        yield Fault("", f"{data!r} is none of {', '.join(_RELATIONS)}")


def _emissions(data: Any) -> Iterator[Fault]:
    is_mapping = isinstance(data, Mapping)
    grams = data.get("emissions") if is_mapping else data
    if isinstance(grams, bool) or not isinstance(grams, int | float):
        place = ".emissions" if is_mapping else ""
        yield Fault(place, f"is {shown(grams)}; grams of CO2eq are wanted, as a number")
    kind = data.get("training_type") if is_mapping else None
    if kind is not None and kind not in _TRAINING_TYPES:
        text = f"{kind!r} is none of {', '.join(_TRAINING_TYPES)}"
        yield Fault(".training_type", text, refused=False)


# -- results ---------------------------------------------------------------------------------------


def _model_index(data: Any) -> Iterator[Fault]:
    if not isinstance(data, list):
        yield Fault("", "is no list of models")
        return
    for place, model in each(data):
        if not isinstance(model, Mapping) or not isinstance(model.get("name"), str):
            yield Fault(place, "has no name")
            continue
        results = model.get("results")
        if not isinstance(results, list):
            yield Fault(f"{place}.results", "is no list")
            continue
        for number, result in each(results):
            yield from _result(f"{place}.results{number}", result)


def _result(place: str, result: Any) -> Iterator[Fault]:
    if not isinstance(result, Mapping):
        yield Fault(place, "is no mapping")
        return
    for part, keys in (("task", ("type",)), ("dataset", ("type", "name"))):
        inner = result.get(part)
        missing = [key for key in keys if not isinstance(inner, Mapping) or not inner.get(key)]
        if missing:
            text = f"{' and '.join(missing)} missing: the Hub takes no result without"
            yield Fault(f"{place}.{part}", text)
    metrics = result.get("metrics")
    if not isinstance(metrics, list) or not metrics:
        yield Fault(f"{place}.metrics", "missing: the Hub takes no result without")
        return
    for number, metric in each(metrics):
        missing = _missing_of_metric(metric)
        if missing:
            yield Fault(f"{place}.metrics{number}", f"{' and '.join(missing)} missing")


def _missing_of_metric(metric: Any) -> list[str]:
    keys = ["type", "value"]
    if not isinstance(metric, Mapping):
        return keys
    return [key for key in keys if metric.get(key) is None]


_RULES: dict[str, Callable[[Any], Iterator[Fault]]] = {
    "license": _one_of("license", hub_lists.LICENSES, usual_names.license_id, refused=True),
    "language": language_codes.faults,
    "pipeline_tag": _one_of(
        "pipeline tag", hub_lists.PIPELINE_TAGS, usual_names.task_id, refused=False
    ),
    "library_name": _one_of("library", hub_lists.LIBRARIES, usual_names.library_id, refused=False),
    "base_model": _ids("model"),
    "datasets": _ids("data set"),
    "new_version": _ids("model"),
    "base_model_relation": _relation,
    "tags": _tags,
    "metrics": _words,
    "co2_eq_emissions": _emissions,
    "model-index": _model_index,
}
"""Key → the rule for its value."""
