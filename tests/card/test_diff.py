"""Comparing two texts by lines takes bounded time for any text, and finds what difflib finds in ordinary ones."""

from __future__ import annotations

import difflib
import time

import pytest

from autocard.card.diff import likeness, matching_blocks
from autocard.card.three_way_merge import merge

BASE = [f"line {i}\n" if i % 3 else "\n" for i in range(600)]


def moved(lines):
    return [lines[i * 7919 % len(lines)] for i in range(len(lines))]


def numbered(count):
    return [f"{i}\n" for i in range(count)]


HOSTILE = {
    "blank lines at the end": (BASE, [*BASE, *["\n"] * 1_900_000, "an edit\n"]),
    "blank lines in the middle": (
        BASE,
        [*BASE[:300], *["\n"] * 1_900_000, "an edit\n", *BASE[301:]],
    ),
    "blank lines in both": ([*["\n"] * 500_000, "a\n"], ["b\n", *["\n"] * 400_000]),
    "two lines in turn": (["a\n", "b\n"] * 200_000, ["b\n", "b\n", "a\n"] * 200_000),
    "lines turned round": (numbered(50_000), numbered(50_000)[::-1]),
    "lines shuffled": (numbered(50_000), moved(numbered(50_000))),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_makes_a_comparison_take_more_than_some_seconds_of_computing(name):
    first, second = HOSTILE[name]
    begin = time.process_time()

    blocks = matching_blocks(first, second)

    assert time.process_time() - begin < 8
    assert all(first[a : a + size] == second[b : b + size] for a, b, size in blocks)
    ends = [(a + size, b + size) for a, b, size in blocks]
    assert all(
        a <= block.a and b <= block.b for (a, b), block in zip(ends, blocks[1:], strict=False)
    )
    assert tuple(blocks[-1]) == (len(first), len(second), 0)


def test_ordinary_texts_are_compared_as_difflib_does():
    second = [*BASE[:50], "new\n", *BASE[70:300], *BASE[310:]]

    matcher = difflib.SequenceMatcher(None, BASE[:300], second[:280], autojunk=False)

    assert matching_blocks(BASE[:300], second[:280]) == matcher.get_matching_blocks()
    assert likeness(BASE[:300], second[:280]) == matcher.ratio()


def test_in_a_long_text_an_edit_is_found_line_by_line():
    long = [f"line {i}\n" if i % 3 else "\n" for i in range(30_000)]
    second = [*long[:10_000], "new\n", *long[10_000:20_000], *long[20_001:]]

    blocks = matching_blocks(long, second)

    assert sum(block.size for block in blocks) == len(long) - 1


def test_edits_of_both_sides_stand_in_a_card_with_two_million_blank_lines():
    base = "".join(BASE)
    first = base + "\n" * 1_900_000 + "an edit\n"
    second = base.replace("line 100\n", "line 100, changed\n")
    begin = time.process_time()

    merged = merge(base, first, second)

    assert time.process_time() - begin < 20
    assert merged.text.endswith("\nan edit\n")
    assert "line 100, changed\n" in merged.text
    assert merged.conflicts == ()
