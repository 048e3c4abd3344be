"""Two texts about one fact, figure by figure: counts and metrics that one says and the other denies.

One rule: two figures are compared only where both texts say of what they are: on a line of the same
label, in the row of a table of the same name, or before the same word (parameters, steps, epochs,
rows, batch size). A figure may be rounded, and a share may be given in percent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from autocard.card.check.contradictions import figures

_NUMBER = re.compile(
    r"(?<![\w.,^-])(?P<sign>-?)(?P<digits>\d{1,15}(?:[,\u2009\u202f]\d{3}){0,5}(?:\.\d{1,12})?)(?P<exp>[eE][+-]?\d{1,3})?"
    r"(?:[ \u00a0]?(?P<scale>k|K|M|B|thousand|million|billion)(?![\w/]))?(?![\w^]|\.\d|,\d)"
)
_SCALES = {"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "thousand": 1e3, "million": 1e6, "billion": 1e9}
_LABEL = re.compile(
    r"[ \t]*(?:[-*+][ \t]+)?(?:\*\*|__)?(?P<label>[A-Za-z`][^:*|\n]{0,60}?)(?::(?:\*\*|__)?|(?:\*\*|__):)\s"
)
_PAIR = re.compile(r"(?P<label>[A-Za-z][\w@.-]{0,60})[ \t]+(?P<value>-?\d[\d.,eE+-]{0,30})")
_RULE = re.compile(r"[\s|:-]+")
_NOT_THIS = r"(?<!every )(?<!each )(?<!after )(?<!first )(?<!last )"
_ANY = rf"{_NOT_THIS}(?P<figure>{_NUMBER.pattern})".replace("?P<sign>", "?:").replace(
    "?P<digits>", "?:"
)
_ANY = _ANY.replace("?P<exp>", "?:").replace("?P<scale>", "?:")
_BEFORE = {
    "parameters": r"[ -]?(?:trainable |trained )?param(?:eter)?s?\b",
    "steps": r" (?:optimi[sz]er|training|update|gradient) steps?\b(?!/)",
    "epochs": r" epochs?\b(?!/)",
    "rows": r" (?:rows|examples)\b(?!/)",
    "batch size": r" samples for each optimizer step\b",
}
_AFTER = {
    "parameters": r"\bparameters:[ ]",
    "steps": r"\bmax_steps`?:?[ ]",
    "epochs": r"\bepochs`?:?[ ]",
    "batch size": r"\bbatch[ _]size`?(?: of|:| is)?(?:\*\*)?[ ]",
}
_WORDS = {
    word: [
        re.compile(pattern, re.IGNORECASE)
        for pattern in (
            *([_ANY + _BEFORE[word]] if word in _BEFORE else []),
            *([_AFTER[word] + _ANY] if word in _AFTER else []),
        )
    ]
    for word in {**_BEFORE, **_AFTER}
}
_IS_COUNT = ("parameters",)
"""Facts whose whole text is a count."""
_LONGEST = 20_000
_MANY = 100
_NEAR = 0.02
"""Share by which two figures of a hundred and more may differ: people round them as they like."""


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


def differences(fact: str, theirs: str, ours: str) -> list[Difference]:
    """Return where *theirs* gives another figure for something than *ours*, the record's text of *fact*; in order."""
    theirs, ours = theirs[:_LONGEST], ours[:_LONGEST]
    if fact in _IS_COUNT and "\n" not in theirs and _denies(theirs, ours):
        return [Difference(0, theirs, ours)]
    found: dict[int, Difference] = {}
    there, here = _entries(theirs), _entries(ours)
    for key in there.keys() & here.keys():
        (at, said), (_, known) = there[key], here[key]
        if _denies(said, known):
            found.setdefault(
                at, Difference(at, _line(theirs, at), f"{key[-1]}: {known}".strip(": "))
            )
    if not found:
        for word, patterns in _WORDS.items():
            said_of, known_of = (_counted(text, patterns) for text in (theirs, ours))
            if (
                said_of
                and known_of
                and not any(_close(a, b) for _, a in said_of for _, b in known_of)
            ):
                at = said_of[0][0]
                found.setdefault(
                    at, Difference(at, _line(theirs, at), f"{word}: {known_of[0][1].value:,.10g}")
                )
    return [found[at] for at in sorted(found)]


def _entries(text: str) -> Mapping[tuple[str, ...], tuple[int, str]]:
    """Return what *text* gives a value for → (offset, value); without what it gives several for."""
    found: dict[tuple[str, ...], tuple[int, str]] = {}
    twice = set()
    for key, at, value in _all_entries(text):
        if key in found and found[key][1] != value:
            twice.add(key)
        found.setdefault(key, (at, value))
    return {key: entry for key, entry in found.items() if key not in twice}


def _all_entries(text: str) -> Iterator[tuple[tuple[str, ...], int, str]]:
    at = 0
    heads: list[str] = []
    for line in text.splitlines(keepends=True):
        bare = line.strip()
        if bare.startswith("|"):
            cells = [_word(cell) for cell in bare.strip("|").split("|")]
            if _RULE.fullmatch(bare):
                pass
            elif not heads:
                heads = cells
            elif len(cells) == len(heads):
                yield from _row(heads, cells, at)
        else:
            heads = []
            label = _LABEL.match(line)
            if label:
                yield (_word(label["label"]),), at, line[label.end() :].strip()
            else:
                for pair in _PAIR.finditer(line) if ";" in line or len(bare) <= _MANY else ():
                    yield (_word(pair["label"]),), at, pair["value"].strip(".,")
        at += len(line)


def _row(heads: list[str], cells: list[str], at: int) -> Iterator[tuple[tuple[str, ...], int, str]]:
    if len(heads) == 2:  # noqa: PLR2004 - a name and its value
        yield (cells[0],), at, cells[1]
        return
    words = next((at for at, cell in enumerate(cells) if at and _NUMBER.match(cell)), 1)
    names = [name for name in heads[:2] if name in ("epoch", "step")] or heads[:words]
    row = " ".join(cells[: len(names)])
    for head, cell in zip(heads[len(names) :], cells[len(names) :], strict=True):
        yield (*names, row, head), at, cell


def _word(text: str) -> str:
    return " ".join(re.sub(r"[`*\\]", "", text).replace("_", " ").split()).lower()


def _denies(said: str, known: str) -> bool:
    """Return whether two values of one thing differ in a figure."""
    a, b = _numbers(said), _numbers(known)
    if not a or not b:
        return False
    if _NUMBER.sub("#", said).lower().split() == _NUMBER.sub("#", known).lower().split():
        return not all(_close(x, y) for x, y in zip(a, b, strict=True))
    measured, mine = figures(said), figures(known)
    if measured or mine:
        # Of times, energies and masses, `contradictions` knows the units; here they stand on one
        # line.
        return any(
            not any(abs(x - y) <= 0.05 * max(x, y) for x in measured[kind] for y in mine[kind])
            for kind in measured.keys() & mine.keys()
        )
    return not any(_close(x, y) for x in a for y in b)


def _numbers(text: str) -> list[_Figure]:
    return [_figure(match) for match in _NUMBER.finditer(text)]


def _figure(match: re.Match[str]) -> _Figure:
    digits = re.sub("[,\u2009\u202f]", "", match["digits"])
    scale = _SCALES.get(match["scale"] or "", 1.0) * float("1" + (match["exp"] or ""))
    value = float(digits) * scale * (-1 if match["sign"] else 1)
    return _Figure(value, scale * 10.0 ** -len(digits.partition(".")[2]))


def _counted(text: str, patterns: list[re.Pattern[str]]) -> list[tuple[int, _Figure]]:
    found = []
    for pattern in patterns:
        for match in pattern.finditer(text):
            number = _NUMBER.match(text, match.start("figure"))
            if number:
                found.append((match.start(), _figure(number)))
    return sorted(found, key=lambda one: one[0])


def _close(a: _Figure, b: _Figure) -> bool:
    unit = max(a.unit, b.unit)
    # Whole numbers are counted; a share of 0.85 is not 1.
    if _same(a.value, b.value, 0 if unit == 1 else unit):
        return True
    return any(
        abs(share.value) <= 1
        and share.unit < 1
        and _same(100 * share.value, of.value, max(of.unit, 100 * share.unit))
        for share, of in ((a, b), (b, a))
    )


def _same(a: float, b: float, unit: float) -> bool:
    """Return whether two figures are one, rounded to *unit*."""
    apart = abs(a - b)
    many = min(abs(a), abs(b)) >= _MANY
    return apart <= 0.5001 * unit + 1e-12 or (many and apart <= _NEAR * max(abs(a), abs(b)))


def _line(text: str, at: int) -> str:
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    return text[start : len(text) if end < 0 else end].strip()
