"""What turns rows into tensors: tokenizer or processor, lengths, padding, packing, the collator.

Reads settings only, of the objects that the trainer holds. A chat template is the user's text, so
the record has its hash.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from typing import Any

from autocard.capture.data.token_lengths import inside, longest
from autocard.capture.observed import Observed
from autocard.capture.unwrap import is_sentence_transformer, without_wrappers
from autocard.errors import UnavailableError
from autocard.record import Preprocessing, Scalar
from autocard.record.gaps import Part, PartBuilder

_ABSURD_TOKENS = 10**9
"""transformers' tokenizers without a limit say 10^30 (tokenization_utils_base.py,
VERY_LARGE_INTEGER)."""

_DEPTH = 8
"""Wrappers of collators that are taken off one after the other."""

_ROWS_AS_THEY_ARE = frozenset(
    {"default_data_collator", "DefaultDataCollator", "DataCollatorWithFlattening"}
)
"""transformers' collators that stack rows or lay them end to end."""


def capture(observed: Observed) -> Part[Preprocessing]:
    """Return tokenizer or processor, lengths, collator."""
    part = PartBuilder(Preprocessing, "data.preprocessing")
    collator = None
    with part.guard("collator"):
        collator = _collator(observed)
        part.fields["collator"] = _collator_name(collator)
    processor = observed.processing_class or getattr(collator, "tokenizer", None)
    tokenizer = getattr(processor, "tokenizer", processor)
    with part.guard("tokenizer"):
        if processor is None:
            msg = "the trainer was given no tokenizer or processor"
            raise UnavailableError(msg)
        part.fields["tokenizer"] = type(processor).__name__
    with part.guard("vocabulary_count"):
        part.fields["vocabulary_count"] = _vocabulary(tokenizer)
    found = None
    with part.guard("longest_input"):
        part.gaps["longest_input_rows"] = "no rows were examined"
        found = longest(inside(getattr(observed.train_dataloader, "dataset", None)))
        part.fields["longest_input"], part.fields["longest_input_rows"] = found.tokens, found.rows
        del part.gaps["longest_input_rows"]
    with part.guard("max_length"):
        longest_row = None if found is None else found.with_padding
        part.fields["max_length"], part.fields["max_length_applied"] = _max_length(
            observed, tokenizer, longest_row
        )
    with part.guard("padding_side"):
        part.fields["padding_side"] = _side_of(tokenizer, "padding_side", "pads")
    with part.guard("truncation_side"):
        part.fields["truncation_side"] = _side_of(tokenizer, "truncation_side", "cuts")
    with part.guard("packing"):
        part.fields["packing"] = _packing(observed, part.fields.get("collator"))
    with part.guard("padding"):
        part.fields["padding"] = _padding(collator)
    with part.guard("masking"):
        part.fields["masking"] = _masking(collator)
    with part.guard("chat_template_sha256"):
        part.fields["chat_template_sha256"] = _chat_template(processor, tokenizer)
    with part.guard("image_size_px"):
        part.fields["image_size_px"] = _image_size(processor)
    with part.guard("image_mean"):
        part.fields["image_mean"], part.fields["image_std"] = _normalization(processor)
    with part.guard("sampling_rate_hz"):
        part.fields["sampling_rate_hz"] = _sampling_rate(processor)
    return part.build()


def _collator(observed: Observed) -> Any:
    """Return what makes the batches, without transformers' wrapper that drops columns."""
    collator: Any = getattr(observed.train_dataloader, "collate_fn", None)
    for _ in range(_DEPTH):
        if type(collator).__name__ == "RemoveColumnsCollator":
            collator = collator.data_collator
        elif isinstance(collator, functools.partial):
            collator = collator.func
        else:
            break
    return collator


def _collator_name(collator: Any) -> str:
    if collator is None:
        msg = "the trainer showed no collator"
        raise UnavailableError(msg)
    name = getattr(collator, "__name__", None) or type(collator).__name__
    return "a function without a name" if name == "<lambda>" else str(name)


def _vocabulary(tokenizer: Any) -> int:
    if tokenizer is None or not hasattr(tokenizer, "__len__"):
        msg = "there is no tokenizer"
        raise UnavailableError(msg)
    return len(tokenizer)


def _side_of(tokenizer: Any, setting: str, does: str) -> str:
    side = getattr(tokenizer, setting, None)
    if side not in {"left", "right"}:
        msg = f"there is no tokenizer that {does}"
        raise UnavailableError(msg)
    return str(side)


def _max_length(observed: Observed, tokenizer: Any, longest_tokens: int | None) -> tuple[int, bool]:
    """Return the tokens at which inputs are cut, and whether rows are known to be cut there.

    They are by TRL's arguments, where its trainer prepares the rows, and by a sentence-transformers
    model. A tokenizer's state is its limit of the moment; it cut rows if the longest of them is as
    long as that.
    """
    whole = without_wrappers(observed.model)
    arguments = observed.arguments
    limits: list[tuple[Any, bool]] = []
    if not (arguments.get("dataset_kwargs") or {}).get("skip_prepare_dataset", False):
        limits += [(arguments.get("max_length"), True), (arguments.get("max_seq_length"), True)]
    if is_sentence_transformer(whole):
        limits.append((getattr(whole, "max_seq_length", None), True))
    cut = getattr(getattr(tokenizer, "backend_tokenizer", None), "truncation", None) or {}
    cut_at = cut.get("max_length")
    if longest_tokens is not None and isinstance(cut_at, int) and longest_tokens <= cut_at:
        limits.append((cut_at, longest_tokens == cut_at))
    limits.append((getattr(tokenizer, "model_max_length", None), False))
    for tokens, applied in limits:
        if isinstance(tokens, int) and 0 < tokens < _ABSURD_TOKENS:
            return tokens, applied
    msg = "the tokenizer has no limit" if tokenizer is not None else "there is no tokenizer"
    raise UnavailableError(msg)


def _masking(collator: Any) -> dict[str, Scalar]:
    """Return how transformers' collator masks tokens, if it does."""
    probability = getattr(collator, "mlm_probability", None)
    if not getattr(collator, "mlm", False) or not isinstance(probability, int | float):
        return {}
    named = any(cls.__name__ == "DataCollatorForWholeWordMask" for cls in type(collator).__mro__)
    return {
        "probability": float(probability),
        "whole_words": named or bool(getattr(collator, "whole_word_mask", False)),
    }


def _normalization(processor: Any) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation that normalize images; empty lists: there are none."""
    images = getattr(processor, "image_processor", processor)
    if not getattr(images, "do_normalize", False):
        return [], []
    mean, std = getattr(images, "image_mean", None), getattr(images, "image_std", None)
    if not isinstance(mean, list | tuple) or not isinstance(std, list | tuple):
        return [], []
    return [float(one) for one in mean], [float(one) for one in std]


def _packing(observed: Observed, collator: str | None) -> bool:
    packing = observed.arguments.get("packing")
    if isinstance(packing, bool):
        return packing
    if collator == "DataCollatorWithFlattening":
        return True
    msg = "only TRL's arguments show it; the rows may have been packed before"
    raise UnavailableError(msg)


def _padding(collator: Any) -> str:
    """Return up to which length *collator* fills batches (transformers, data_collator.py)."""
    setting = getattr(collator, "padding", None)
    setting = getattr(setting, "value", setting)
    if isinstance(setting, bool):
        return "longest" if setting else "none"
    if setting in {"longest", "max_length", "do_not_pad"}:
        return "none" if setting == "do_not_pad" else str(setting)
    kinds = {getattr(collator, "__name__", "")} | {cls.__name__ for cls in type(collator).__mro__}
    if kinds & _ROWS_AS_THEY_ARE:
        return "none"
    if any(cls.__name__ == "DataCollatorForLanguageModeling" for cls in type(collator).__mro__):
        return "none" if getattr(collator, "padding_free", False) else "longest"
    msg = "the data collator does not show how it pads"
    raise UnavailableError(msg)


def _chat_template(processor: Any, tokenizer: Any) -> str:
    """Return the SHA-256 of the chat template; of several, that of the one named default."""
    template = getattr(processor, "chat_template", None) or getattr(
        tokenizer, "chat_template", None
    )
    if isinstance(template, Mapping):
        template = template.get("default")
    if not isinstance(template, str) or not template:
        msg = "the tokenizer has no chat template"
        raise UnavailableError(msg)
    return hashlib.sha256(template.encode("utf-8")).hexdigest()


def _image_size(processor: Any) -> list[int]:
    """Return height and width of the model's images: the crop's where they are cropped.

    One number is the shortest edge.
    """
    images = getattr(processor, "image_processor", processor)
    size = None
    if getattr(images, "do_center_crop", False):
        size = getattr(images, "crop_size", None)
    if not size and getattr(images, "do_resize", True):
        size = getattr(images, "size", None)
    if size:
        height, width = _side(size, "height"), _side(size, "width")
        if height and width:
            return [height, width]
        shortest = _side(size, "shortest_edge")
        if shortest:
            return [shortest]
    msg = "there is no image processor that names a size"
    raise UnavailableError(msg)


def _side(size: Any, name: str) -> int:
    value = size.get(name) if isinstance(size, Mapping) else getattr(size, name, None)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _sampling_rate(processor: Any) -> int:
    rate = getattr(getattr(processor, "feature_extractor", processor), "sampling_rate", None)
    if not isinstance(rate, int) or isinstance(rate, bool) or rate <= 0:
        msg = "there is no feature extractor that names a sampling rate"
        raise UnavailableError(msg)
    return rate
