"""Lists and quotes inside each other, deeper than a person would write: what follows them is still read."""

from __future__ import annotations

import pytest

from autocard.card.fact import Fact
from autocard.card.fill.fill import fill
from autocard.errors import CardError

ASKED = "\n## Environmental Impact\n\n- **Hours used:** [More Information Needed]\n"
ANSWERED = "\n## Environmental Impact\n\n- **Hours used:** 12 h\n"


def bullets(depth):
    return "".join("  " * level + "- item\n" for level in range(depth))


def numbers(depth):
    return "".join("   " * level + "1. item\n" for level in range(depth))


def quotes(depth):
    return "> " * depth + "words\n"


DEEP = [(bullets, 12), (bullets, 45), (numbers, 12), (numbers, 45), (quotes, 30), (quotes, 90)]


@pytest.mark.parametrize(("nested", "depth"), DEEP)
def test_a_form_below_a_deep_structure_is_filled(nested, depth):
    filled = fill(
        "# A\n\n" + nested(depth) + ASKED, {"hours_used": Fact("12 h")}, {}, remembered={}
    )

    assert filled.text == "# A\n\n" + nested(depth) + ANSWERED


@pytest.mark.parametrize(("nested", "depth"), DEEP)
def test_a_section_that_is_added_below_a_deep_structure_is_found_again(nested, depth):
    facts = {"energy": Fact("1 kWh", "| Energy | kWh |\n| --- | --- |\n| GPUs | 1 |")}
    first = fill("# A\n\n" + nested(depth), facts, {}, remembered={})

    again = fill(first.text, facts, {}, remembered=first.slots)

    assert "1 |" in first.text
    assert again.text == first.text


@pytest.mark.parametrize(
    ("nested", "depth"), [(bullets, 60), (numbers, 200), (quotes, 101), (quotes, 5_000)]
)
def test_a_structure_that_is_too_deep_to_read_is_refused_with_the_reason(nested, depth):
    with pytest.raises(CardError, match="nested more than 50 deep"):
        fill("# A\n\n" + nested(depth) + ASKED, {"hours_used": Fact("12 h")}, {}, remembered={})
