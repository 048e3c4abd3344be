"""Whether a text names another base model than the record has."""

from __future__ import annotations

import re

from autocard.card.check import stated_names

_COPIES = frozenset(
    (
        "unsloth",
        "mlx-community",
        "nousresearch",
        "thebloke",
        "bartowski",
        "neuralmagic",
        "hugging-quants",
    )
)
"""Owners on the Hub whose repositories are copies of others' models."""
_COPY_SUFFIX = re.compile(
    r"(?:[-_](?:unsloth|bnb|4bit|8bit|int4|int8|gptq|awq|gguf|fp8|fp16|bf16|hf))+$"
)
_WORD = re.compile(r"[a-z]+|\d+(?:\.\d+)?[bm]?\b")
_SIZE = re.compile(r"\d+(?:\.\d+)?[bm]")
_GENERAL = frozenset(
    (
        "base",
        "cased",
        "chat",
        "checkpoint",
        "fine",
        "finetuned",
        "from",
        "google",
        "instruct",
        "large",
        "medium",
        "meta",
        "microsoft",
        "mistralai",
        "model",
        "openai",
        "our",
        "pre",
        "pretrained",
        "small",
        "the",
        "tiny",
        "trained",
        "tuned",
        "uncased",
        "version",
        "xxl",
    )
)
"""Words in a model's name that do not tell one model from another."""
_LONGEST = 6
"""Words of a text that is a name, and not a description."""
_LEAST_LETTERS = 3
_SCRATCH = re.compile(r"\bfrom scratch\b|^\s*(?:none|n/a|-)\b", re.IGNORECASE)


def names_other_model(theirs: str, ours: str) -> bool:
    """Return whether *theirs* names another model than *ours*, the record's words."""
    their_ids, our_ids = stated_names.hub_ids(theirs), stated_names.hub_ids(ours)
    if re.match(r"\s*none\b", ours):
        return bool(their_ids)
    if not ours.strip():
        return False
    if _SCRATCH.search(theirs):
        return True
    if their_ids and our_ids:
        return not any(_same_id(a, b) for a in their_ids for b in our_ids)
    return _other_name(theirs, ours)


def _same_id(theirs: str, ours: str) -> bool:
    if theirs == ours:
        return True
    owners = {theirs.partition("/")[0], ours.partition("/")[0]}
    return bool(owners & _COPIES) and _name(theirs) == _name(ours)


def _name(model: str) -> str:
    return _COPY_SUFFIX.sub("", model.rpartition("/")[2]).removeprefix("meta-")


def _other_name(theirs: str, ours: str) -> bool:
    """Return whether a short text has no word, or another size, of the record's name."""
    text = re.sub(r"\[([^\[\]]*)\]\([^()]*\)", r"\1", theirs).strip(" .*_`")
    if len(text.split()) > _LONGEST or (not re.search(r"\d", text) and " " in text):
        return False
    their_words, our_words = set(_WORD.findall(text.lower())), set(_WORD.findall(ours.lower()))
    their_sizes = {word for word in their_words if _SIZE.fullmatch(word)}
    our_sizes = {word for word in our_words if _SIZE.fullmatch(word)}
    if their_sizes and our_sizes and not their_sizes & our_sizes:
        return True
    long_words = {word for word in their_words if len(word) >= _LEAST_LETTERS}
    names = {word for word in long_words if word.isalpha()} - _GENERAL
    return bool(names) and not any(_in(name, ours.lower()) for name in names)


def _in(name: str, text: str) -> bool:
    return name in re.sub(r"[\W_]", "", text)
