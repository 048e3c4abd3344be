"""Filling takes time in proportion to the card, whatever stands in it."""

from __future__ import annotations

import contextlib
import time

import pytest

from autocard.card.fact import Fact
from autocard.card.fill import fill
from autocard.errors import CardError

FACTS = {name: Fact(f"{name} line", f"{name}\n\n- block") for name in ("hours_used", "results", "energy", "software")}

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
}
FRONT = {
    "keys": ("a{n}: b\n", 5_000),
    "tags": ("- tag{n}\n", 5_000),
}


def seconds(text, **how):
    start = time.process_time()
    # Some are left alone, and that too in time.
    with contextlib.suppress(CardError):
        fill(text, FACTS, {"tags": ["lora"]}, remembered={}, **how)
    return time.process_time() - start


@pytest.mark.parametrize("name", PIECES)
def test_twice_the_card_takes_about_twice_the_time(name):
    piece = PIECES[name]
    lead = "# A\n\n" + ("| a | b |\n|---|---|\n" if name in ("rows", "pipes") else "")
    small, large = (lead + piece * (size // len(piece)) for size in (30_000, 120_000))

    first = min(seconds(small) for _ in range(2))
    second = seconds(large)

    # Four times the text: a quadratic step somewhere would show as sixteen.
    assert second < max(0.6, 11 * first), f"{first:.2f} s, then {second:.2f} s"


@pytest.mark.parametrize("name", FRONT)
def test_a_long_front_matter_takes_time_in_proportion(name):
    piece, size = FRONT[name]
    lead = "tags:\n" if name == "tags" else ""

    def card(size):
        return "---\n" + lead + "".join(piece.format(n=n) for n in range(size // 8)) + "---\n# A\n"

    first = seconds(card(size))
    second = seconds(card(4 * size))

    assert second < max(0.6, 11 * first), f"{first:.2f} s, then {second:.2f} s"
