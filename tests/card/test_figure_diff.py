"""Counts and metrics that were edited on a card, or came with a copy, are found; what says the same is not."""

from __future__ import annotations

import itertools
import re

import pytest

from autocard.card import fields
from autocard.card.check.check import check
from autocard.card.check.figure_diff import differences
from autocard.card.fill.new_card import SHIPPED
from autocard.card.update import update
from support import records

RECORDS = {
    "lora": records.lora_on_cpu,
    "gpus": records.three_legs_on_gpus,
    "nothing": records.nothing_measured,
}


@pytest.fixture
def card(tmp_path):
    update(tmp_path / "README.md", records.lora_on_cpu())
    return tmp_path / "README.md"


EDITS = {
    "Total train batch size: 32": ("Total train batch size: 512", "total_batch_size"),
    "Training length: 150 optimizer": (
        "Training length: 1,500 optimizer",
        "training_hyperparameters",
    ),
    "optimizer steps (3 epochs)": ("optimizer steps (30 epochs)", "training_hyperparameters"),
    "learning rate 0.002": ("learning rate 0.02", "training_hyperparameters"),
    "hidden size 384": ("hidden size 768", "model_specs"),
    "- Parameters: 23.0 M (23,038,122)": ("- Parameters: 99 M (23,038,122)", "parameters"),
    "1,600 rows": ("16,000 rows", "training_data"),
    "| accuracy | 0.8525 |": ("| accuracy | 0.9925 |", "results"),
    "| 3 | 150 | 0.5123 | 0.8525 |": ("| 3 | 150 | 0.5123 | 0.9925 |", "results"),
}


@pytest.mark.parametrize("was", EDITS)
def test_a_figure_that_somebody_changed_on_the_card_is_told_with_its_line(card, was):
    now, fact = EDITS[was]
    text = card.read_text(encoding="utf-8")
    assert text.count(was) == 1
    card.write_text(text.replace(was, now), encoding="utf-8")

    (wrong,) = check(card, records.lora_on_cpu()).contradictions

    assert wrong.slot == fact
    assert now.strip("- ") in wrong.there or wrong.there.partition(" in ")[0] in now
    assert now.strip("- ") in card.read_text(encoding="utf-8").splitlines()[wrong.line - 1]


SAME = {
    "Total train batch size: 32": "Batch size: 32 (4 on each of 8 devices)",
    "- Parameters: 23.0 M (23,038,122) in total, 324,906 trained (1.4 %)": "- Parameters: about 23M",
    "| accuracy | 0.8525 |": "| accuracy | 85.3 % |",
    "| loss | 0.5123 |": "| loss | 0.51 |",
    "1,600 rows": "1,600 rows (of 10 million, drawn at random)",
    "- Seed: 42": "- Seed: 42 (and 43 and 44 in two runs more)",
    "(learning rate 0.002, betas (0.9, 0.999), epsilon 1e-8)": "(2e-3)",
    "150 optimizer steps (3 epochs)": "3 epochs, evaluated every 50 training steps",
}


@pytest.mark.parametrize("was", SAME)
def test_the_same_said_in_other_words_is_no_contradiction(card, was):
    text = card.read_text(encoding="utf-8")
    assert was in text
    card.write_text(text.replace(was, SAME[was]), encoding="utf-8")

    assert check(card, records.lora_on_cpu()).contradictions == []


@pytest.mark.parametrize("name", RECORDS)
def test_no_text_of_ours_denies_another_of_the_same_record(name):
    for fact, texts in fields.facts(RECORDS[name]()).items():
        for a, b in itertools.product({texts.line, texts.body()}, repeat=2):
            assert differences(fact, a, b) == []


@pytest.mark.parametrize("template", [None, *SHIPPED])
@pytest.mark.parametrize("name", RECORDS)
def test_a_card_of_ours_that_nobody_remembers_denies_nothing(tmp_path, name, template):
    record = RECORDS[name]()
    update(tmp_path / "README.md", record, template=template)
    (tmp_path / "autocard.json").unlink()

    assert check(tmp_path / "README.md", record).contradictions == []


def test_a_card_that_was_copied_without_its_record_is_told_slot_by_slot(card, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "README.md").write_text(card.read_text(encoding="utf-8"), encoding="utf-8")
    other = records.three_legs_on_gpus()

    found = check(copy / "README.md", other).contradictions

    told = {one.slot for one in found}
    assert {
        "hours_used",
        "model_specs",
        "training_hyperparameters",
        "training_data",
        "total_energy",
    } <= told
    assert any("hidden size 384" in one.there and "4,096" in one.record for one in found)


@pytest.mark.parametrize(
    "piece", ["1", "1,000", "a: 1\n", "| a | 1 |\n", "1 batch size ", "1.", "x 1;", "|" * 9, "-1e"]
)
def test_hostile_texts_are_compared_in_no_time(piece):
    assert isinstance(differences("results", piece * 50_000, "| a | 2 |\n" * 1000), list)


def test_a_count_on_a_line_of_its_own_is_compared_as_it_stands():
    record = records.lora_on_cpu()
    known = fields.facts(record)["parameters"].line
    assert re.search(r"23,038,122", known)

    assert differences("parameters", "110M", known)
    assert not differences("parameters", "23 million", known)
    assert not differences("parameters", "see the paper", known)


def test_of_several_data_sets_each_metric_is_compared_with_its_own():
    rows = [
        "| Data | Metric | Value |",
        "| --- | --- | ---: |",
        "| a | loss | 0.7 |",
        "| a | f1 | 0.5000 |",
    ]
    ours = "\n".join([*rows, "| b | f1 | 0.99 |", ""])

    (found,) = differences("results", ours.replace("0.5000", "0.99"), ours)

    assert found.theirs == "| a | f1 | 0.99 |"
