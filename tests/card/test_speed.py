"""Filling takes work in proportion to the card, whatever stands in it: steps of Python are counted, not seconds.

What steps cannot show (a slow regular expression, copies of long strings) is measured in
benchmarks/fill_card.py.
"""

from __future__ import annotations

import contextlib

import pytest

from autocard.card.fact import Fact
from autocard.card.fill.fill import fill
from autocard.errors import CardError
from support.counting import steps

FACTS = {
    name: Fact(f"{name} line", f"{name}\n\n- block")
    for name in ("hours_used", "results", "energy", "software")
}

PIECES = {
    "headings": "## Section\n\nWords.\n\n",
    "labelled lines": "- **Label:** value\n",
    "labels without end": "- **Label\n",
    "loose labels": "**Label:** value\n\n",
    "empty labels": "**Label:**\n\n",
    "asking labels": "- **Hours used:** [More Information Needed]\n",
    "rows": "| label | value |\n",
    "pipes": "|||||||||\n",
    "one long line": "words and words ",
    "brackets": "[" * 40 + "\n",
    "braces": "{{ " * 20 + "\n",
    "stars": "*" * 39 + "a\n",
    "backticks": "`" * 11 + " ",
    "comments": "<!-- a -->\n\n",
    "opened comments": "<!-- a\n\n",
    "tags": "<div><b>\n\n",
    "quotes": "> " * 10 + "a\n",
    "numbers": "1. a\n",
    "placeholders": "[More Information Needed]\n\n",
    "same heading": "## Environmental Impact\n\n",
    "figures": "0.045 kg of CO2\n",
    "references": "[a]: b\n",
    "underlines": "a\n=\n",
    "versions": "- Transformers 5.0\n",
    "nested lists": "".join("  " * level + "- item\n" for level in range(9)),
    "deep lists": "".join("  " * level + "- item\n" for level in range(40)),
    "bullets": "- item\n",
}
FRONT = {
    "keys": ("a{n}: b\n", 500),
    "tags": ("- tag{n}\n", 500),
}


SMALL = 5_000
TIMES = 4
AT_MOST = 4.7
"""Four times the text may take 4.7 times the steps (n log n does); a quadratic step would take
sixteen."""


def body(name, size):
    piece = PIECES[name]
    lead = "# A\n\n" + ("| a | b |\n|---|---|\n" if name in ("rows", "pipes") else "")
    return lead + piece * (size // len(piece))


def front(name, count):
    piece, _ = FRONT[name]
    lead = "tags:\n" if name == "tags" else ""
    return "---\n" + lead + "".join(piece.format(n=n) for n in range(count)) + "---\n# A\n"


def filled(text):
    # Some are left alone, and that too without more work.
    with contextlib.suppress(CardError):
        fill(text, FACTS, {"tags": ["lora"]}, remembered={})


def growth(made):
    """Return how many times the steps of *made(1)* it takes to fill *made(TIMES)*."""
    filled(made(1))  # what is loaded once is loaded
    return steps(lambda: filled(made(TIMES))) / steps(lambda: filled(made(1)))


@pytest.mark.parametrize("name", PIECES)
def test_four_times_the_card_takes_about_four_times_the_steps(name):
    assert growth(lambda times: body(name, times * SMALL)) < AT_MOST


@pytest.mark.parametrize("name", FRONT)
def test_a_long_front_matter_takes_steps_in_proportion(name):
    count = FRONT[name][1]

    assert growth(lambda times: front(name, times * count)) < AT_MOST


@pytest.mark.timeout(60)  # a limit for what hangs, a hundred times what it takes
@pytest.mark.parametrize("name", PIECES)
def test_a_long_card_does_not_hang(name):
    filled(body(name, 120_000))


# -- the counting itself ---------------------------------------------------------------------------


def by_calls(size):
    for _ in range(size):
        for _ in range(size):
            str(1)


def by_comprehension(size):
    return [[1 for _ in range(size)] for _ in range(size)]


def by_generator(size):
    return sum(1 for _ in range(size * size))


@pytest.mark.parametrize("work", [by_calls, by_comprehension, by_generator])
def test_a_quadratic_step_shows_in_the_count(work):
    small, large = (steps(lambda size=size: work(size)) for size in (50, 200))

    assert large > 10 * small


def test_the_count_is_the_same_each_time():
    text = body("labelled lines", SMALL)
    filled(text)

    assert len({steps(lambda: filled(text)) for _ in range(3)}) == 1
