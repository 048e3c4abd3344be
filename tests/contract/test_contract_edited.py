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


# -- how much is written, and back -----------------------------------------------------------------


CHOICES = [
    ("--detail", "full"),
    ("--detail", "brief"),
    ("--sections", "environment"),
    ("--detail", "standard", "--sections", "all"),
]
"""Options of `autocard fill`, one after another; the last ones are those of a new card."""


def chosen(name: str, card: str, folder: Path) -> list[str]:
    """Return *card*, of the record *name*, filled as it is, and then by each of `CHOICES`."""
    run = folder / "run"
    shutil.copytree(HERE / "records" / name, run)
    (run / "README.md").write_text(card, encoding="utf-8", newline="")
    found = []
    for options in ((), *CHOICES):
        assert surface.command("fill", str(run), *options)[0] == 0
        found.append((run / "README.md").read_bytes().decode())
        assert surface.command("fill", str(run))[0] == 0
        assert (run / "README.md").read_bytes().decode() == found[-1], options
    return found


def folded_edits(card: str) -> tuple[str, list[str]]:
    """Write sentences into the texts of *card* that are folded today: energy, versions, FLOPs."""
    sentences = []
    for number, words in enumerate(
        ["How sure this is:", "- Floating-point operations:", "- Python ", "What is counted:"]
    ):
        sentence = f"Sentence {number} inside: 3 h, *mine* | 7 kWh."
        if words in card:
            card = card.replace(words, f"{sentence}\n\n{words}", 1)
            sentences.append(sentence)
    return card, sentences


@pytest.mark.parametrize("name", WITH_CARD)
def test_words_of_a_person_stay_whatever_is_chosen_and_all_of_ours_comes_back(name, tmp_path):
    card, sentences = with_sentences(written(name), every=4, first=1)

    first, *others, last = chosen(name, card, tmp_path)

    for after in (first, *others, last):
        assert [line for line in after.split("\n") if line.startswith("Sentence ")] == sentences
    lost = set(first.split("\n")) - set(last.split("\n")) - {"<!-- -->", "not known for this run"}
    assert [line for line in lost if not line.startswith("#")] == []


@pytest.mark.parametrize("name", WITH_CARD)
def test_values_of_a_person_stay_whatever_is_chosen(name, tmp_path):
    card, values = own_values(written(name))

    for after in chosen(name, card, tmp_path):
        assert re.findall(r"(?m)^- \*\*[^*\n]+:\*\* (value \d+ of a person)$", after) == values


@pytest.mark.parametrize("name", ["measured", "gpus", "two-hosts", "lora"])
def test_a_sentence_in_a_text_that_is_folded_today_stays_with_the_lines_around_it(name, tmp_path):
    card, sentences = folded_edits(written(name))

    for after in chosen(name, card, tmp_path):
        for sentence in sentences:
            assert f"\n{sentence}\n" in after
    assert len(sentences) >= 2


@pytest.mark.parametrize("name", ["measured", "two-hosts", "dpo-lora"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_card_written_by_hand_is_the_same_to_the_byte_between_our_sections(name, end, tmp_path):
    own = (
        "---\nlicense: mit # mine\n---\n\n# My model\n\nA model of *mine*.\n\n## How I trained it\n\n"
        "| GPU | Hours | CO2 |\n|---|---|---|\n| A100 | 3 | 300 g |\n\n\n## Limits\n\nMany.\n"
    ).replace("\n", end)
    run = tmp_path / "run"
    run.mkdir()
    (run / "README.md").write_bytes(own.encode())
    record = tmp_path / "autocard.json"
    record.write_bytes((HERE / "records" / name / "autocard.json").read_bytes())
    body = own.split(f"{end}---{end}", 1)[1]

    for options in [(), *CHOICES, ("--detail", "brief")]:
        command = ("fill", str(run), "--record", str(record), *options)
        assert surface.command(*command)[0] == 0
        after = (run / "README.md").read_bytes().decode()
        for line in body.split(end):
            assert line in after.split(end)

    added = len(after.split(end)) - len(own.split(end))
    assert 0 < added <= 15
    assert surface.command("remove", str(run / "README.md"))[0] == 0
    assert (run / "README.md").read_bytes().decode() == own


def test_tags_of_an_earlier_run_do_not_come_back(tmp_path):
    run, full = tmp_path / "run", HERE / "records" / "full-fine-tuning" / "autocard.json"
    shutil.copytree(HERE / "records" / "lora", run)
    assert "- lora\n" in (run / "README.md").read_text(encoding="utf-8")

    for options in (("--record", str(full)), (), ("--detail", "brief"), ("--detail", "standard")):
        assert surface.command("fill", str(run), *options)[0] == 0

        assert "- lora\n" not in (run / "README.md").read_text(encoding="utf-8")
