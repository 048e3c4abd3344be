"""The front matter: what the Hub reads of a card. Only values that the Hub accepts; the others are left out.

Formats: hub-docs, modelcard.md and docs/hub/model-cards-co2.md. Never an empty value, never a path.
"""

from __future__ import annotations

import re
from typing import Any
from unicodedata import normalize

from autocard import units
from autocard.card.fact import plain
from autocard.card.fields import carbon, impact
from autocard.card.fields.hub import LICENSES, METRICS, PIPELINE_TAGS
from autocard.card.fields.identity import from_scratch, is_untrained
from autocard.card.fields.testing import METRIC_DIGITS, measures
from autocard.card.fields.words import hub_id, since
from autocard.record import RunRecord, finite

_SLUG = re.compile(r"[^a-z0-9]+")
_ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")
"""Figures of the Hub's metric `rouge`."""


def front_matter(record: RunRecord) -> dict[str, Any]:
    """Return the keys that *record* can answer, for a YAML writer that writes numbers as plain decimals."""
    record = finite(record)
    model = record.model
    base = model.base_model if hub_id(model.base_model) else None
    values: dict[str, Any] = {
        "base_model": base,
        "base_model_relation": model.base_model_relation if base else None,
        "library_name": model.library_name,
        "pipeline_tag": model.pipeline_tag if model.pipeline_tag in PIPELINE_TAGS else None,
        "tags": _tags(record),
        "datasets": _datasets(record),
        "language": _languages(record.facts.get("language")),
        "license": _license(record.facts.get("license")),
        "metrics": _metrics(record),
        "co2_eq_emissions": _emissions(record),
        "model-index": _model_index(record),
    }
    return {key: value for key, value in values.items() if value not in (None, "", [], {})}


def _tags(record: RunRecord) -> list[str]:
    """Return what the Hub's users filter by and the other keys do not say: the adapters' methods."""
    return [] if record.model.adapters_merged else method_tags(record)


def method_tags(record: RunRecord) -> list[str]:
    """Return the names of the adapters' methods as tags; a variant that stands in parentheses is no tag of the Hub."""
    names = [adapter.method.partition(" (")[0] for adapter in record.adapters if adapter.method]
    tags = [_SLUG.sub("-", normalize("NFKC", name).lower()).strip("-") for name in names]
    return list(dict.fromkeys(filter(None, tags)))


def _datasets(record: RunRecord) -> list[str]:
    ids = [
        data.dataset_id for data in record.data.train if data.dataset_id and hub_id(data.dataset_id)
    ]
    return list(dict.fromkeys(ids))


def _license(given: Any) -> str | None:
    """Return the id of the licence that a person named, if it is one of the Hub's."""
    words = str(given or "").strip().lower()
    return next((name for name in (words, words.replace(" ", "-")) if name in LICENSES), None)


def _languages(given: Any) -> list[str] | None:
    """Return the codes of the languages that a person named, or None where one of them is not known."""
    names = [name.strip() for name in str(given or "").split(",") if name.strip()]
    codes = [_language(name) for name in names]
    return None if None in codes else list(dict.fromkeys(filter(None, codes)))


def _language(name: str) -> str | None:
    """Return the ISO 639 code of a language that is named by its code or in English."""
    if name.lower() in {"code", "multilingual"}:
        return name.lower()
    import pycountry  # noqa: PLC0415 - only where a language is given

    keys = ("alpha_2", "alpha_3") if len(name) <= 3 else ("name",)  # noqa: PLR2004 - codes have two or three letters
    for key in keys:
        found = pycountry.languages.get(**{key: name.lower() if key != "name" else name.title()})
        if found is not None:
            return str(getattr(found, "alpha_2", found.alpha_3))
    return None


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
    engine = record.software.get("codecarbon")
    by = f"autocard {record.autocard_version}" + (f", CodeCarbon {engine}" if engine else "")
    return "; ".join(
        filter(None, [by, f"run {record.run.id}" if record.run.id else None, since(record)])
    )


def _training_type(record: RunRecord) -> str | None:
    if is_untrained(record):
        return None
    if from_scratch(record.model):
        return "pre-training"
    return (
        "fine-tuning"
        if record.model.base_model_relation or record.model.base_model or record.adapters
        else None
    )


def _model_index(record: RunRecord) -> list[dict[str, Any]] | None:
    """Return results in the Hub's form, for evaluation sets that are on the Hub and a task that it has a tag for.

    Incomplete entries make `huggingface_hub.ModelCard` refuse the whole card: task, data set and
    metrics, or nothing.
    """
    model = record.model
    if not model.name or model.pipeline_tag not in PIPELINE_TAGS:
        return None
    results = []
    for data in record.data.eval:
        metrics = [
            {"type": metric.name, "value": _plain_number(metric.value), "name": metric.name}
            for metric in measures(record)
            if metric.dataset == data.name
            and (metric.split == "prediction") == (data.used_by == "predict")
        ]
        if not metrics or not data.dataset_id or not hub_id(data.dataset_id):
            continue
        about = {
            "type": data.dataset_id,
            "name": data.dataset_id,
            "config": data.config,
            "split": data.split,
        }
        about["revision"] = data.revision
        results.append(
            {
                "task": {"type": model.pipeline_tag},
                "dataset": {key: value for key, value in about.items() if value},
                "metrics": metrics,
            }
        )
    return [{"name": plain(model.name), "results": results}] if results else None


def _plain_number(value: float) -> float | int:
    return value if isinstance(value, int) else float(units.rounded(value, METRIC_DIGITS))
