"""The front matter: what the Hub reads of a card. Values that it does not accept are left out.

Formats: hub-docs, modelcard.md and docs/hub/model-cards-co2.md. Never an empty value, never a path.
"""

from __future__ import annotations

import re
from typing import Any
from unicodedata import normalize

import pycountry

from autocard import units
from autocard.card.fact import plain
from autocard.card.fields import carbon, impact
from autocard.card.fields.base import from_scratch, is_untrained
from autocard.card.fields.earlier_words import in_words_of_today
from autocard.card.fields.results import METRIC_DIGITS, early_step, measures
from autocard.card.fields.words import hub_id, joined, since
from autocard.card.hub_lists import LICENSES, METRICS, PIPELINE_TAGS
from autocard.record import Dataset, RunRecord, finite

_NOT_IN_TAGS = re.compile(r"[^a-z0-9]+")
"""What becomes a hyphen in a tag: the space in "prompt tuning"."""
_WITH_VARIANTS = ("LoRA", "DoRA")
"""Methods that have their variants in parentheses."""
_NAMED_VARIANTS = {"rank-stabilized": "rslora", "rank-stabilised": "rslora"}
"""Variants whose tag is not made of their words; the second is that of version 0.1.0."""
_CODE_LETTERS = 3
"""ISO 639 codes have two or three letters; what is longer is a name."""
_ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")
"""Figures of the Hub's metric `rouge`."""


def front_matter(record: RunRecord) -> dict[str, Any]:
    """Return the keys that *record* has values for; numbers are to be written as plain decimals."""
    record = in_words_of_today(finite(record))
    model = record.model
    base = model.base_model if hub_id(model.base_model) else None
    values: dict[str, Any] = {
        "base_model": base,
        "base_model_relation": model.base_model_relation if base else None,
        "library_name": model.library_name,
        "pipeline_tag": model.pipeline_tag if model.pipeline_tag in PIPELINE_TAGS else None,
        "tags": _tags(record),
        "datasets": _datasets(record),
        "language": _languages(str(record.facts.get("language") or "")),
        "license": _license(str(record.facts.get("license") or "")),
        "metrics": _metrics(record),
        "co2_eq_emissions": _emissions(record),
        "model-index": _model_index(record),
    }
    return {key: value for key, value in values.items() if value not in (None, "", [], {})}


def _tags(record: RunRecord) -> list[str]:
    """Return what users filter by and no other key holds: the adapters' methods."""
    return [] if record.model.adapters_merged else method_tags(record)


def method_tags(record: RunRecord) -> list[str]:
    """Return the adapters' methods as tags, and the variants of LoRA: dora, rslora, pissa."""
    tags = []
    for adapter in record.adapters:
        name, _, variants = (adapter.method or "").removesuffix(")").partition(" (")
        tags.append(_tag(name))
        if name.endswith(_WITH_VARIANTS):
            tags += [_variant_tag(variant) for variant in variants.split(", ")]
    return list(dict.fromkeys(tag for tag in tags if tag))


def _variant_tag(name: str) -> str:
    """Return the tag of a variant that has a name of its own: PiSSA, not "Arrow routing"."""
    if name in _NAMED_VARIANTS:
        return _NAMED_VARIANTS[name]
    return "" if " " in name else _tag(name)


def _tag(name: str) -> str:
    """Return *name* as a tag: "IA³" becomes "ia3"."""
    return _NOT_IN_TAGS.sub("-", normalize("NFKC", name).lower()).strip("-")


def _datasets(record: RunRecord) -> list[str]:
    ids = [data.dataset_id for data in record.data.train if data.dataset_id]
    return list(dict.fromkeys(name for name in ids if hub_id(name)))


def _license(given: str) -> str | None:
    """Return the id of the license that a person named, if it is one of the Hub's."""
    words = given.strip().lower()
    for name in (words, words.replace(" ", "-")):
        if name in LICENSES:
            return name
    return None


def _languages(given: str) -> list[str] | None:
    """Return the codes of the languages that a person named; None: one of them is not known."""
    codes = []
    for name in given.split(","):
        if not name.strip():
            continue
        code = _language(name.strip())
        if code is None:
            return None
        codes.append(code)
    return list(dict.fromkeys(codes))


def _language(name: str) -> str | None:
    """Return the ISO 639 code of a language that is named by its code or in English."""
    if name.lower() in {"code", "multilingual"}:
        return name.lower()
    if len(name) <= _CODE_LETTERS:
        found = pycountry.languages.get(alpha_2=name.lower())
        if found is None:
            found = pycountry.languages.get(alpha_3=name.lower())
    else:
        found = pycountry.languages.get(name=name.title())
    return None if found is None else str(getattr(found, "alpha_2", found.alpha_3))


def _metrics(record: RunRecord) -> list[str]:
    """Return the Hub's ids of the metrics that the run evaluated; its other figures have none."""
    names = ["rouge" if metric.name in _ROUGE else metric.name for metric in measures(record)]
    return list(dict.fromkeys(name for name in names if name in METRICS))


def _emissions(record: RunRecord) -> dict[str, Any] | None:
    """Return `co2_eq_emissions`, or None where the grams are not known."""
    grams = record.emissions.co2eq_g
    if grams is None:
        return None
    rounded = units.rounded(grams, carbon.co2_digits(record))
    values = {
        "emissions": int(rounded) if rounded == rounded.to_integral_value() else float(rounded),
        "source": _source(record),
        "training_type": _training_type(record),
        "geographical_location": impact.place(record),
        "hardware_used": impact.hardware_type(record, show=plain),
    }
    return {key: value for key, value in values.items() if value is not None}


def _source(record: RunRecord) -> str:
    text = f"autocard {record.autocard_version}"
    codecarbon = record.software.get("codecarbon")
    if codecarbon:
        text += f", CodeCarbon {codecarbon}"
    run = f"run {record.run.id}" if record.run.id else None
    return joined([text, run, since(record)], "; ")


def _training_type(record: RunRecord) -> str | None:
    if is_untrained(record):
        return None
    model = record.model
    if from_scratch(model):
        return "pre-training"
    has_base = model.base_model_relation or model.base_model or record.adapters
    return "fine-tuning" if has_base else None


def _model_index(record: RunRecord) -> list[dict[str, Any]] | None:
    """Return results in the Hub's form, where it has the evaluation set and a tag for the task.

    Incomplete entries make `huggingface_hub.ModelCard` refuse the whole card: task, data set and
    metrics, or nothing.
    """
    model = record.model
    if not model.name or model.pipeline_tag not in PIPELINE_TAGS:
        return None
    results = []
    for data in record.data.eval:
        metrics = _metrics_on(record, data)
        if not metrics or not data.dataset_id or not hub_id(data.dataset_id):
            continue
        results.append(
            {
                "task": {"type": model.pipeline_tag},
                "dataset": _dataset_entry(data),
                "metrics": metrics,
            }
        )
    return [{"name": plain(model.name), "results": results}] if results else None


def _metrics_on(record: RunRecord, data: Dataset) -> list[dict[str, Any]]:
    """Return the entries of the metrics that were evaluated on *data*."""
    entries = []
    for metric in measures(record):
        is_prediction = metric.split == "prediction"
        if early_step(record, metric) is not None:
            continue  # the Hub would show it as a result of the weights beside the card
        if metric.dataset == data.name and is_prediction == (data.used_by == "predict"):
            value = _plain_number(metric.value)
            entries.append({"type": metric.name, "value": value, "name": metric.name})
    return entries


def _dataset_entry(data: Dataset) -> dict[str, str]:
    entry = {
        "type": data.dataset_id,
        "name": data.dataset_id,
        "config": data.config,
        "split": data.split,
        "revision": data.revision,
    }
    return {key: value for key, value in entry.items() if value}


def _plain_number(value: float) -> float | int:
    return value if isinstance(value, int) else float(units.rounded(value, METRIC_DIGITS))
