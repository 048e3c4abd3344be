"""How much of a card a reader sees: words outside comments and closed folds, and what stands open."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from autocard.card.update import update
from autocard.energy.host.codecarbon_reader import CodeCarbonInfo
from autocard.energy.ledger import source_words
from autocard.record import load
from support import TESTS, records

RECORDS = sorted(folder.name for folder in (TESTS / "contract" / "records").iterdir())
MOST_WORDS = 600
FRONT = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


class Visible(HTMLParser):
    """Collects the words that a browser shows: of a closed fold, its summary alone."""

    def __init__(self):
        super().__init__()
        self.words, self._folds, self._in_summary = [], [], 0

    def handle_starttag(self, tag, attrs):
        if tag == "details":
            self._folds.append("open" in dict(attrs))
        self._in_summary += tag == "summary"

    def handle_endtag(self, tag):
        if tag == "details":
            self._folds.pop()
        self._in_summary -= tag == "summary"

    def handle_data(self, data):
        inside = self._folds[:-1] if self._in_summary else self._folds
        if all(inside):
            self.words += data.split()


def visible(card: str) -> list[str]:
    """Return the words that a reader of *card* sees without opening anything."""
    page = Visible()
    page.feed(MarkdownIt("gfm-like", {"linkify": False}).render(FRONT.sub("", card)))
    page.close()
    return page.words


def card_of(folder, record, **options) -> str:
    return update(folder / "README.md", record, **options).text


def test_the_counter_counts_what_is_shown():
    card = (
        "---\na: b\n---\n# One two\n\n<!-- not this -->\n\n<details>\n<summary>three</summary>\n\n"
        "| not | this |\n|---|---|\n| nor | this |\n\n</details>\n\n<details open>\n"
        "<summary>four</summary>\n\n- five\n\n</details>\n\nsix `seven`\n"
    )

    assert visible(card) == ["One", "two", "three", "four", "five", "six", "seven"]


@pytest.mark.parametrize("name", RECORDS)
def test_a_card_of_a_default_run_has_at_most_600_visible_words(name, tmp_path):
    words = visible(card_of(tmp_path, load(TESTS / "contract" / "records" / name)))

    assert 100 < len(words) <= MOST_WORDS


def test_a_longer_run_with_an_evaluation_has_at_most_600_visible_words_too(tmp_path):
    assert len(visible(card_of(tmp_path, records.lora_on_cpu()))) <= MOST_WORDS


def test_the_run_is_summed_up_in_one_row_below_the_first_sentence(tmp_path):
    card = card_of(tmp_path, records.three_legs_on_gpus())

    above, _, below = card.partition("| Base model | Method | Hardware | GPU-hours |")
    assert "## " not in FRONT.sub("", above).partition("# ")[2]
    row = below.splitlines()[2]
    # 21.3 kWh in 99.2 GPU-hours
    assert "| 99.2 | 215 W | 25.1 kWh | 1.41 kg |" in row
    assert "2 nodes × 4 × NVIDIA A100-SXM4-80GB" in row


def test_a_run_without_a_gpu_has_hours_and_no_power(tmp_path):
    card = card_of(tmp_path, load(TESTS / "contract" / "records" / "no-place"))

    assert "| Method | Hardware | Wall-clock time | Energy | CO2eq |" in card
    assert re.search(r"\| 5\.1\d* s \| 0\.000061 kWh \| not known \|", card)
    assert "Mean power" not in card


def test_what_is_in_doubt_stands_open(tmp_path):
    record = load(TESTS / "contract" / "records" / "gpus")

    shown = " ".join(visible(card_of(tmp_path, record)))

    assert "The CPU figure rests on a guess" in shown
    assert "0.102 g CO2eq (location-based, 56.0 g/kWh, France 2023)" in shown
    assert "NVML energy counters" not in shown
    assert "Fischer 2025" not in shown


UNKNOWN_CPU = CodeCarbonInfo(cpu_mode="cpu_load", cpu_power_w=8.0, cpu_known=False)


@pytest.mark.parametrize(
    "source",
    [source_words.of_codecarbon(UNKNOWN_CPU, "cpu"), "modelled: CodeCarbon, load × 8 W (a guess)"],
    ids=["today", "0.1.0"],
)
def test_a_guessed_power_stands_open_in_the_words_of_every_version(tmp_path, source):
    record = records.lora_on_cpu()
    sources = {**record.energy.sources, "cpu": source}
    energy = record.energy.model_copy(update={"sources": sources})

    shown = " ".join(visible(card_of(tmp_path, record.model_copy(update={"energy": energy}))))

    assert "The CPU figure rests on a guess" in shown
    assert "rests on a guess" not in " ".join(visible(card_of(tmp_path / "known", record)))
