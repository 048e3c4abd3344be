"""Preprocessing in words: tokenizer, lengths, masking, padding, images, sound."""

from __future__ import annotations

from autocard import units
from autocard.card.fact import Fact, code, escape
from autocard.card.fields.words import bullets, joined, labelled_line
from autocard.record import Preprocessing, RunRecord

_PADDING = {
    "longest": "dynamic, to the longest example in each batch",
    "max_length": "to a fixed length",
    "none": "not added by the data collator",
}
_KINDS = {
    "Tokenizer": "Tokenizer",
    "Tokenizers": "Tokenizer",
    "ImageProcessor": "Image processor",
    "VideoProcessor": "Video processor",
    "FeatureExtractor": "Feature extractor",
    "Processor": "Processor",
}
"""Part of the name of a class of transformers → what it is; first wins."""


def preprocessing(record: RunRecord) -> Fact | None:
    """Return how the data was made ready, as bullets, and in one line."""
    made = record.data.preprocessing
    limit = "Maximum sequence length" if made.max_length_applied else "Tokenizer limit"
    template = made.chat_template_sha256
    entries = {
        _kind(made.tokenizer or ""): _tokenizer(made),
        limit: _tokens(made.max_length),
        _longest_label(record): _tokens(made.longest_input),
        "Data collator": code(made.collator) if made.collator else None,
        "Masking": _masking(made),
        "Padding": _padding(made),
        "Packing": _packing(made),
        "Chat template": f"SHA-256 {code(template)}" if template else None,
        "Images": joined([_image_size(made.image_size_px), _normalization(made)]),
        "Audio": _sampling_rate(made),
    }
    block = bullets(entries)
    return None if block is None else Fact(labelled_line(entries), block)


def _kind(name: str) -> str:
    """Return what a class is by its name: a tokenizer, an image processor."""
    return next((kind for part, kind in _KINDS.items() if part in name), "Tokenizer or processor")


def _tokenizer(made: Preprocessing) -> str | None:
    if not made.tokenizer:
        return None
    vocabulary = None
    if made.vocabulary_count is not None:
        vocabulary = f"vocabulary size {units.count(made.vocabulary_count)}"
    return joined([code(made.tokenizer), vocabulary, _sides(made)])


def _sides(made: Preprocessing) -> str | None:
    """Return where the tokenizer pads and truncates: "padding and truncation on the right"."""
    padding, truncation = made.padding_side, made.truncation_side
    if padding and padding == truncation:
        return f"padding and truncation on the {escape(padding)}"
    parts = [
        f"padding on the {escape(padding)}" if padding else None,
        f"truncation on the {escape(truncation)}" if truncation else None,
    ]
    return joined(parts) or None


def _padding(made: Preprocessing) -> str | None:
    """Return how batches are padded; images and audio without padding need no word of it."""
    if made.padding == "none" and (made.image_size_px or made.sampling_rate_hz):
        return None
    return _PADDING.get(made.padding or "")


def _tokens(count: int | None) -> str | None:
    return None if count is None else units.plural(count, "token")


def _longest_label(record: RunRecord) -> str:
    """Return which rows the longest example was searched in; old records do not have it."""
    examined = record.data.preprocessing.longest_input_rows
    if examined is None:
        return "Longest example (of the rows examined)"
    rows = [data.rows for data in record.data.train]
    is_all = None not in rows and sum(count or 0 for count in rows) <= examined
    if is_all:
        return "Longest example"
    return f"Longest example (first {units.plural(examined, 'row')})"


def _masking(made: Preprocessing) -> str | None:
    """Return the share of tokens that the collator masks, and whether it masks whole words."""
    share = made.masking.get("probability")
    if not isinstance(share, int | float):
        return None
    whole_words = ", whole words" if made.masking.get("whole_words") else ""
    return f"{units.shortest(100 * share)} % of tokens{whole_words}"


def _packing(made: Preprocessing) -> str | None:
    if made.packing is None:
        return None
    return "several examples per sequence" if made.packing else "none (one example per sequence)"


def _image_size(sides_px: list[int]) -> str | None:
    """Return the size of the images: of one side the shortest edge, else height and width."""
    if not sides_px:
        return None
    if len(sides_px) == 1:
        return f"shortest edge {units.plural(sides_px[0], 'pixel')}"
    height, width = units.count(sides_px[0]), units.count(sides_px[1])
    return f"{height} × {width} pixels (height × width)"


def _normalization(made: Preprocessing) -> str | None:
    if not (made.image_mean and made.image_std):
        return None
    mean = ", ".join(map(units.shortest, made.image_mean))
    std = ", ".join(map(units.shortest, made.image_std))
    return f"normalized with mean ({mean}) and standard deviation ({std})"


def _sampling_rate(made: Preprocessing) -> str | None:
    if made.sampling_rate_hz is None:
        return None
    return f"sampling rate {units.count(made.sampling_rate_hz)} Hz"
