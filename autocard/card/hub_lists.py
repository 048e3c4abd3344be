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
