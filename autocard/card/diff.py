"""Find the lines that two texts share, as difflib does, in time that is bounded for any text.

`SequenceMatcher` takes quadratic time where many lines are equal, and where many have moved. Such
texts are matched at their ends and at lines that each of them has once (patience diff), and only
what lies between is given to difflib. What is too costly even then counts as changed as a whole.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import Match, SequenceMatcher

_STEPS = 20_000_000
"""Steps that one comparison may take: about a second."""
_ROUNDS = 8
"""How often the spans between matched lines are searched for more."""


def matching_blocks(first: Sequence[str], second: Sequence[str]) -> list[Match]:
    """Return runs of equal lines as difflib's `get_matching_blocks` does, an empty one last."""
    if _steps(first, second) <= _STEPS:
        return SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    return [*_joined(sorted(_Search(first, second).blocks)), Match(len(first), len(second), 0)]


def likeness(first: Sequence[str], second: Sequence[str]) -> float:
    """Return the share of lines that are common to both, from 0 to 1."""
    total = len(first) + len(second)
    if not total:
        return 1.0
    common = sum(block.size for block in matching_blocks(first, second))
    return 2.0 * common / total


def _steps(first: Sequence[str], second: Sequence[str]) -> int:
    """Return how many steps difflib takes at most: one for each pair of equal lines and block."""
    counts = Counter(second)
    pairs = sum(number * counts[line] for line, number in Counter(first).items())
    return len(first) + len(second) + pairs * min(len(first), len(second))


class _Search:
    """One comparison of two long texts; `blocks` are what it found."""

    def __init__(self, first: Sequence[str], second: Sequence[str]) -> None:
        self._first, self._second = first, second
        self._left = _STEPS
        self.blocks: list[Match] = []
        spans = [(0, len(first), 0, len(second))]
        for _ in range(_ROUNDS):
            spans = [part for span in spans for part in self._search(*span)]

    def _search(self, a: int, a_end: int, b: int, b_end: int) -> list[tuple[int, int, int, int]]:
        """Match what can be matched in one pair of spans; return the pairs that are left."""
        first, second = self._first, self._second
        start = a
        while a < a_end and b < b_end and first[a] == second[b]:
            a, b = a + 1, b + 1
        self._add(start, b - (a - start), a - start)
        end = a_end
        while a < a_end and b < b_end and first[a_end - 1] == second[b_end - 1]:
            a_end, b_end = a_end - 1, b_end - 1
        self._add(a_end, b_end, end - a_end)
        if a == a_end or b == b_end:
            return []
        steps = _steps(first[a:a_end], second[b:b_end])
        if steps <= self._left:
            self._left -= steps
            matcher = SequenceMatcher(None, first[a:a_end], second[b:b_end], autojunk=False)
            for block in matcher.get_matching_blocks():
                self._add(a + block.a, b + block.b, block.size)
            return []
        parts = []
        for i, j in _single(first, second, (a, a_end), (b, b_end)):
            self._add(i, j, 1)
            parts.append((a, i, b, j))
            a, b = i + 1, j + 1
        return [*parts, (a, a_end, b, b_end)] if parts else []

    def _add(self, a: int, b: int, size: int) -> None:
        if size:
            self.blocks.append(Match(a, b, size))


def _single(
    first: Sequence[str], second: Sequence[str], a: tuple[int, int], b: tuple[int, int]
) -> list[tuple[int, int]]:
    """Return the places of lines that both spans have exactly once, in the same order in both."""
    places = _once(second, *b)
    pairs = [
        (i, places[line])
        for line, i in sorted(_once(first, *a).items(), key=lambda item: item[1])
        if line in places
    ]
    # The longest rising sequence, by patience sorting.
    tops: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for number, (_, j) in enumerate(pairs):
        pile = bisect_left(tops, j)
        tops[pile : pile + 1] = [j]
        ends[pile : pile + 1] = [number]
        before.append(ends[pile - 1] if pile else -1)
    chain = []
    at = ends[-1] if ends else -1
    while at >= 0:
        chain.append(pairs[at])
        at = before[at]
    return chain[::-1]


def _once(lines: Sequence[str], start: int, end: int) -> dict[str, int]:
    """Return line → place, of lines that stand once between *start* and *end*."""
    counts = Counter(lines[start:end])
    return {lines[i]: i for i in range(start, end) if counts[lines[i]] == 1}


def _joined(blocks: Sequence[Match]) -> Iterator[Match]:
    """Yield *blocks* with neighbors made one."""
    whole: Match | None = None
    for block in blocks:
        if whole is not None and (whole.a + whole.size, whole.b + whole.size) == (block.a, block.b):
            whole = Match(whole.a, whole.b, whole.size + block.size)
            continue
        if whole is not None:
            yield whole
        whole = block
    if whole is not None:
        yield whole
