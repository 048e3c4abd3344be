"""Compare two texts about one fact figure by figure: counts and metrics in which they differ.

One rule: two figures are compared only where both texts name what they are of: on a line of the
same label, in the row of a table of the same name, or before the same word (parameters, steps,
epochs, rows, batch size). A figure may be rounded, and a share may be given in percent.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from autocard.card.check.measures import Figure, figures

_DIGITS = r"\d{1,15}(?:[,\u2009\u202f]\d{3}){0,5}(?:\.\d{1,12})?"
_EXPONENT = r"[eE][+-]?\d{1,3}"
_SCALE = r"k|K|M|B|thousand|million|billion"
_NUMBER = re.compile(
    rf"(?<![\w.,^-])(?P<sign>-?)(?P<digits>{_DIGITS})(?P<exp>{_EXPONENT})?"
    rf"(?:[ \u00a0]?(?P<scale>{_SCALE})(?![\w/]))?(?![\w^⁻]|\.\d|,\d)"
)
"""A number: 1,404.2, -3e-5, 22.7 M; not a part of a word, a version (2.1.0) or a power (10^15)."""
_SCALES = {"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "thousand": 1e3, "million": 1e6, "billion": 1e9}
_LABEL = re.compile(
    r"[ \t]*(?:[-*+][ \t]+)?(?:\*\*|__)?(?P<label>[A-Za-z`][^:*|\n]{0,60}?)"
    r"(?::(?:\*\*|__)?|(?:\*\*|__):)\s"
)
"""A labelled line: "- **Optimizer:** AdamW", "Seed: 42"."""
_PAIR = re.compile(r"(?P<label>[A-Za-z][\w@.-]{0,60})[ \t]+(?P<value>-?\d[\d.,eE+-]{0,30})")
"""A name and its figure in a sentence: "accuracy 0.91; eval_loss 0.32"."""
_RULE = re.compile(r"[\s|:-]+")
"""The line between a table's head and its rows: | --- | ---: |."""

_NO_INTERVAL = r"(?<!every )(?<!each )(?<!after )(?<!first )(?<!last )"
"""Before a figure that counts all: not "every 500 steps"."""
_ANY = (
    rf"{_NO_INTERVAL}(?P<figure>(?<![\w.,^-])(?:-?)(?:{_DIGITS})(?:{_EXPONENT})?"
    rf"(?:[ \u00a0]?(?:{_SCALE})(?![\w/]))?(?![\w^⁻]|\.\d|,\d))"
)
"""The same as `_NUMBER`, as a part of a larger expression."""
_WORDS = {
    "parameters": (
        _ANY + r"[ -]?(?:trainable |trained )?param(?:eter)?s?\b",  # 22.7 M trainable parameters
        r"\bparameters:[ ]" + _ANY,  # parameters: 22.7 M
    ),
    "steps": (
        _ANY + r" (?:optimi[sz]er|training|update|gradient) steps?\b(?!/)",  # 500 optimizer steps
        r"\bmax_steps`?:?[ ]" + _ANY,  # `max_steps` 500
    ),
    "epochs": (
        _ANY + r" epochs?\b(?!/)",  # 3 epochs
        r"\bepochs`?:?[ ]" + _ANY,  # `num_train_epochs` 3
    ),
    "rows": (_ANY + r" (?:rows|examples)\b(?!/)",),  # 1,600 rows; not 31 examples/s
    "batch size": (
        _ANY + r" samples for each optimizer step\b",
        r"\bbatch[ _]size`?(?: of|:| is)?(?:\*\*)?[ ]" + _ANY,  # batch size of 32
    ),
}
_PATTERNS = {
    word: [re.compile(pattern, re.IGNORECASE) for pattern in patterns]
    for word, patterns in _WORDS.items()
}
"""What is counted → where its figure stands."""
_IS_COUNT = ("parameters",)
"""Facts whose whole text is a count."""
_MAX_CHARACTERS = 20_000
"""Of a text that is compared."""
_SHORT_LINE = 100
"""Characters of a line up to which every pair of a name and a figure counts."""
_MANY = 100
"""From here on a figure may be rounded freely."""
_NEAR = 0.02
"""Share by which two figures of `_MANY` and more may differ: people round them as they like."""


@dataclass(frozen=True)
class Difference:
    """A figure that the two texts do not have in common.

    Attributes:
        at: offset of the line in the first text.
        theirs: the line, or what there is of it.
        ours: what the other text has in its place.
    """

    at: int
    theirs: str
    ours: str


@dataclass(frozen=True)
class _Figure:
    value: float
    unit: float
    """What one in its last digit is worth."""


@dataclass(frozen=True)
class _Entry:
    """A value that a text gives for something."""

    key: tuple[str, ...]
    """Label of the line, or words of the row and the column."""
    at: int
    """Offset of the line."""
    value: str


@dataclass(frozen=True)
class _Count:
    """A figure before or behind a word such as "steps"."""

    at: int
    figure: _Figure


def differences(fact: str, theirs: str, ours: str) -> list[Difference]:
    """Return where *theirs* has other figures than *ours*, the record's text of *fact*."""
    theirs, ours = theirs[:_MAX_CHARACTERS], ours[:_MAX_CHARACTERS]
    if fact in _IS_COUNT and "\n" not in theirs and _differ(theirs, ours):
        return [Difference(0, theirs, ours)]
    found = _different_entries(theirs, ours) or _different_counts(theirs, ours)
    return [found[at] for at in sorted(found)]


def _different_entries(theirs: str, ours: str) -> dict[int, Difference]:
    """Return offset → difference, of values that both texts give for the same label or cell."""
    found: dict[int, Difference] = {}
    their_entries, our_entries = _entries(theirs), _entries(ours)
    for key in their_entries.keys() & our_entries.keys():
        their, our = their_entries[key], our_entries[key]
        if _differ(their.value, our.value):
            words = f"{key[-1]}: {our.value}".strip(": ")
            found.setdefault(their.at, Difference(their.at, _line(theirs, their.at), words))
    return found


def _different_counts(theirs: str, ours: str) -> dict[int, Difference]:
    """Return offset → difference, of figures before or behind the same word."""
    found: dict[int, Difference] = {}
    for word, patterns in _PATTERNS.items():
        their_counts, our_counts = _counts(theirs, patterns), _counts(ours, patterns)
        if not their_counts or not our_counts:
            continue
        their_figures = [count.figure for count in their_counts]
        if _any_close(their_figures, [count.figure for count in our_counts]):
            continue
        at = their_counts[0].at
        words = f"{word}: {our_counts[0].figure.value:,.10g}"
        found.setdefault(at, Difference(at, _line(theirs, at), words))
    return found


def _counts(text: str, patterns: Iterable[re.Pattern[str]]) -> list[_Count]:
    found = []
    for pattern in patterns:
        for match in pattern.finditer(text):
            number = _NUMBER.match(text, match.start("figure"))
            if number:
                found.append(_Count(match.start(), _figure(number)))
    return sorted(found, key=lambda count: count.at)


# -- labelled lines and tables ---------------------------------------------------------------------


def _entries(text: str) -> Mapping[tuple[str, ...], _Entry]:
    """Return the values that *text* gives, by what they are of, without ambiguous ones."""
    found: dict[tuple[str, ...], _Entry] = {}
    ambiguous = set()
    for entry in _all_entries(text):
        if entry.key in found and found[entry.key].value != entry.value:
            ambiguous.add(entry.key)
        found.setdefault(entry.key, entry)
    return {key: entry for key, entry in found.items() if key not in ambiguous}


def _all_entries(text: str) -> Iterator[_Entry]:
    at = 0
    head: list[str] = []
    for line in text.splitlines(keepends=True):
        stripped = line.strip()
        if not stripped.startswith("|"):
            head = []
            yield from _line_entries(line, at)
        elif not _RULE.fullmatch(stripped):
            cells = [_word(cell) for cell in stripped.strip("|").split("|")]
            if not head:
                head = cells
            elif len(cells) == len(head):
                yield from _row_entries(head, cells, at)
        at += len(line)


def _line_entries(line: str, at: int) -> Iterator[_Entry]:
    """Yield the value of a labelled line, or the figures in "accuracy 0.9; loss 0.3"."""
    label = _LABEL.match(line)
    if label:
        yield _Entry((_word(label["label"]),), at, line[label.end() :].strip())
        return
    if ";" not in line and len(line.strip()) > _SHORT_LINE:
        return
    for pair in _PAIR.finditer(line):
        yield _Entry((_word(pair["label"]),), at, pair["value"].strip(".,"))


def _row_entries(head: Sequence[str], cells: Sequence[str], at: int) -> Iterator[_Entry]:
    """Yield the values of a table's row; epoch and step, or its first cells, name the row."""
    if len(head) == len(("name", "value")):
        yield _Entry((cells[0],), at, cells[1])
        return
    names = [name for name in head[:2] if name in ("epoch", "step")]
    if not names:
        names = list(head[: _first_number(cells)])
    row = " ".join(cells[: len(names)])
    for column, cell in zip(head[len(names) :], cells[len(names) :], strict=True):
        yield _Entry((*names, row, column), at, cell)


def _first_number(cells: Sequence[str]) -> int:
    """Return the place of the first cell with a number, the first cell of all apart."""
    for place, cell in enumerate(cells):
        if place and _NUMBER.match(cell):
            return place
    return 1


def _word(text: str) -> str:
    return " ".join(re.sub(r"[`*\\]", "", text).replace("_", " ").split()).lower()


# -- figures ---------------------------------------------------------------------------------------


def _differ(their: str, our: str) -> bool:
    """Return whether two values of one thing differ in a figure."""
    their_numbers, our_numbers = _numbers(their), _numbers(our)
    if not their_numbers or not our_numbers:
        return False
    if _without_numbers(their) == _without_numbers(our):
        pairs = zip(their_numbers, our_numbers, strict=True)
        return not all(_close(a, b) for a, b in pairs)
    their_units, our_units = figures(their), figures(our)
    if their_units or our_units:
        # Of times, energies and masses the units are known: 90 min is 1.5 h.
        kinds = their_units.keys() & our_units.keys()
        return any(not _near(their_units[kind], our_units[kind]) for kind in kinds)
    return not _any_close(their_numbers, our_numbers)


def _without_numbers(text: str) -> list[str]:
    return _NUMBER.sub("#", text).lower().split()


def _near(some: Iterable[Figure], others: Iterable[Figure]) -> bool:
    return any(a.agrees(b.low) for a, b in itertools.product(some, others))


def _numbers(text: str) -> list[_Figure]:
    return [_figure(match) for match in _NUMBER.finditer(text)]


def _figure(match: re.Match[str]) -> _Figure:
    digits = re.sub("[,\u2009\u202f]", "", match["digits"])
    scale = _SCALES.get(match["scale"] or "", 1.0) * float("1" + (match["exp"] or ""))
    value = float(digits) * scale * (-1 if match["sign"] else 1)
    return _Figure(value, scale * 10.0 ** -len(digits.partition(".")[2]))


def _any_close(some: Iterable[_Figure], others: Iterable[_Figure]) -> bool:
    return any(_close(a, b) for a, b in itertools.product(some, others))


def _close(a: _Figure, b: _Figure) -> bool:
    """Return whether two figures are one, rounded, or one of them is the other in percent."""
    unit = max(a.unit, b.unit)
    # Whole numbers are counted; a share of 0.85 is not 1.
    if _same(a.value, b.value, 0 if unit == 1 else unit):
        return True
    return _is_share_of(a, b) or _is_share_of(b, a)


def _is_share_of(share: _Figure, percent: _Figure) -> bool:
    """Return whether *share* is *percent* as a share: 0.912 is 91.2 %."""
    if abs(share.value) > 1 or share.unit >= 1:
        return False
    return _same(100 * share.value, percent.value, max(percent.unit, 100 * share.unit))


def _same(a: float, b: float, unit: float) -> bool:
    """Return whether two figures are one, rounded to *unit*."""
    difference = abs(a - b)
    if difference <= 0.5001 * unit + 1e-12:  # a half of the last digit, and the floats' own error
        return True
    is_large = min(abs(a), abs(b)) >= _MANY
    return is_large and difference <= _NEAR * max(abs(a), abs(b))


def _line(text: str, at: int) -> str:
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    return text[start : len(text) if end < 0 else end].strip()
