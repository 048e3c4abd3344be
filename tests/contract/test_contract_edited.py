"""Cards of 0.1.0 that people edited keep every word of theirs when this version fills them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import surface

HERE = Path(__file__).parent
WITH_CARD = sorted(card.parent.name for card in (HERE / "records").glob("*/README.md"))

BLOCK = re.compile(r"(?s)<!--.*?-->|```.*?```|<details>.*?</details>|\A---\n.*?\n---\n")
"""Where a sentence of a person would be no paragraph: comments, code, folded text, front matter."""


def gaps(card: str) -> list[int]:
    """Return the places between two blocks of *card*, where a person could write a paragraph."""
    blocks = [found.span() for found in BLOCK.finditer(card)]
    ends = [found.start() + 1 for found in re.finditer(r"\n\n(?=\S)", card)]
    return [end for end in ends if not any(start <= end < stop for start, stop in blocks)]


def with_sentences(card: str, every: int, first: int) -> tuple[str, list[str]]:
    """Write a paragraph into each *every*-th gap of *card*, from *first* on."""
    sentences = []
    for number, place in reversed(list(enumerate(gaps(card)))):
        if number % every == first:
            sentence = f"Sentence {number} of a person: 7 h, *not* `ours` | 12 kWh."
            card = f"{card[:place]}\n{sentence}\n{card[place:]}"
            sentences.insert(0, sentence)
    return card, sentences


def own_values(card: str) -> tuple[str, list[str]]:
    """Put a person's value into each labelled line of *card* that the training filled."""
    values: list[str] = []

    def replaced(found: re.Match[str]) -> str:
        values.append(f"value {len(values)} of a person")
        return f"{found[1]} {values[-1]}"

    # "- **Hours used:** 3 h"; lines within comments begin with "<!--"
    return re.sub(r"(?m)^(- \*\*[^*\n]+:\*\*) .*$", replaced, card), values


def filled(name: str, card: str, folder: Path) -> str:
    """Return *card*, of the record *name*, after `autocard fill`; a second one changes nothing."""
    run = folder / "run"
    shutil.copytree(HERE / "records" / name, run)
    (run / "README.md").write_text(card, encoding="utf-8", newline="")
    assert surface.command("fill", str(run))[0] == 0
    once = (run / "README.md").read_text(encoding="utf-8")
    assert surface.command("fill", str(run))[0] == 0
    assert (run / "README.md").read_text(encoding="utf-8") == once
    return once


def written(name: str) -> str:
    return (HERE / "records" / name / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("first", range(3))
@pytest.mark.parametrize("name", WITH_CARD)
def test_every_paragraph_that_a_person_wrote_stays_in_its_order(name, first, tmp_path):
    card, sentences = with_sentences(written(name), every=3, first=first)

    after = filled(name, card, tmp_path)

    found = [line for line in after.split("\n") if line.startswith("Sentence ")]
    assert len(sentences) >= 5
    assert found == sentences


@pytest.mark.parametrize("name", WITH_CARD)
def test_every_value_that_a_person_wrote_stays_at_its_label(name, tmp_path):
    card, values = own_values(written(name))
    labels = re.findall(r"(?m)^- \*\*([^*\n]+:)\*\* (value \d+ of a person)$", card)

    after = filled(name, card, tmp_path)

    assert len(values) >= 3
    assert re.findall(r"(?m)^- \*\*([^*\n]+:)\*\* (value \d+ of a person)$", after) == labels


@pytest.mark.parametrize("name", WITH_CARD)
def test_front_matter_of_a_person_stays(name, tmp_path):
    own = "license: mit  # as agreed\nlanguage: [en, de]\nwidget:\n- text: 'A | text: # of mine'\n"
    card = written(name).replace("---\n", f"---\n{own}", 1)

    after = filled(name, card, tmp_path)

    assert after.startswith(f"---\n{own}")
