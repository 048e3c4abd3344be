"""Names with pipes and metrics of extreme size, as a renderer of Markdown shows the card that a training writes."""

from __future__ import annotations

import contextlib
import io
import re

import pytest
from markdown_it import MarkdownIt
from transformers import Trainer

from autocard import AutoCardCallback
from autocard.card import fact
from support import training

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")

NAME = "out of|domain"
TINY = 1e-300
HUGE = 2.5e80


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "out"
    ours = AutoCardCallback(base_model="org/base", emissions=False)
    with contextlib.redirect_stdout(io.StringIO()):
        trainer = Trainer(
            model=training.bert(),
            args=training.arguments(folder, max_steps=2),
            train_dataset=training.dataset(8),
            eval_dataset={NAME: training.dataset(8, 1), "plain": training.dataset(8, 2)},
            compute_metrics=lambda _: {"small": TINY, "large": HUGE, "a|b": 0.5},
            callbacks=[ours],
        )
        trainer.train()
        trainer.evaluate()
    return re.sub(r"\A---\n.*?\n---\n", "", (folder / "README.md").read_text(), flags=re.DOTALL)


def shown_code(text):
    """Return (what each code span shows, whether it is in a table)."""
    in_table, found = False, []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        in_table = token.type == "table_open" or (in_table and token.type != "table_close")
        found += [
            (child.content, in_table)
            for child in token.children or []
            if child.type == "code_inline"
        ]
    return found


def test_a_name_with_a_pipe_is_shown_as_it_is_in_and_outside_of_tables(card):
    spans = [(text, in_table) for text, in_table in shown_code(card) if "domain" in text]

    assert {text for text, _ in spans} == {NAME}
    assert {in_table for _, in_table in spans} == {True, False}
    assert "a|b" in {text for text, _ in shown_code(card)}
    assert not [text for text, _ in shown_code(card) if "\\" in text]


def test_all_rows_of_a_table_with_pipes_in_names_have_the_columns_of_its_head(card):
    rows, cells = [], 0
    for token in MarkdownIt("commonmark").enable("table").parse(card):
        cells = 0 if token.type == "tr_open" else cells + (token.type in ("td_open", "th_open"))
        if token.type == "tr_close":
            rows.append(cells)
    lines = [
        line
        for line in card.splitlines()
        if line.startswith("|") and not re.fullmatch(r"[|: -]+", line)
    ]

    assert [len(re.split(r"(?<!\\)\|", line)) - 2 for line in lines] == rows


def test_a_metric_of_extreme_size_is_shown_with_a_power_of_ten_and_keeps_its_value(card):
    powers = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    said = [
        float(f"{one}e{power.translate(powers)}")
        for one, power in re.findall(r"(\d\.\d+) × 10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", card)
    ]

    assert {TINY, HUGE} <= set(said)
    assert not re.search(r"0{9}|(?:,000){5}", card)


@pytest.mark.parametrize("name", ["a|b", "`|`", "a\\|b", "||", "a``|b`c", "\\", "|\\"])
def test_a_code_span_in_a_cell_shows_the_name(name):
    table = f"| x | y |\n|---|---|\n| {fact.cell(fact.code(name))} | z |\n"

    assert shown_code(table) == [(name, True)]
    assert shown_code(f"{fact.code(name)}\n") == [(name, False)]
