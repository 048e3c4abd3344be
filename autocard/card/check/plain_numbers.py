"""Whether a number without a unit is another than the record's: settings, counts, metrics.

One rule: of a text with several numbers the first one is what it states.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from autocard.card.check import measures
from autocard.card.check.known_fact import Known

_EXACT = 0.01
"""Share by which two settings may differ."""
_WHOLE = 0.5
"""Rounding of a number without decimals."""
_KIBI = 1.024
"""How many thousands 1,024 are."""
_FLOAT_ERROR = 1.0001
_MANY = 100
"""From here on a count may be rounded."""
_ROUNDED = 0.05
"""Share by which two counts of `_MANY` and more may differ."""

_SETTINGS = frozenset(
    (
        "learning_rate",
        "batch_size",
        "device_batch_size",
        "total_batch_size",
        "eval_batch_size",
        "gradient_accumulation",
        "warmup",
        "weight_decay",
        "adam_betas",
        "adam_epsilon",
        "max_grad_norm",
        "label_smoothing",
        "lora_r",
        "lora_alpha",
        "lora_dropout",
        "max_length",
        "context_length",
        "seed",
        "gpu_count",
        "nodes",
        "world_size",
    )
)
"""Facts whose figures are chosen, not measured: they have no rounding."""
_PARAMETERS = frozenset({"parameters", "parameters_total", "parameters_trainable", "model_size"})
_OTHER_COUNT = re.compile(
    r"\b(?:samples|rows|examples|images|tokens|layers|classes|pairs|lines|documents|files)\b"
)
"""What a "size" may be of, other than parameters."""
_NUMBER = re.compile(
    rf"(?<![\w.^/-])(?P<digits>-?{measures.DIGITS})(?:\s?(?P<scale>k|K|M|B|T|thousand|million|billion|trillion)"
    r"(?![\w/]))?(?P<percent>\s?%)?(?![\w^/]|\.\d|,\d)"
)
_SCALES = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12, "thousand": 1e3, "million": 1e6}
_SCALES |= {"billion": 1e9, "trillion": 1e12}


@dataclass(frozen=True)
class _Number:
    value: float
    rounding: float
    in_thousands: bool = False
    """Whether it has a `k`, which may stand for 1,024."""


def other_numbers(fact: str, label: str, theirs: str, known: Known) -> bool:
    """Return whether the first number of *theirs* is none of the record's.

    A number whose unit the label or the record's own text gives is none without a unit.
    """
    has_unit = measures.unit_of_label(label) is not None or measures.figures(known.text)
    if has_unit and fact not in _PARAMETERS:
        return False
    their_numbers = _numbers(_without_figures(theirs))
    our_numbers = _numbers(known.text)
    our_numbers += [_Number(value, 0.0) for value in sorted(known.numbers)]
    if not their_numbers or not our_numbers:
        return False
    first = their_numbers[0]
    if fact in _PARAMETERS and _OTHER_COUNT.search(theirs):
        return False
    if fact in _PARAMETERS:
        return not any(_same_parameters(first, our, known) for our in our_numbers)
    return not any(_same_number(fact, first, our) for our in our_numbers)


def _without_figures(text: str) -> str:
    """Return *text* without its figures with a unit: a size in MB is no count."""
    return measures.FIGURE.sub(
        lambda found: found[0] if measures.is_scale(found["unit"]) else " ", text
    )


def _numbers(text: str) -> list[_Number]:
    found = []
    for match in _NUMBER.finditer(text):
        scale = _SCALES.get((match["scale"] or "").lower(), 1.0)
        if match["percent"]:
            scale /= 100
        sign, digits = (
            (-1, match["digits"][1:]) if match["digits"][0] == "-" else (1, match["digits"])
        )
        mantissa = re.sub(r"[,\s]", "", digits.lower().partition("e")[0])
        last = 10.0 ** -len(mantissa.partition(".")[2])
        exponent = digits.lower().partition("e")[2]
        last *= 10.0 ** int(exponent or 0)
        value = sign * measures.number(digits) * scale
        in_thousands = (match["scale"] or "").lower() == "k"
        found.append(_Number(value, last * scale / 2, in_thousands))
    return found


def _same_number(fact: str, theirs: _Number, ours: _Number) -> bool:
    difference = abs(theirs.value - ours.value)
    largest = max(abs(theirs.value), abs(ours.value))
    if difference <= _EXACT * largest + 1e-15:
        return True
    if theirs.in_thousands and abs(theirs.value * _KIBI - ours.value) <= _EXACT * ours.value:
        return True
    # A share may be given in percent, with the sign or without it.
    if abs(theirs.value / 100 - ours.value) <= theirs.rounding / 100 + _EXACT * abs(ours.value):
        return True
    if fact in _SETTINGS:
        return False
    rounding = max(theirs.rounding, ours.rounding)
    # Whole numbers are counted; a share of 0.85 is not 1.
    if rounding < _WHOLE and difference <= rounding * _FLOAT_ERROR:
        return True
    return largest >= _MANY and difference <= _ROUNDED * largest


def _same_parameters(theirs: _Number, ours: _Number, known: Known) -> bool:
    """Return whether two counts of parameters are one: people cut 7.62 B to 7 B, or round it."""
    step = 2 * theirs.rounding
    if theirs.value - step / 2 <= ours.value < theirs.value + step:
        return True
    if abs(theirs.value - ours.value) <= _ROUNDED * max(theirs.value, ours.value):
        return True
    named = re.findall(r"(\d+(?:\.\d+)?)([bm])\b", known.words.lower())
    return any(float(size) * _SCALES[scale] == theirs.value for size, scale in named)
