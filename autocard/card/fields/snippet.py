"""A few lines of code that load the model; none where autocard cannot be sure that they do."""

from __future__ import annotations

import json
import re

from autocard.card.fact import Fact
from autocard.card.fields.words import hub_id
from autocard.record import Model, RunRecord

_AUTO_CLASS = re.compile(r"AutoModel\w*", re.ASCII)
_TOKENIZER = re.compile(r"\w*Tokenizer\w*|TokenizersBackend", re.ASCII)
_CLASSIFIERS = ("Classification", "RewardModel")
"""Auto classes that make a head as wide as the number of labels, which the base's configuration does not hold."""

HERE = "."
"""Where the model is, for a reader of a card that names no repository: the folder that holds the card."""


def facts(record: RunRecord) -> dict[str, Fact | None]:
    """Return the fact that shows how to load the model."""
    lines = _sentence_transformer(record) or _adapter(record) or _whole(record)
    if not lines:
        return {"get_started_code": None}
    where = ["# In the folder that holds this card."] if _place(record.model) == HERE else []
    block = "\n".join(["```python", *where, *lines, "```"])
    return {"get_started_code": Fact("`" + lines[-1] + "`", block)}


def _place(model: Model) -> str:
    """Return where the weights are: the Hub's id with its owner, or the card's own folder."""
    return model.name if model.name and "/" in model.name and hub_id(model.name) else HERE


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _whole(record: RunRecord) -> list[str]:
    """Return how transformers loads a model whose whole weights are saved."""
    auto = _auto_class(record.model)
    if auto is None or record.adapters or record.model.library_name != "transformers":
        return []
    place = _quoted(_place(record.model))
    tokenizer = _has_tokenizer(record)
    return [
        f"from transformers import {auto}{', AutoTokenizer' if tokenizer else ''}",
        "",
        *([f"tokenizer = AutoTokenizer.from_pretrained({place})"] if tokenizer else []),
        f"model = {auto}.from_pretrained({place})",
    ]


def _adapter(record: RunRecord) -> list[str]:
    """Return how PEFT puts the adapter on its base, which has to be on the Hub."""
    model, auto = record.model, _auto_class(record.model)
    loadable = model.library_name == "peft" and len(record.adapters) == 1 and record.adapters[0].name == "default"
    if auto is None or not loadable or not hub_id(model.base_model) or model.base_model is None:
        return []
    if model.base_model_description:  # the weights were not quite those of the Hub's base
        return []
    arguments = [_quoted(model.base_model)]
    if model.base_model_revision:
        arguments.append(f"revision={_quoted(model.base_model_revision)}")
    if any(word in auto for word in _CLASSIFIERS):
        if not model.labels:
            return []
        arguments.append("num_labels=len(labels), id2label=dict(enumerate(labels))")
    labels = (
        [f"labels = {json.dumps(model.labels, ensure_ascii=False)}"] if any(w in auto for w in _CLASSIFIERS) else []
    )
    tokenizer = _has_tokenizer(record)
    place = _quoted(_place(model))
    return [
        "from peft import PeftModel",
        f"from transformers import {auto}{', AutoTokenizer' if tokenizer else ''}",
        "",
        *labels,
        *([f"tokenizer = AutoTokenizer.from_pretrained({place})"] if tokenizer else []),
        f"base = {auto}.from_pretrained({', '.join(arguments)})",
        f"model = PeftModel.from_pretrained(base, {place})",
    ]


def _sentence_transformer(record: RunRecord) -> list[str]:
    if record.model.library_name != "sentence-transformers" or record.model.task != "sentence embeddings":
        return []
    place = _quoted(_place(record.model))
    return [
        "from sentence_transformers import SentenceTransformer",
        "",
        f"model = SentenceTransformer({place})",
    ]


def _auto_class(model: Model) -> str | None:
    return model.auto_class if model.auto_class and _AUTO_CLASS.fullmatch(model.auto_class) else None


def _has_tokenizer(record: RunRecord) -> bool:
    """Return whether the trainer had a tokenizer, which it then saves beside the weights."""
    name = record.data.preprocessing.tokenizer
    return name is not None and _TOKENIZER.fullmatch(name) is not None
