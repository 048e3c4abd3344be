"""Preprocessing in words: tokenizer, lengths, masking, padding, images, sound."""

from __future__ import annotations

from autocard import units
from autocard.card.fact import Fact, code, escape
from autocard.card.fields.words import bullets, joined, labelled_line
from autocard.record import Preprocessing, RunRecord

_PADDING = {
    "longest": "to the longest row of each batch",
    "max_length": "to a fixed length",
    "none": "none by the collator",
}


def preprocessing(record: RunRecord) -> Fact | None:
    """Return how the data was made ready, as bullets, and in one line."""
    made = record.data.preprocessing
    limit = "Maximum sequence length" if made.max_length_applied else "Tokenizer's limit"
    template = made.chat_template_sha256
    entries = {
        "Tokenizer or processor": _tokenizer(made),
        limit: _tokens(made.max_length),
        _longest_label(record): _tokens(made.longest_input),
        "Batches made by": code(made.collator) if made.collator else None,
        "Masking": _masking(made),
        "Padding": _PADDING.get(made.padding or ""),
        "Packing": _packing(made),
        "Chat template": f"SHA-256 {code(template)}" if template else None,
        "Images": joined([_image_size(made.image_size_px), _normalization(made)]),
        "Sound": _sampling_rate(made),
    }
    block = bullets(entries)
    return None if block is None else Fact(labelled_line(entries), block)


def _tokenizer(made: Preprocessing) -> str | None:
    if not made.tokenizer:
        return None
    text = code(made.tokenizer)
    if made.vocabulary_count is not None:
        text += f", vocabulary of {units.count(made.vocabulary_count)}"
    if made.padding_side:
        text += f", padded on the {escape(made.padding_side)}"
    if made.truncation_side:
        text += f", cut on the {escape(made.truncation_side)}"
    return text


def _tokens(count: int | None) -> str | None:
    return None if count is None else units.plural(count, "token")


def _longest_label(record: RunRecord) -> str:
    """Return which rows the longest example was looked for in; old records do not have it."""
    examined = record.data.preprocessing.longest_input_rows
    if examined is None:
        return "Longest example among the rows that were looked at"
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
    unit = "tokens in whole words" if made.masking.get("whole_words") else "tokens"
    return f"{units.shortest(100 * share)} % of the {unit}"


def _packing(made: Preprocessing) -> str | None:
    if made.packing is None:
        return None
    return "several rows in one sequence" if made.packing else "none, one row in one sequence"


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
    return f"{units.count(made.sampling_rate_hz)} Hz"
