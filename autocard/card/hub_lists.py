"""What the Hub accepts in a card's front matter: licenses, pipeline tags, libraries, metrics.

The Hub refuses a whole push for a license or tag that is not on its list, so what is not here is
left out. templates/hub_lists.json has the lists and the page of the Hub that each comes from.
"""

from __future__ import annotations

import json
from importlib.resources import files

_LISTS = json.loads((files("autocard") / "templates" / "hub_lists.json").read_text("utf-8"))

LICENSES: frozenset[str] = frozenset(_LISTS["licenses"])
"""Ids of licenses."""
PIPELINE_TAGS: frozenset[str] = frozenset(_LISTS["pipeline_tags"])
"""Tasks."""
LIBRARIES: frozenset[str] = frozenset(_LISTS["libraries"])
"""Libraries that load models."""
METRICS: frozenset[str] = frozenset(_LISTS["metrics"])
"""Ids of metrics."""
KEYS = frozenset(
    (
        "base_model",
        "base_model_relation",
        "co2_eq_emissions",
        "datasets",
        "eval_results",
        "extra_gated_fields",
        "extra_gated_prompt",
        "inference",
        "language",
        "language_bcp47",
        "library_name",
        "license",
        "license_link",
        "license_name",
        "metrics",
        "model-index",
        "new_version",
        "pipeline_tag",
        "tags",
        "thumbnail",
        "widget",
    )
)
"""Keys of model cards (hub-docs, modelcard.md) and `language_bcp47`, which people use."""
