"""What a card and the files beside it say of the base, where the record says something else.

One rule: names are read to be kept out of the card, never to be put into it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

from autocard import files
from autocard.card.fill.written_text import YAML
from autocard.card.front.yaml_keys import is_blank, is_generated, is_withheld, read_keys
from autocard.card.markdown.document import find_front_matter
from autocard.errors import CardError
from autocard.record import RunRecord

ADAPTER_CONFIG = "adapter_config.json"
OF_THE_BASE = frozenset({"base_model", "model_summary"})
"""Facts that say what the base is."""
_KEY_NAMES = frozenset({"base_model", f"{YAML}base_model", "front matter: base_model"})
_READ_BYTES = 1_000_000


def local_bases(folder: Path, record: RunRecord) -> frozenset[str]:
    """Return the name that PEFT loaded the base by, where *record* knows the base by another name or as a folder.

    PEFT writes that name into its cards and its tags, whether it is the Hub's or a path of the
    machine.
    """
    model = record.model
    if model.base_model is None and model.base_model_description is None:
        return frozenset()
    file = folder / ADAPTER_CONFIG
    try:
        found = json.loads(files.read_bytes(file, _READ_BYTES))
    except (OSError, ValueError):
        return frozenset()
    name = found.get("base_model_name_or_path") if isinstance(found, dict) else None
    return frozenset({name} if isinstance(name, str) and name else ()) - {model.base_model}


def untrue_tags(record: RunRecord) -> frozenset[str]:
    """Return the tags that an earlier card of the run may have and that no longer hold: those of merged adapters."""
    return method_tags(record) if record.model.adapters_merged else frozenset()


def method_tags(record: RunRecord) -> frozenset[str]:
    """Return the tags that a card of *record* has for the adapters' methods, PEFT's own included."""
    from autocard.card.fields import front  # noqa: PLC0415 - imports most of the package

    return frozenset({"lora", *front.method_tags(record)}) if record.adapters else frozenset()


def remembered_tags(remembered: Mapping[str, str]) -> frozenset[str]:
    """Return the tags among the texts that we *remembered* to have written."""
    try:
        found = json.loads(remembered.get(f"{YAML}tags", "[]"))
    except (ValueError, RecursionError):
        return frozenset()
    if not isinstance(found, list):
        return frozenset()
    return frozenset(tag for tag in found if isinstance(tag, str))


def names_other_base(
    text: str, record: RunRecord, remembered: Mapping[str, str], refused: AbstractSet[str]
) -> bool:
    """Return whether a person's front matter in *text* names another base than *record* does.

    Args:
        text: the card.
        record: the run's.
        remembered: what we wrote into the card before.
        refused: names that are no base of a person's, and keys that are written whoever set them.
    """
    from autocard.card.fields.identity import from_scratch  # noqa: PLC0415 - imports most of the package

    model = record.model
    place, _ = find_front_matter(text, 0)
    if (
        place is None
        or not (model.base_model or from_scratch(model))
        or not refused.isdisjoint(_KEY_NAMES)
    ):
        return False
    yaml_text = text[place[0] : place[1]]
    try:
        key = read_keys(yaml_text)[0].get("base_model")
    except CardError:
        return False
    if key is None:
        return False
    value = yaml_text[key.value.start_mark.index : key.end]
    if is_blank(value, key.data) or is_generated("base_model", key.data):
        return False
    bases = key.data if isinstance(key.data, list) else [key.data]
    ours = remembered.get(f"{YAML}base_model") == json.dumps(key.data, ensure_ascii=False)
    return (
        not ours
        and not is_withheld("base_model", key.data, refused)
        and model.base_model not in bases
    )
