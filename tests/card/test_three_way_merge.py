"""Two edits of one card, made apart, both stand; where they meet, the first one's does, and that is told."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from autocard.card.three_way_merge import merge

BASE = """---
license: mit
tags:
- a
# about the language
language: no
---
# Title

First paragraph.

- **Hours used:** 1 h
- **Compute Region:** France

Last paragraph.
"""


def test_what_each_side_changed_alone_is_in_the_result():
    first = BASE.replace("First paragraph", "A person's first paragraph")
    second = BASE.replace("1 h", "2 h").replace("- a\n", "- a\n- b\n")

    merged = merge(BASE, first, second)

    assert merged.text == first.replace("1 h", "2 h").replace("- a\n", "- a\n- b\n")
    assert merged.conflicts == ()


def test_neighbouring_lines_changed_by_different_sides_are_no_conflict():
    merged = merge(BASE, BASE.replace("France", "Bretagne"), BASE.replace("1 h", "2 h"))

    assert merged.text == BASE.replace("France", "Bretagne").replace("1 h", "2 h")
    assert merged.conflicts == ()


def test_where_both_changed_a_line_the_first_stands_and_the_second_is_named():
    merged = merge(BASE, BASE.replace("1 h", "one hour"), BASE.replace("1 h", "2 h"))

    assert merged.text == BASE.replace("1 h", "one hour")
    assert merged.conflicts == ("- **Hours used:** 2 h",)


def test_where_both_changed_a_key_the_first_stands_and_the_key_is_named():
    merged = merge(BASE, BASE.replace("mit", "apache-2.0"), BASE.replace("mit", "gpl-3.0"))

    assert merged.text == BASE.replace("mit", "apache-2.0")
    assert merged.conflicts == ("license",)


def test_keys_added_on_both_sides_are_all_there_and_load():
    merged = merge(
        BASE,
        BASE.replace("---\n#", "datasets: x\n---\n#"),
        BASE.replace("---\n#", "metrics: y\n---\n#"),
    )

    front = yaml.safe_load(merged.text.split("---")[1])
    assert front == {
        "license": "mit",
        "tags": ["a"],
        "language": False,
        "datasets": "x",
        "metrics": "y",
    }
    assert "language: no" in merged.text
    assert "# about the language" in merged.text


def test_a_key_that_one_side_took_out_stays_out():
    without = BASE.replace("# about the language\nlanguage: no\n", "")

    assert merge(BASE, BASE.replace("1 h", "3 h"), without).text == without.replace("1 h", "3 h")


def test_front_matter_that_only_the_second_side_has_comes_in():
    body = BASE.partition("---\n#")[2]

    merged = merge(None, "#" + body, "---\nlicense: mit\n---\n#" + body)

    assert merged.text == "---\nlicense: mit\n---\n#" + body


def test_broken_front_matter_of_one_side_gives_way_to_none_of_the_other():
    broken = BASE.replace("license: mit", "license: [mit")

    assert merge(BASE, broken, BASE.replace("1 h", "2 h")).text == broken.replace("1 h", "2 h")


def test_without_a_common_past_nothing_of_either_side_is_lost():
    first = BASE.replace("Last paragraph.", "Last paragraph.\n\nFrom the first.")
    second = BASE.replace("First paragraph.", "First paragraph.\n\nFrom the second.")

    merged = merge(None, first, second)

    assert "From the first." in merged.text
    assert "From the second." in merged.text
    assert merged.conflicts == ()


LINES = st.lists(st.sampled_from(["a\n", "b\n", "# c\n", "\n", "- d\n", "e\n"]), max_size=12).map(
    "".join
)


@given(LINES, LINES)
def test_a_side_that_changed_nothing_gives_way(base, changed):
    assert merge(base, base, changed).text == changed
    assert merge(base, changed, base).text == changed


@given(LINES, LINES, LINES)
def test_equal_edits_are_taken_once_and_all_that_gave_way_is_named(base, first, second):
    assert merge(base, first, first).text == first

    merged = merge(base, first, second)
    gone = {line for line in second.splitlines() if line.strip()} - set(merged.text.splitlines())
    assert gone <= {line.strip() for line in merged.conflicts} | set(base.splitlines())


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_line_endings_stay(ending):
    base, first, second = (
        text.replace("\n", ending)
        for text in (BASE, BASE.replace("1 h", "2 h"), BASE.replace("mit", "bsd"))
    )

    merged = merge(base, first, second)

    assert merged.text == BASE.replace("1 h", "2 h").replace("mit", "bsd").replace("\n", ending)


def test_lines_that_both_put_in_at_one_place_stand_whole_though_single_lines_are_alike():
    base = "# A\n\nend\n"
    first = base.replace("end\n", "```c\nif (a) {\n  x\n}\n```\n\nend\n")
    second = base.replace("end\n", "```c\nif (b) {\n  y\n}\nif (c) {\n  z\n}\n```\n\nend\n")

    merged = merge(base, first, second)

    assert merged.text.count("}\n") >= 2
    assert all(part in merged.text for part in ("  x\n", "  y\n}\nif (c) {\n  z\n}\n"))


def test_paragraphs_that_both_put_in_at_one_place_stay_paragraphs():
    base = "# A\n"

    merged = merge(base, "# A\n\nOne.\n", "# A\n\nTwo.\n")

    assert merged.text == "# A\n\nOne.\n\nTwo.\n"
