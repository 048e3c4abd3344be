"""Whether a value of the front matter contradicts the record's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from autocard.card.check import comparison, usual_names
from autocard.card.check.known_fact import Known
from autocard.card.check.measures import Figure

_SAME_TASK = (
    {"feature-extraction", "sentence-similarity", "text-ranking", "text-retrieval"},
    {"text-classification", "zero-shot-classification", "text-ranking"},
    {"text-generation", "image-text-to-text", "any-to-any", "summarization", "translation"},
    {"question-answering", "document-question-answering", "visual-question-answering"},
)
"""Tags that people give to the same model."""


def front_contradicts(key: str, theirs: object, ours: object) -> bool:
    """Return whether *theirs*, the value of *key*, contradicts the record's *ours*."""
    rule = _RULES.get(key)
    return rule is not None and theirs is not None and ours is not None and rule(theirs, ours)


def _emissions(theirs: object, ours: object) -> bool:
    their_grams, our_grams = _grams(theirs), _grams(ours)
    if their_grams is None or our_grams is None:
        return False
    if not Figure(their_grams, their_grams).agrees(our_grams):
        return True
    if not isinstance(theirs, Mapping) or not isinstance(ours, Mapping):
        return False
    for key, fact in _EMISSION_KEYS.items():
        their, our = theirs.get(key), ours.get(key)
        if their and our and comparison.contradicts(fact, key, str(their), Known(str(our))):
            return True
    return _words_differ(theirs.get("training_type"), ours.get("training_type"))


_EMISSION_KEYS = {"geographical_location": "cloud_region", "hardware_used": "hardware_type"}


def _words_differ(theirs: object, ours: object) -> bool:
    return isinstance(theirs, str) and isinstance(ours, str) and theirs.lower() != ours.lower()


def _grams(value: object) -> float | None:
    """Return the emissions of `co2_eq_emissions`, which is a number or a mapping."""
    grams = value.get("emissions") if isinstance(value, Mapping) else value
    if isinstance(grams, bool) or not isinstance(grams, int | float):
        return None
    return float(grams)


def _no_common_id(theirs: object, ours: object) -> bool:
    return not _ids(theirs) & _ids(ours)


def _no_common_name(theirs: object, ours: object) -> bool:
    """Return whether two lists of data sets have no name in common: `imdb`, `stanfordnlp/imdb`."""
    their_names = {name.rpartition("/")[2] for name in _ids(theirs)}
    return bool(their_names) and not their_names & {one.rpartition("/")[2] for one in _ids(ours)}


def _ids(value: object) -> set[str]:
    """Return the ids of a key that has one or a list, in lower case."""
    if isinstance(value, str):
        return {value.lower()}
    if not isinstance(value, Iterable):
        return set()
    return {str(one).lower() for one in value if one is not None}


def _other_task(theirs: object, ours: object) -> bool:
    return _words_differ(theirs, ours) and not any(
        theirs in group and ours in group for group in _SAME_TASK
    )


def _other_license(theirs: object, ours: object) -> bool:
    return usual_names.license_id(str(theirs)) != usual_names.license_id(str(ours))


def _other_results(theirs: object, ours: object) -> bool:
    """Return whether a metric that both have on one data set has other values."""
    our_values = dict(_metrics(ours))
    for key, values in _metrics(theirs):
        known = our_values.get(key)
        if known is None:
            continue
        numbers = Known("", numbers=frozenset(known))
        if all(comparison.contradicts("results", "", str(one), numbers) for one in values):
            return True
    return False


def _metrics(value: Any) -> Iterator[tuple[tuple[str, str], list[float]]]:
    """Yield ((data set, metric), values) of a `model-index`."""
    found: dict[tuple[str, str], list[float]] = {}
    for model in value if isinstance(value, list) else []:
        results = model.get("results") if isinstance(model, Mapping) else None
        for result in results if isinstance(results, list) else []:
            for key, number in _result(result):
                found.setdefault(key, []).append(number)
    yield from found.items()


def _result(result: Any) -> Iterator[tuple[tuple[str, str], float]]:
    data = result.get("dataset") if isinstance(result, Mapping) else None
    metrics = result.get("metrics") if isinstance(result, Mapping) else None
    name = str(data.get("type", "")).rpartition("/")[2].lower() if isinstance(data, Mapping) else ""
    for metric in metrics if isinstance(metrics, list) else []:
        number = metric.get("value") if isinstance(metric, Mapping) else None
        if isinstance(number, int | float) and not isinstance(number, bool):
            yield (name, str(metric.get("type", "")).lower()), float(number)


def _other_language(theirs: object, ours: object) -> bool:
    return not _ids(theirs) & _ids(ours)


_RULES: dict[str, Callable[[object, object], bool]] = {
    "base_model": _no_common_id,
    "base_model_relation": _words_differ,
    "co2_eq_emissions": _emissions,
    "datasets": _no_common_name,
    "language": _other_language,
    "library_name": _words_differ,
    "license": _other_license,
    "model-index": _other_results,
    "pipeline_tag": _other_task,
}
"""Key → whether two of its values exclude each other."""
