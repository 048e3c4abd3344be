"""A front matter against what the Hub takes, without asking the Hub: its lists are in templates/hub_lists.json.

One rule: "refused" is said only of what the Hub's own validation refuses (wrong types, empty and
local ids, results without a data set, licences and languages that it does not know); what it takes
and does not understand is a warning. Sources: the model card specification of hub-docs,
huggingface_hub's `model_index_to_eval_results`, and the lists that the file names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from autocard.card.form.placeholders import find
from autocard.card.front import yaml_keys
from autocard.card.front.yaml_keys import Key, valid_hub_id

_RELATIONS = ("adapter", "merge", "quantized", "finetune")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")
_NOT_CODES = ("code", "multilingual")
_TRAINING = ("pre-training", "fine-tuning")


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


@lru_cache(maxsize=1)
def lists() -> dict[str, frozenset[str]]:
    """Return the Hub's lists: licenses, pipeline_tags and libraries."""
    raw = json.loads(
        (files("autocard") / "templates" / "hub_lists.json").read_text(encoding="utf-8")
    )
    return {name: frozenset(raw[name]) for name in ("licenses", "pipeline_tags", "libraries")}


def problems(text: str, first_line: int = 1) -> list[Problem]:
    """Return what is wrong with the YAML *text*, the first line of which is line *first_line* of the file.

    Raises:
        CardError: it is not a YAML mapping.
    """
    keys, blank = yaml_keys.read_keys(text)
    if blank.span:
        return []
    found = list(_twice(text, first_line))
    for name, key in keys.items():
        line = first_line + text.count("\n", 0, key.start)
        current = text[key.at : key.end]
        if yaml_keys.is_blank(current, key.data) and _asks(current):
            continue  # a placeholder is not wrong but empty
        found += [
            Problem(name + place, line, said, refused)
            for place, said, refused in _judge(name, key, current)
        ]
    if (
        keys.get("license")
        and keys["license"].data == "other"
        and not {"license_name", "license_link"} & keys.keys()
    ):
        line = first_line + text.count("\n", 0, keys["license"].start)
        found.append(
            Problem(
                "license",
                line,
                "`other` wants license_name and license_link beside it",
                refused=False,
            )
        )
    return sorted(found, key=lambda problem: problem.line)


def empty_keys(text: str) -> dict[str, int]:
    """Return the keys of the YAML *text* that have no value or a placeholder, and the line of each, from 0."""
    keys, _ = yaml_keys.read_keys(text)
    return {
        name: text.count("\n", 0, key.start)
        for name, key in keys.items()
        if yaml_keys.is_blank(text[key.at : key.end], key.data)
    }


Said = tuple[str, str, bool]
"""Place inside the key, what is wrong there, whether the Hub refuses it."""


def _asks(current: str) -> bool:
    return bool(current.strip("\"' ")) and find(current.strip("\"' ")) is not None


def _twice(text: str, first_line: int) -> Iterator[Problem]:
    seen = set()
    for name, line in yaml_keys.key_lines(text):
        if name in seen:
            yield Problem(name, first_line + line, "stands there twice; YAML takes a key once")
        seen.add(name)


def _judge(name: str, key: Key, current: str) -> Iterator[Said]:
    data = key.data
    if data is None:
        yield "", f"has no value; give it one or take the key out{_hint(current)}", True
        return
    judge = _JUDGES.get(name)
    if judge is not None:
        yield from judge(data)


def _hint(current: str) -> str:
    return f" (`{current}` means nothing to YAML)" if current.strip() else ""


def _each(data: Any) -> Iterator[tuple[str, Any]]:
    """Yield (place, value) of a value or of each value of a list."""
    if isinstance(data, list):
        yield from ((f"[{number}]", item) for number, item in enumerate(data))
    else:
        yield "", data


def _one_of(what: str, listed: str, *, refused: bool) -> Callable[[Any], Iterator[Said]]:
    def judge(data: Any) -> Iterator[Said]:
        for place, item in _each(data):
            if not isinstance(item, str):
                yield place, f"is {_shown(item)}; a word is wanted", True
            elif item not in lists()[listed]:
                near = _near(item, lists()[listed])
                yield place, f"{item!r} is no {what} that the Hub knows{near}", refused

    return judge


def _near(item: str, known: frozenset[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only where something is wrong

    found = get_close_matches(item.lower().replace(" ", "-"), sorted(known), n=1)
    return f"; is {found[0]!r} meant?" if found else ""


def _shown(item: Any) -> str:
    return "empty" if item is None else f"{item!r} ({type(item).__name__})"


def _languages(data: Any) -> Iterator[Said]:
    for place, item in _each(data):
        if item is False:
            yield (
                place,
                'unquoted `no` is "false" to YAML; Norwegian is "no" in quotes, or nb or nn',
                True,
            )
        elif not isinstance(item, str):
            yield place, f"is {_shown(item)}; a code of ISO 639 is wanted", True
        elif item not in _NOT_CODES and not (
            _LANGUAGE.fullmatch(item) and _is_code(re.split("[-_]", item)[0])
        ):
            yield (
                place,
                f"{item!r} is no code of ISO 639 (en, deu), and neither `code` nor `multilingual`",
                True,
            )


def _is_code(code: str) -> bool:
    import pycountry  # noqa: PLC0415 - only where languages are looked up

    names = ("alpha_2", "alpha_3", "bibliographic")
    return any(pycountry.languages.get(**{name: code}) is not None for name in names)


def _ids(what: str) -> Callable[[Any], Iterator[Said]]:
    def judge(data: Any) -> Iterator[Said]:
        for place, item in _each(data):
            if item in (None, ""):
                yield place, "is empty; give an id or take it out", True
            elif not valid_hub_id(item):
                local = isinstance(item, str) and (item.startswith((".", "/", "~")) or "\\" in item)
                why = "a path of one machine" if local else "no id of the Hub"
                yield place, f"{item!r} is {why}; a {what} is named as `owner/name`", True

    return judge


def _words(data: Any) -> Iterator[Said]:
    for place, item in _each(data):
        if not isinstance(item, str) or not item:
            yield place, f"is {_shown(item)}; words are wanted", True


def _tags(data: Any) -> Iterator[Said]:
    yield from _words(data)
    for place, item in _each(data):
        named = isinstance(item, str) and item.startswith("base_model:")
        if named and not valid_hub_id(item.rpartition(":")[2]):
            yield place, f"{item!r} names no model of the Hub", False


def _relation(data: Any) -> Iterator[Said]:
    if data not in _RELATIONS:
        yield "", f"{data!r} is none of {', '.join(_RELATIONS)}", True


def _emissions(data: Any) -> Iterator[Said]:
    grams = data.get("emissions") if isinstance(data, Mapping) else data
    if isinstance(grams, bool) or not isinstance(grams, int | float):
        place = ".emissions" if isinstance(data, Mapping) else ""
        yield place, f"is {_shown(grams)}; grams of CO2eq are wanted, as a number", True
    if isinstance(data, Mapping) and data.get("training_type") not in (None, *_TRAINING):
        yield (
            ".training_type",
            f"{data['training_type']!r} is none of {', '.join(_TRAINING)}",
            False,
        )


def _model_index(data: Any) -> Iterator[Said]:
    if not isinstance(data, list):
        yield "", "is no list of models", True
        return
    for place, model in _each(data):
        if not isinstance(model, Mapping) or not isinstance(model.get("name"), str):
            yield place, "has no name", True
            continue
        results = model.get("results")
        if not isinstance(results, list):
            yield f"{place}.results", "is no list", True
            continue
        for inner, result in _each(results):
            for at, said in _result(result):
                yield f"{place}.results{inner}{at}", said, True


def _result(result: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(result, Mapping):
        yield "", "is no mapping"
        return
    for part, wanted in (("task", ("type",)), ("dataset", ("type", "name"))):
        inner = result.get(part)
        lacking = [key for key in wanted if not isinstance(inner, Mapping) or not inner.get(key)]
        if lacking:
            yield f".{part}", f"{' and '.join(lacking)} missing: the Hub takes no result without"
    metrics = result.get("metrics")
    if not isinstance(metrics, list) or not metrics:
        yield ".metrics", "missing: the Hub takes no result without"
        return
    for place, metric in _each(metrics):
        lacking = [
            key
            for key in ("type", "value")
            if not isinstance(metric, Mapping) or metric.get(key) is None
        ]
        if lacking:
            yield f".metrics{place}", f"{' and '.join(lacking)} missing"


_JUDGES: dict[str, Callable[[Any], Iterator[Said]]] = {
    "license": _one_of("licence", "licenses", refused=True),
    "language": _languages,
    "pipeline_tag": _one_of("pipeline tag", "pipeline_tags", refused=False),
    "library_name": _one_of("library", "libraries", refused=False),
    "base_model": _ids("model"),
    "datasets": _ids("data set"),
    "new_version": _ids("model"),
    "base_model_relation": _relation,
    "tags": _tags,
    "metrics": _words,
    "co2_eq_emissions": _emissions,
    "model-index": _model_index,
}
