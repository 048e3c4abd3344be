"""Statements of a card and the files beside it about the base model that contradict the record.

One rule: names are read to be kept out of the card, never to be put into it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

from autocard import files
from autocard.card.check.model_names import names_other_model
from autocard.card.check.statements import statements
from autocard.card.fields import front
from autocard.card.fields.base import from_scratch
from autocard.card.fill.written_text import YAML
from autocard.card.form.labels import Labels
from autocard.card.front.yaml_keys import Key, is_blank, is_generated, is_withheld, read_keys
from autocard.card.markdown.document import Document
from autocard.card.markdown.front_place import find_front_matter
from autocard.errors import CardError
from autocard.record import RunRecord

ADAPTER_CONFIG = "adapter_config.json"
OF_THE_BASE = frozenset({"base_model", "model_summary"})
"""Facts about which model the base is."""
ABOUT_THE_BASE = OF_THE_BASE | {"run_summary", f"{YAML}base_model_relation"}
"""What is not written into a card that names another base."""
_KEY_NAMES = frozenset({"base_model", f"{YAML}base_model", "front matter: base_model"})
_READ_BYTES = 1_000_000
_WORDS = re.compile(r"[^\W_]+")


def local_bases(folder: Path, record: RunRecord) -> frozenset[str]:
    """Return the name that PEFT loaded the base model by, where *record* has another one.

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
    """Return the tags of merged adapters, which an earlier card of the run may have."""
    return method_tags(record) if record.model.adapters_merged else frozenset()


def method_tags(record: RunRecord) -> frozenset[str]:
    """Return the tags that a card of *record* has for its adapters' methods, PEFT's included."""
    return frozenset({"lora", *front.method_tags(record)}) if record.adapters else frozenset()


def remembered_tags(remembered: Mapping[str, str]) -> frozenset[str]:
    """Return the tags among the *remembered* texts."""
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
        record: the record of the run.
        remembered: the texts of the last fill.
        refused: names that are no base of a person's, and keys that are written even over a
            person's value.
    """
    model = record.model
    is_known = bool(model.base_model) or from_scratch(model)
    if not is_known or not refused.isdisjoint(_KEY_NAMES):
        return False
    key = _base_key(text)
    if key is None or is_withheld("base_model", key.data, refused):
        return False
    if remembered.get(f"{YAML}base_model") == json.dumps(key.data, ensure_ascii=False):
        return False
    bases = key.data if isinstance(key.data, list) else [key.data]
    return model.base_model not in bases


def states_other_base(
    text: str,
    record: RunRecord,
    ours: Collection[str],
    refused: AbstractSet[str],
    labels: Labels,
) -> bool:
    """Return whether a person's labelled line or cell in *text* names another base than *record*.

    *ours*: texts that autocard wrote; the rest as for `names_other_base`.
    """
    base = record.model.base_model
    if base is None or not refused.isdisjoint(_KEY_NAMES):
        return False
    asking = [word for word, fact in labels.fact_by_word.items() if fact == "base_model"]
    lower = " ".join(_WORDS.findall(text.lower()))
    if not any(word in lower for word in asking):
        return False  # no need to read all of it
    for statement in statements(Document(text), labels):
        value = statement.values[0]
        is_persons = statement.fact == "base_model" and value.strip() not in ours
        if is_persons and names_other_model(value, base):
            return True
    return False


def _base_key(text: str) -> Key | None:
    """Return the key `base_model` of a card; None: it is missing, blank or a tool's."""
    place, _ = find_front_matter(text, 0)
    if place is None:
        return None
    yaml_text = text[place[0] : place[1]]
    try:
        key = read_keys(yaml_text)[0].get("base_model")
    except CardError:
        return None
    if key is None:
        return None
    value = yaml_text[key.value.start_mark.index : key.end]
    if is_blank(value, key.data) or is_generated("base_model", key.data):
        return None
    return key
