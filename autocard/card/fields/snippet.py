"""A few lines of code that load the model and use it; none where autocard cannot be sure that they work.

Sure means: the weights were saved where the card lies, with the files that loading looks for, and
what else has to be loaded is on the Hub.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from autocard.card.fact import Fact
from autocard.card.fields.words import hub_id
from autocard.record import Model, RunRecord

_AUTO_CLASS = re.compile(r"AutoModel\w*", re.ASCII)
_TOKENIZER = re.compile(r"\w*Tokenizer\w*|TokenizersBackend", re.ASCII)
_CLASSIFIERS = ("Classification", "RewardModel")
"""Auto classes that make a head as wide as the number of labels, which the base's configuration
does not hold."""

HERE = "."
"""Where the model is, for a reader of a card that names no repository: the folder that holds the
card."""

DEFAULT_ADAPTER = "default"
"""The adapter that PEFT saves in the model's own folder, and loads without its name."""

_SENTENCE_CLASSES = {
    "sentence embeddings": (
        "SentenceTransformer",
        'model.encode(["A first text.", "A second one."])',
    ),
    "sparse embeddings": ("SparseEncoder", 'model.encode(["A first text.", "A second one."])'),
    "scores of pairs of texts": ("CrossEncoder", 'model.predict([("A question?", "An answer.")])'),
}
"""Task → class of sentence-transformers, and what to do with it."""

_GENERATORS = ("AutoModelForCausalLM", "AutoModelForSeq2SeqLM")


def facts(record: RunRecord) -> dict[str, Fact | None]:
    """Return the fact that shows how to load the model and use it."""
    lines = [] if record.model.saved_bytes is None else _load(record)
    if not lines:
        return {"get_started_code": None}
    where = ["# In the folder that holds this card."] if _place(record.model) == HERE else []
    use = _use(record)
    block = "\n".join(["```python", *where, *lines, *(["", *use] if use else []), "```"])
    return {
        "get_started_code": Fact(
            "`" + next(line for line in lines if line.startswith("model = ")) + "`", block
        )
    }


def _load(record: RunRecord) -> list[str]:
    """Return the lines that load the model, the last of which makes `model`; empty: not sure how."""
    return _sentence_transformer(record) or _adapter(record) or _whole(record)


def _use(record: RunRecord) -> list[str]:
    """Return the lines that put a text through the model, where it is one for texts and its tokenizer is loaded."""
    model = record.model
    auto = _auto_class(model) or ""
    if model.library_name == "sentence-transformers":
        return [f"print({_SENTENCE_CLASSES[model.task or ''][1]})"]
    if not _has_tokenizer(record):
        return []
    if auto == "AutoModelForSequenceClassification":
        return [
            'ids = tokenizer("A text to classify.", return_tensors="pt").input_ids',
            "scores = model(input_ids=ids).logits[0]",
            "print(model.config.id2label[scores.argmax().item()], scores.tolist())",
        ]
    if auto in _GENERATORS:
        return [
            *_prompt(record),
            "output = model.generate(input_ids=ids, max_new_tokens=20)",
            *_PRINTED,
        ]
    return []


_PRINTED = ["print(tokenizer.decode(output[0], skip_special_tokens=True))"]


def _prompt(record: RunRecord) -> list[str]:
    """Return the lines that make `ids`: a conversation where the tokenizer has a template for them, else a text."""
    if record.data.preprocessing.chat_template_sha256:
        return [
            'messages = [{"role": "user", "content": "Hello!"}]',
            "ids = tokenizer.apply_chat_template(",
            '    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True',
            ").input_ids",
        ]
    return ['ids = tokenizer("A text to go on with", return_tensors="pt").input_ids']


def _place(model: Model) -> str:
    """Return where the weights are: the Hub's id with its owner, or the card's own folder."""
    return model.name if model.name and "/" in model.name and hub_id(model.name) else HERE


def _quoted(text: str) -> str:
    """Return *text* as a literal of Python; what cannot be seen, or turns the direction of text, is escaped."""
    literal = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in literal)


def _whole(record: RunRecord) -> list[str]:
    """Return how transformers loads a model whose whole weights are saved."""
    auto = _auto_class(record.model)
    # With an adapter's configuration beside them, left by another run, transformers would put that
    # adapter on them.
    files = record.model.saved_files
    saved = "config.json" in files and "adapter_config.json" not in files
    adapters = record.adapters and not record.model.adapters_merged
    if auto is None or adapters or record.model.library_name != "transformers" or not saved:
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
    folders = [_folder_of(adapter.name, model.saved_files) for adapter in record.adapters]
    loadable = model.library_name == "peft" and folders and None not in folders
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
        [f"labels = [{', '.join(map(_quoted, model.labels))}]"]
        if any(w in auto for w in _CLASSIFIERS)
        else []
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
        *_put_on([adapter.name for adapter in record.adapters], folders, place),
    ]


def _folder_of(adapter: str, files: Sequence[str]) -> str | None:
    """Return the folder that PEFT saved *adapter* in, "" for the model's own; None: it was not saved."""
    own = f"{adapter}/" if adapter != DEFAULT_ADAPTER else ""
    if f"{own}adapter_config.json" in files:
        return own.rstrip("/")
    return None


def _put_on(adapters: Sequence[str], folders: Sequence[str | None], place: str) -> list[str]:
    """Return the lines that put the *adapters*, saved in *folders*, on `base`; the first makes `model`."""
    lines: list[str] = []
    for name, folder in zip(adapters, folders, strict=True):
        where = f", subfolder={_quoted(folder)}" if folder else ""
        named = f", adapter_name={_quoted(name)}" if name != DEFAULT_ADAPTER else ""
        lines.append(
            f"model.load_adapter({place}, {_quoted(name)}{where})"
            if lines
            else f"model = PeftModel.from_pretrained(base, {place}{named}{where})"
        )
    return lines


def _sentence_transformer(record: RunRecord) -> list[str]:
    model = record.model
    known = model.library_name == "sentence-transformers" and model.task in _SENTENCE_CLASSES
    if not known or "config_sentence_transformers.json" not in model.saved_files:
        return []
    # left behind by another run
    if "adapter_config.json" in model.saved_files and not record.adapters:
        return []
    # the adapter alone is saved, and names a base on a disk
    if record.adapters and not hub_id(model.base_model):
        return []
    cls, place = _SENTENCE_CLASSES[model.task or ""][0], _quoted(_place(model))
    return [f"from sentence_transformers import {cls}", "", f"model = {cls}({place})"]


def _auto_class(model: Model) -> str | None:
    return (
        model.auto_class if model.auto_class and _AUTO_CLASS.fullmatch(model.auto_class) else None
    )


def _has_tokenizer(record: RunRecord) -> bool:
    """Return whether a tokenizer was saved beside the weights."""
    name = record.data.preprocessing.tokenizer
    named = name is not None and _TOKENIZER.fullmatch(name) is not None
    return named and "tokenizer_config.json" in record.model.saved_files
