"""A few lines of code that load the model and use it, where it is sure that they work.

Sure means: the weights were saved where the card lies, with the files that loading looks for, and
what else has to be loaded is on the Hub.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from autocard.card.fact import Fact
from autocard.card.fields import snippet_inputs
from autocard.card.fields.words import hub_id
from autocard.record import Model, RunRecord

_AUTO_CLASS = re.compile(r"AutoModel\w*", re.ASCII)
"""A class of transformers that picks the model's: AutoModelForCausalLM."""
_TOKENIZER = re.compile(r"\w*Tokenizer\w*|TokenizersBackend", re.ASCII)
"""A class of tokenizers: Qwen2TokenizerFast, PreTrainedTokenizer; processors are none."""
_CLASSIFIERS = ("Classification", "RewardModel")
"""Auto classes that make a head as wide as the number of labels, which the base's configuration
does not hold."""

HERE = "."
"""Where the model is, for a reader of a card that names no repository: the folder that holds the
card."""

DEFAULT_ADAPTER = "default"
"""The adapter that PEFT saves in the model's own folder, and loads without its name."""


@dataclass(frozen=True)
class _SentenceClass:
    """A class of sentence-transformers, and a call that uses its model."""

    name: str
    example: str


_SENTENCE_CLASSES = {
    "sentence embeddings": _SentenceClass(
        "SentenceTransformer", 'model.encode(["A first text.", "A second one."])'
    ),
    "sparse embeddings": _SentenceClass(
        "SparseEncoder", 'model.encode(["A first text.", "A second one."])'
    ),
    "text pair scoring": _SentenceClass(
        "CrossEncoder", 'model.predict([("A question?", "An answer.")])'
    ),
}
"""By task."""

_GENERATORS = ("AutoModelForCausalLM", "AutoModelForSeq2SeqLM")


def facts(record: RunRecord) -> dict[str, Fact | None]:
    """Return the fact that shows how to load the model and use it."""
    lines = [] if record.model.saved_bytes is None else _load(record)
    if not lines:
        return {"get_started_code": None}
    block = ["```python"]
    if _place(record.model) == HERE:
        block.append("# In the folder that holds this card.")
    block += lines
    use = _use(record)
    if use:
        block += ["", *use]
    block.append("```")
    loading = next(line for line in lines if line.startswith("model = "))
    return {"get_started_code": Fact(f"`{loading}`", "\n".join(block))}


def _load(record: RunRecord) -> list[str]:
    """Return the lines that load the model, the last of which makes `model`; empty: not sure."""
    return _sentence_transformer(record) or _adapter(record) or _whole(record)


def _use(record: RunRecord) -> list[str]:
    """Return the lines that put an input through the model, if what prepares it was saved."""
    model = record.model
    auto = _auto_class(model) or ""
    if model.library_name == "sentence-transformers":
        return [f"print({_SENTENCE_CLASSES[model.task or ''].example})"]
    if not _has_tokenizer(record):
        return snippet_inputs.use(record, auto)
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
    """Return the lines that make `ids`, of a conversation if the tokenizer has a chat template."""
    if record.data.preprocessing.chat_template_sha256:
        return [
            'messages = [{"role": "user", "content": "Hello!"}]',
            "ids = tokenizer.apply_chat_template(",
            '    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True',
            ").input_ids",
        ]
    return ['ids = tokenizer("Once upon a time", return_tensors="pt").input_ids']


def _place(model: Model) -> str:
    """Return where the weights are: the Hub's id with its owner, or the card's own folder."""
    return model.name if model.name and "/" in model.name and hub_id(model.name) else HERE


def _quoted(text: str) -> str:
    """Return *text* as a literal of Python; invisible characters are escaped."""
    literal = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in literal)


def _whole(record: RunRecord) -> list[str]:
    """Return how transformers loads a model whose whole weights are saved."""
    model, auto = record.model, _auto_class(record.model)
    if auto is None or model.library_name != "transformers":
        return []
    if record.adapters and not model.adapters_merged:
        return []
    # With an adapter's configuration beside them, left by another run, transformers would put that
    # adapter on them.
    if "config.json" not in model.saved_files or "adapter_config.json" in model.saved_files:
        return []
    place = _quoted(_place(model))
    return [
        *_imports_and_preparation(record, auto),
        f"model = {auto}.from_pretrained({place})",
    ]


def _imports_and_preparation(record: RunRecord, auto: str, labels: Sequence[str] = ()) -> list[str]:
    """Return the imports, the list `labels` if needed, and a saved `tokenizer` or `processor`."""
    lines = [f"from transformers import {auto}", ""]
    if labels:
        lines.append(f"labels = [{', '.join(map(_quoted, labels))}]")
    if _has_tokenizer(record):
        lines[0] += ", AutoTokenizer"
        place = _quoted(_place(record.model))
        lines.append(f"tokenizer = AutoTokenizer.from_pretrained({place})")
        return lines
    processor = snippet_inputs.processor_class(record)
    if processor:
        lines[0] += f", {processor}"
        lines.append(f"processor = {processor}.from_pretrained({_quoted(_place(record.model))})")
    return lines


def _adapter(record: RunRecord) -> list[str]:
    """Return how PEFT puts the adapter on its base, which has to be on the Hub."""
    model, auto = record.model, _auto_class(record.model)
    if auto is None or model.library_name != "peft" or not record.adapters:
        return []
    folders = [_folder_of(adapter.name, model.saved_files) for adapter in record.adapters]
    if None in folders or model.base_model is None or not hub_id(model.base_model):
        return []
    if model.base_model_description:  # the weights were not quite those of the Hub's base
        return []
    needs_labels = any(word in auto for word in _CLASSIFIERS)
    if needs_labels and not model.labels:
        return []
    arguments = [_quoted(model.base_model)]
    if model.base_model_revision:
        arguments.append(f"revision={_quoted(model.base_model_revision)}")
    if needs_labels:
        arguments.append("num_labels=len(labels), id2label=dict(enumerate(labels))")
    place = _quoted(_place(model))
    return [
        "from peft import PeftModel",
        *_imports_and_preparation(record, auto, model.labels if needs_labels else ()),
        f"base = {auto}.from_pretrained({', '.join(arguments)})",
        *_put_on([adapter.name for adapter in record.adapters], folders, place),
    ]


def _folder_of(adapter: str, files: Sequence[str]) -> str | None:
    """Return the folder that PEFT saved *adapter* in, "" for the model's own; None: not saved."""
    own = f"{adapter}/" if adapter != DEFAULT_ADAPTER else ""
    if f"{own}adapter_config.json" in files:
        return own.rstrip("/")
    return None


def _put_on(adapters: Sequence[str], folders: Sequence[str | None], place: str) -> list[str]:
    """Return the lines that put the *adapters*, saved in *folders*, on `base`."""
    lines: list[str] = []
    for name, folder in zip(adapters, folders, strict=True):
        subfolder = f", subfolder={_quoted(folder)}" if folder else ""
        if lines:
            lines.append(f"model.load_adapter({place}, {_quoted(name)}{subfolder})")
            continue
        named = f", adapter_name={_quoted(name)}" if name != DEFAULT_ADAPTER else ""
        lines.append(f"model = PeftModel.from_pretrained(base, {place}{named}{subfolder})")
    return lines


def _sentence_transformer(record: RunRecord) -> list[str]:
    """Return how sentence-transformers loads its model."""
    model = record.model
    known = _SENTENCE_CLASSES.get(model.task or "")
    if known is None or model.library_name != "sentence-transformers":
        return []
    if "config_sentence_transformers.json" not in model.saved_files:
        return []
    # left behind by another run
    if "adapter_config.json" in model.saved_files and not record.adapters:
        return []
    # the adapter alone is saved, and names a base on a disk
    if record.adapters and not hub_id(model.base_model):
        return []
    return [
        f"from sentence_transformers import {known.name}",
        "",
        f"model = {known.name}({_quoted(_place(model))})",
    ]


def _auto_class(model: Model) -> str | None:
    if not model.auto_class or not _AUTO_CLASS.fullmatch(model.auto_class):
        return None
    return model.auto_class


def _has_tokenizer(record: RunRecord) -> bool:
    """Return whether a tokenizer was saved beside the weights."""
    name = record.data.preprocessing.tokenizer
    if name is None or not _TOKENIZER.fullmatch(name):
        return False
    return "tokenizer_config.json" in record.model.saved_files
