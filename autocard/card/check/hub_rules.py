"""Check a front matter by the Hub's rules, offline: its lists are in card/hub_lists.py.

One rule: "refused" is only what the Hub's own validation refuses (wrong types, empty and local ids,
results without a data set, licenses and languages that it does not know); what it accepts and does
not understand is a warning. Sources: the model card specification of hub-docs,
huggingface_hub's `model_index_to_eval_results`, and the lists that the file names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import pycountry

from autocard.card import hub_lists
from autocard.card.form.placeholders import find
from autocard.card.front import yaml_keys
from autocard.card.front.yaml_keys import Key, valid_hub_id

_RELATIONS = ("adapter", "merge", "quantized", "finetune")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")
"""A code of a language, perhaps with script and country: en, zh-Hant, pt_BR."""
_NOT_CODES = ("code", "multilingual")
"""What the Hub takes for a language beside the codes."""
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
    found = list(_repeated_keys(text, first_line))
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


@dataclass(frozen=True)
class _Fault:
    """What is wrong with a value."""

    place: str
    """Place inside the key: "[1]", ".emissions", or ""."""
    text: str
    refused: bool = True
    """Whether the Hub refuses it."""


def _is_placeholder(current: str) -> bool:
    text = current.strip("\"' ")
    return bool(text) and find(text) is not None


def _repeated_keys(text: str, first_line: int) -> Iterator[Problem]:
    names = set()
    for name, line in yaml_keys.key_lines(text):
        if name in names:
            yield Problem(name, first_line + line, "stands there twice; YAML takes a key once")
        names.add(name)


def _faults(name: str, key: Key, current: str) -> Iterator[_Fault]:
    if key.data is None:
        yield _Fault("", f"has no value; give it one or take the key out{_hint(current)}")
        return
    rule = _RULES.get(name)
    if rule is not None:
        yield from rule(key.data)


def _hint(current: str) -> str:
    return f" (`{current}` means nothing to YAML)" if current.strip() else ""


def _each(data: Any) -> Iterator[tuple[str, Any]]:
    """Yield (place, value) of a value or of each value of a list."""
    if isinstance(data, list):
        for number, item in enumerate(data):
            yield f"[{number}]", item
    else:
        yield "", data


def _shown(item: Any) -> str:
    return "empty" if item is None else f"{item!r} ({type(item).__name__})"


# -- rules for one key each ------------------------------------------------------------------------


def _one_of(
    what: str, known: frozenset[str], *, refused: bool
) -> Callable[[Any], Iterator[_Fault]]:
    """Return the rule that each value is on the Hub's list *known*."""

    def rule(data: Any) -> Iterator[_Fault]:
        for place, item in _each(data):
            if not isinstance(item, str):
                yield _Fault(place, f"is {_shown(item)}; a word is wanted")
            elif item not in known:
                advice = _nearest(item, known)
                yield _Fault(place, f"{item!r} is no {what} that the Hub knows{advice}", refused)

    return rule


def _nearest(item: str, known: frozenset[str]) -> str:
    found = get_close_matches(item.lower().replace(" ", "-"), sorted(known), n=1)
    return f"; is {found[0]!r} meant?" if found else ""


def _languages(data: Any) -> Iterator[_Fault]:
    for place, item in _each(data):
        if item is False:
            yield _Fault(
                place, 'unquoted `no` is "false" to YAML; Norwegian is "no" in quotes, or nb or nn'
            )
        elif not isinstance(item, str):
            yield _Fault(place, f"is {_shown(item)}; a code of ISO 639 is wanted")
        elif item not in _NOT_CODES and not _is_language(item):
            yield _Fault(
                place,
                f"{item!r} is no code of ISO 639 (en, deu), and neither `code` nor `multilingual`",
            )


def _is_language(text: str) -> bool:
    if not _LANGUAGE.fullmatch(text):
        return False
    code = re.split("[-_]", text)[0]
    names = ("alpha_2", "alpha_3", "bibliographic")
    return any(pycountry.languages.get(**{name: code}) is not None for name in names)


def _ids(what: str) -> Callable[[Any], Iterator[_Fault]]:
    """Return the rule that each value is the id of a *what* on the Hub."""

    def rule(data: Any) -> Iterator[_Fault]:
        for place, item in _each(data):
            if item in (None, ""):
                yield _Fault(place, "is empty; give an id or take it out")
            elif not valid_hub_id(item):
                why = "a path of one machine" if _is_local(item) else "no id of the Hub"
                yield _Fault(place, f"{item!r} is {why}; a {what} is named as `owner/name`")

    return rule


def _is_local(item: Any) -> bool:
    """Return whether *item* is a path: ./model, ~/model, or one with a backslash."""
    return isinstance(item, str) and (item.startswith((".", "/", "~")) or "\\" in item)


def _words(data: Any) -> Iterator[_Fault]:
    for place, item in _each(data):
        if not isinstance(item, str) or not item:
            yield _Fault(place, f"is {_shown(item)}; words are wanted")


def _tags(data: Any) -> Iterator[_Fault]:
    yield from _words(data)
    for place, item in _each(data):
        if not isinstance(item, str) or not item.startswith("base_model:"):
            continue
        if not valid_hub_id(item.rpartition(":")[2]):
            yield _Fault(place, f"{item!r} names no model of the Hub", refused=False)


def _relation(data: Any) -> Iterator[_Fault]:
    if data not in _RELATIONS:
        yield _Fault("", f"{data!r} is none of {', '.join(_RELATIONS)}")


def _emissions(data: Any) -> Iterator[_Fault]:
    is_mapping = isinstance(data, Mapping)
    grams = data.get("emissions") if is_mapping else data
    if isinstance(grams, bool) or not isinstance(grams, int | float):
        place = ".emissions" if is_mapping else ""
        yield _Fault(place, f"is {_shown(grams)}; grams of CO2eq are wanted, as a number")
    kind = data.get("training_type") if is_mapping else None
    if kind is not None and kind not in _TRAINING_TYPES:
        text = f"{kind!r} is none of {', '.join(_TRAINING_TYPES)}"
        yield _Fault(".training_type", text, refused=False)


# -- results ---------------------------------------------------------------------------------------


def _model_index(data: Any) -> Iterator[_Fault]:
    if not isinstance(data, list):
        yield _Fault("", "is no list of models")
        return
    for place, model in _each(data):
        if not isinstance(model, Mapping) or not isinstance(model.get("name"), str):
            yield _Fault(place, "has no name")
            continue
        results = model.get("results")
        if not isinstance(results, list):
            yield _Fault(f"{place}.results", "is no list")
            continue
        for number, result in _each(results):
            yield from _result(f"{place}.results{number}", result)


def _result(place: str, result: Any) -> Iterator[_Fault]:
    if not isinstance(result, Mapping):
        yield _Fault(place, "is no mapping")
        return
    for part, keys in (("task", ("type",)), ("dataset", ("type", "name"))):
        inner = result.get(part)
        missing = [key for key in keys if not isinstance(inner, Mapping) or not inner.get(key)]
        if missing:
            text = f"{' and '.join(missing)} missing: the Hub takes no result without"
            yield _Fault(f"{place}.{part}", text)
    metrics = result.get("metrics")
    if not isinstance(metrics, list) or not metrics:
        yield _Fault(f"{place}.metrics", "missing: the Hub takes no result without")
        return
    for number, metric in _each(metrics):
        missing = _missing_of_metric(metric)
        if missing:
            yield _Fault(f"{place}.metrics{number}", f"{' and '.join(missing)} missing")


def _missing_of_metric(metric: Any) -> list[str]:
    keys = ["type", "value"]
    if not isinstance(metric, Mapping):
        return keys
    return [key for key in keys if metric.get(key) is None]


_RULES: dict[str, Callable[[Any], Iterator[_Fault]]] = {
    "license": _one_of("licence", hub_lists.LICENSES, refused=True),
    "language": _languages,
    "pipeline_tag": _one_of("pipeline tag", hub_lists.PIPELINE_TAGS, refused=False),
    "library_name": _one_of("library", hub_lists.LIBRARIES, refused=False),
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
