"""Keys of a front matter that the Hub does not read, though they are meant for it.

One rule: a person may have keys of their own; a key is named only if it is a usual misspelling of
one that the Hub reads.
"""

from __future__ import annotations

from difflib import get_close_matches

from autocard.card.hub_lists import KEYS

_ALIASES = {
    "basemodel": "base_model",
    "base_models": "base_model",
    "finetuned_from": "base_model",
    "finetuned_from_model": "base_model",
    "co2": "co2_eq_emissions",
    "co2_emissions": "co2_eq_emissions",
    "co2_emitted": "co2_eq_emissions",
    "co2eq_emissions": "co2_eq_emissions",
    "carbon_emissions": "co2_eq_emissions",
    "emissions": "co2_eq_emissions",
    "dataset": "datasets",
    "datasets_used": "datasets",
    "training_data": "datasets",
    "train_datasets": "datasets",
    "lang": "language",
    "langs": "language",
    "languages": "language",
    "library": "library_name",
    "licence": "license",
    "licences": "license",
    "licenses": "license",
    "licence_name": "license_name",
    "licence_link": "license_link",
    "license_url": "license_link",
    "metric": "metrics",
    "model_index": "model-index",
    "pipeline": "pipeline_tag",
    "pipeline_tags": "pipeline_tag",
    "task": "pipeline_tag",
    "task_tag": "pipeline_tag",
    "tag": "tags",
    "keywords": "tags",
}
"""Keys as people write them → the key that the Hub reads."""
_LEAST_LETTERS = 6
"""Shorter keys are too much alike to be compared letter by letter."""
_LIKENESS = 0.87
_OTHERS = frozenset({"license_id", "model_type", "model_name", "model_tags", "language_details"})
"""Keys that look like one of the Hub's and are something else."""


def meant_key(name: str) -> str | None:
    """Return the key that *name* is a misspelling of; None: it is a key of its own, or right."""
    if name in KEYS or name in _OTHERS:
        return None
    spelled = name.strip().lower().replace("-", "_").replace(" ", "_")
    found = _ALIASES.get(spelled)
    if found is not None:
        return found
    by_letters = {key.replace("-", "_"): key for key in KEYS}
    if spelled in by_letters:
        return by_letters[spelled]
    if len(spelled) < _LEAST_LETTERS:
        return None
    close = get_close_matches(spelled, sorted(by_letters), n=1, cutoff=_LIKENESS)
    return by_letters[close[0]] if close else None
