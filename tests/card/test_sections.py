"""Cards whose sections a person has written: which heading is the title, and lists below any heading."""

from __future__ import annotations

import itertools
import re

import pytest

from autocard import AutoCardCallback
from autocard.card import fields
from autocard.card.fill.fill import fill
from support import records, training

FACTS = fields.facts(records.lora_on_cpu())
HEADINGS = [
    "Environmental Impact",
    "Training Data",
    "Training Procedure",
    "Training Hyperparameters",
    "Evaluation",
    "Results",
    "Technical Specifications",
    "Software",
    "Citation",
    "Words of our own",
]
BODIES = {
    "plain list": "- One GPU, some hours.",
    "two items": "- a\n- b",
    "task list": "- [ ] to do\n- [x] done",
    "nested list": "- a\n  - b\n    - c\n- d",
    "loose list": "- a\n\n- b",
    "list after a sentence": "We say:\n\n- a\n- b",
    "list right after a sentence": "We say:\n- a\n- b",
    "list before a sentence": "- a\n- b\n\nAnd so on.",
    "list of stars": "* a\n* b",
    "numbered list": "1. a\n2. b",
    "labels in bold": "- **Water:** 3 l\n- **Cats:** none",
    "plain labels": "- Training: one-off, about 5 GPU-hours.\n- Inference: half a second per image.",
    "paragraphs in an item": "- a\n  b\n\n  c",
    "code in an item": "- a\n\n      code",
    "fence in an item": "- a\n  ```\n  x\n  ```",
    "list in a quote": "> - a\n> - b",
    "comment below a list": "- a\n\n<!-- c -->",
    "comment in a list": "- a\n<!-- c -->",
    "indented list": "  - a\n  - b",
    "lazy line": "- a\nmore words",
    "lists of two kinds": "- a\n\n* b\n\n- c",
    "list with a fact": "- **Hours used:** 3 days\n- a note",
    "table": "| a | b |\n|---|---|\n| 1 | 2 |",
    "sentence": "Some words.",
}
FOLLOWING = ["", "\n## Ethics\n\nBe kind.\n", "\n### Below it\n\nMore.\n", "\n# Another\n\nMore.\n"]


def lines_lost(before, after):
    """Return the first line of *before* that does not stand in *after* in its order; None: all do."""
    at = 0
    for line in before.split("\n"):
        found = after.find(line, at)
        if found < 0:
            return line
        at = found + len(line)
    return None


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_persons_list_below_any_heading_is_filled_like_any_other_text(body):
    for heading, following in itertools.product(HEADINGS, FOLLOWING):
        card = f"# Small model\n\n## {heading}\n\n{body}\n{following}"

        first = fill(card, FACTS, {}, remembered={})
        second = fill(first.text, FACTS, {}, remembered=first.slots)

        assert "g CO2eq" in first.text, card
        assert lines_lost(card, first.text) is None, card
        assert (second.text, second.slots) == (first.text, first.slots), card


def test_a_persons_list_stays_as_tight_as_it_was():
    from markdown_it import MarkdownIt

    for body in ("- One GPU.", "- **Water:** 3 l\n- **Cats:** none", "- [ ] to do"):
        card = f"# A\n\n## Environmental Impact\n\n{body}\n\n## Ethics\n\nBe kind.\n"
        shown = MarkdownIt("commonmark").enable("table").render

        after = fill(card, FACTS, {}, remembered={}).text

        (theirs,) = shown(card).split("<ul>")[1:]
        assert f"<ul>{theirs.partition('</ul>')[0]}</ul>" in shown(after)


def test_a_training_fills_a_card_with_a_persons_list(tmp_path):
    head = "---\nlicense: mit\n---\n# Small model\n\n"
    card = head + "## Environmental Impact\n\n- One GPU, some hours.\n\n## Ethics\n\nBe kind.\n"
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "README.md").write_text(card, encoding="utf-8")

    training.trainer(
        folder, callbacks=[AutoCardCallback(country_iso_code="FRA")], max_steps=2
    ).train()

    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "- **Hardware Type:**" in text
    assert lines_lost(card.partition("---\n# ")[2], text) is None
    assert not (folder / "README.autocard.md").exists()


SECTIONS_FIRST = [
    "# Environmental Impact\n\nmine\n\n# Words\n",
    "# Results\n\nmine\n\n# My model\n",
    "# Results\n# Words\n",
    "# Evaluation\n\nmine\n\n# Words\n",
    "# Environmental Impact\n\n# Bert for cats\n\nIt finds cats.\n",
    "# Model Card Authors [optional]\n\nUs.\n\n# Model Card Contact\n\nUs.\n",
    "# Environmental Impact\n\nOur grid runs on hydropower.\n\n# Contact\n\nme\n",
    "# Results\n\n# GPU\n",
    "# Results\n\nmine\n",
    "# Results\n\n## Accuracy\n\nmine\n",
    "# Training Data\n\n- mine\n",
    "# Framework versions\n",
    "# Hyperparameters\n\n# Uses\n\nMany.\n",
    "Results\n=======\n\nmine\n",
    "Environmental Impact\n====================\n\nmine\n\nWords\n=====\n",
    "## Below\n\n# Evaluation\n\nmine\n",
    "Words first.\n\n# Technical Specifications\n",
]


@pytest.mark.parametrize("card", SECTIONS_FIRST)
def test_one_fill_is_enough_where_the_first_heading_is_a_sections(card):
    first = fill(card, FACTS, {}, remembered={})
    second = fill(first.text, FACTS, {}, remembered=first.slots)

    assert "| **Total at the devices** |" in first.text
    assert "g CO2eq" in first.text
    assert (second.text, second.slots) == (first.text, first.slots)
    assert lines_lost(card, first.text) is None


@pytest.mark.parametrize("card", SECTIONS_FIRST)
def test_the_summary_never_stands_below_the_heading_of_a_section(card):
    from autocard.card.markdown.document import Document

    filled = fill(card, FACTS, {}, remembered={})

    at = filled.text.find("A LoRA adapter for")
    document = Document(filled.text)
    below = document.sections[document.section_at(at)].path if at >= 0 else ()
    assert below in ((), ("Words",), ("My model",), ("Bert for cats",), ("GPU",))


def test_a_model_called_like_a_section_keeps_its_title():
    card = "# results\n\n## Model description\n\nMine.\n\n## Training procedure\n\nMine.\n"

    filled = fill(card, FACTS, {}, remembered={})

    assert "\n### Results\n" in filled.text
    assert "\n# " not in filled.text
    assert filled.text.startswith("# results\n\nA LoRA adapter for")


FOLDED = "<details><summary>Specifications</summary>\n\n## Model Architecture and Objective\n\nWords.\n\n</details>\n"
BOXED = '<div align="center">\n\n## News\n\nWords.\n\n</div>\n'
NESTED = "<div>\n\n<details open>\n\n## Evaluation\n\nNone yet.\n\n</details>\n\n</div>\n"
HTML_CARDS = {
    "folded below the impact": f"# M\n\n## Environmental Impact\n\nLittle.\n\n{FOLDED}",
    "folded, then a section": f"# M\n\n## Environmental Impact\n\nLittle.\n\n{FOLDED}\n## Contact\n\nMe.\n",
    "folded at the top": f"# M\n\n{FOLDED}\n## Training Details\n\nWords.\n",
    "boxed": f"# M\n\n## Training Data\n\nWords.\n\n{BOXED}",
    "one in the other": f"# M\n\n## Training Details\n\nWords.\n\n{NESTED}",
    "below labelled lines": f"# M\n\n### Environmental impact\n\nHours used: [More Information Needed]\n\n{FOLDED}",
    "below a quote": f"# M\n\n## Training\n\n* Rate:\n\n### Environmental impact\n\nLittle.\n\n> Words.\n\n{FOLDED}",
}


@pytest.mark.parametrize("name", HTML_CARDS)
def test_no_section_of_ours_stands_in_an_html_element_of_a_person(name):
    card = HTML_CARDS[name]

    text = fill(card, FACTS, {}, remembered={}).text

    theirs = card.split("\n")
    opened, inside, added = [], [], 0
    for line in text.split("\n"):  # each tag of these cards begins a line
        if re.match("<(div|details)", line):
            opened.append(line in theirs)
        elif re.match("</(div|details)>", line):
            opened.pop()
        elif line.strip() and line not in theirs:
            added += line.startswith("#")
            inside += [line] if any(opened) else []
    assert added > 3
    assert inside == []
