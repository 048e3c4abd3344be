"""How `check` prints what it found: the verdict first, groups, one line each, in 80 columns."""

from __future__ import annotations

import pytest

from autocard.card.check import check_text
from autocard.card.check.check import check
from autocard.card.update import update
from support import records

RECORD = records.lora_on_cpu()


def printed(card, text=None, record=RECORD):
    if text is not None:
        card.write_text(text, encoding="utf-8")
    found = check(card, record)
    has_record = record is not None
    return list(check_text.lines("README.md", found, strict=False, has_record=has_record))


@pytest.fixture
def card(tmp_path):
    return tmp_path / "README.md"


def test_the_verdict_of_a_filled_card_is_up_to_date_and_counts_what_is_for_people(card):
    update(card, RECORD)

    first = printed(card)[0]

    assert first.startswith("README.md: up to date; ")
    assert first.endswith(" lines for you to write")


def test_the_verdict_counts_each_kind_with_its_plural(card):
    update(card, RECORD)
    text = card.read_text(encoding="utf-8")
    text = text.replace("---\n", "---\nlicense: MIT License\nlicence: x\nlang: en\n", 1)
    text = text.replace("**Hours used:** 18 min 04 s wall-clock (no GPU)", "**Hours used:** 300 h")

    first = " ".join(" ".join(printed(card, text)[:2]).split())

    assert "1 line contradicts the record, 1 refused by the Hub, 2 not read by the Hub" in first


@pytest.mark.parametrize("record", [RECORD, None])
def test_each_line_is_within_80_columns(card, record):
    long = "a very long text of a person " * 9
    text = f"---\nlanguage: zh-CN\n---\n# M\n\n- **Hours used:** 300 h {long}\n- **Developed by:** [Insert {long}]\n"

    lines = printed(card, text, record)

    assert max(map(len, lines)) <= 80
    assert "`language_bcp47: zh-CN` for the rest" in " ".join(" ".join(lines).split())


def test_bibtex_is_asked_for_once(card):
    update(card, RECORD)

    lines = printed(card)

    assert sum("BibTeX" in line for line in lines) == 1


FORM = "# M\n\n- **Видеокарта:** A\n- **Длительность:** B\n- **Выбросы:** C\n"


def test_a_form_whose_labels_are_unknown_is_named_with_what_helps(card):
    text = " ".join(" ".join(printed(card, FORM)).split())

    assert "none of its own labels is known" in text
    assert "autocard.labels.yaml" in text
    assert "Видеокарта" in text


def test_a_form_with_one_known_label_is_no_unknown_form(card):
    text = " ".join(printed(card, FORM + "- **Hours used:** 18 min\n"))

    assert "labels is known" not in text
