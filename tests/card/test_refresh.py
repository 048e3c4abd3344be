"""Facts that come and go between two fills: no empty headings, no bare labels, no line left out."""

from __future__ import annotations

import itertools

import pytest

from autocard.card import fields
from autocard.card.fact import Fact
from autocard.card.fill import new_card
from autocard.card.fill.fill import fill
from autocard.card.fill.hidden_slots import hide
from autocard.card.form.label_files import load
from autocard.card.update import update
from support import records

IMPACT = {
    "hardware_type": Fact("one GPU"),
    "hours_used": Fact("12 h"),
    "cloud_region": Fact("France"),
    "co2_emitted": Fact("1 kg"),
}
ENERGY = {"energy": Fact("1 kWh", "| Energy | kWh |\n| --- | --- |\n| GPUs | 1 |")}
DEEP = {
    "results": Fact("r", "- accuracy 0.9"),
    "testing_metrics": Fact("m", "- accuracy"),
    "software": Fact("s", "- torch 2"),
    "compute_infrastructure": Fact("one node"),
    "framework_versions": Fact("v", "- PEFT 0.21.2"),
}
EVERYTHING = {**IMPACT, **ENERGY, **DEEP}

CARDS = [
    "# A\n\nWords.\n",
    "# A\n\nWords.",
    "# A\n\nWords.\n\n\n## Citation\n\nCite us.\n",
    "# A\r\n\r\nWords.\r\n\r\n## Uses\r\n\r\nMany.\r\n",
    "A\n=\n\n## Evaluation\n\nGood.\n\n## Model Card Contact\n\nUs.\n",
]


def filled(text, facts, remembered=None, **how):
    return fill(text, facts, {}, remembered=remembered or {}, **how)


@pytest.mark.parametrize("card", CARDS)
def test_what_we_added_goes_as_a_whole_when_none_of_it_is_known_any_more(card):
    first = filled(card, EVERYTHING)

    second = filled(first.text, {}, first.slots)

    assert "## Environmental Impact" in first.text or "Environmental Impact\n--" in first.text
    assert second.text.replace("\r", "").rstrip("\n") == card.replace("\r", "").rstrip("\n")
    assert second.slots == {}


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize(
    "left", [["hours_used"], ["energy"], ["cloud_region", "software"], ["results", "co2_emitted"]]
)
def test_a_card_after_facts_went_is_the_card_that_never_had_them(card, left):
    some = {name: EVERYTHING[name] for name in left}
    first = filled(card, EVERYTHING)

    second = filled(first.text, some, first.slots)

    assert second.text.rstrip() == filled(card, some).text.rstrip()


@pytest.mark.parametrize("card", CARDS)
def test_a_line_that_our_section_lacks_is_added_in_its_order(card):
    whole = filled(card, {**IMPACT, **ENERGY})

    for names in itertools.chain.from_iterable(
        itertools.combinations(IMPACT, number) for number in (1, 2, 3)
    ):
        some = filled(card, {**ENERGY, **{name: IMPACT[name] for name in names}})
        assert filled(some.text, {**IMPACT, **ENERGY}, some.slots).text == whole.text


def test_a_persons_words_below_our_heading_keep_the_heading():
    first = filled("# A\n\nWords.\n", {**IMPACT, **ENERGY})
    edited = first.text.replace("| GPUs | 1 |\n", "| GPUs | 1 |\n\nOur grid is hydropower.\n")

    second = filled(edited, {}, first.slots)

    assert second.text == "# A\n\nWords.\n\n## Environmental Impact\n\nOur grid is hydropower.\n"


def test_a_persons_line_among_ours_stays():
    first = filled("# A\n\nWords.\n", IMPACT)
    edited = first.text.replace("- **Compute", "- **Water:** 3 l\n- **Compute")

    second = filled(edited, {}, first.slots)

    assert second.text == "# A\n\nWords.\n\n## Environmental Impact\n\n- **Water:** 3 l\n"


def test_a_heading_of_a_person_is_never_taken_for_ours():
    card = "# A\n\n## Environmental Impact\n\n## Citation\n"
    first = filled(card, IMPACT)

    second = filled(first.text, {}, first.slots)

    assert "## Environmental Impact" in second.text


def test_a_slot_of_a_persons_form_says_that_its_fact_is_not_known_and_takes_it_again():
    form = "- **Hours used:** [More Information Needed]\n\n| a | b |\n|---|---|\n| Region of training | |\n"
    form += "\n## Training Data\n\n...\n"
    data = {"hours_used": Fact("12 h"), "training_data": Fact("rows", "- rows")}
    first = filled(form, data)

    second = filled(first.text, {}, first.slots)
    third = filled(second.text, {}, second.slots)
    last = filled(third.text, data, third.slots)

    assert "- **Hours used:** not known for this run\n" in second.text
    assert "## Training Data\n\nnot known for this run\n" in second.text
    assert (third.text, third.slots) == (second.text, second.slots)
    assert {report.state for report in third.reports} == {"empty"}
    assert last.text == first.text


def test_in_a_card_of_ours_what_is_not_known_any_more_is_hidden_like_the_rest():
    blank = fill(new_card.blank(None, {}), EVERYTHING, {}, remembered={})
    text, slots = hide(blank.text, load(), blank.slots)
    fewer = {
        name: fact
        for name, fact in EVERYTHING.items()
        if name not in ("cloud_region", "software", "results")
    }

    second = filled(text, fewer, slots)
    third = filled(second.text, fewer, second.slots)
    last = filled(third.text, EVERYTHING, third.slots)

    assert "<!-- - **Compute Region:** not known for this run -->\n" in second.text
    assert "<!--\n#### Software\n\nnot known for this run\n-->" in second.text
    assert (third.text, third.slots) == (second.text, second.slots)
    # The line comes back below the others.
    assert sorted(last.text.split("\n")) == sorted(text.split("\n"))


def test_a_run_that_knows_less_leaves_nothing_of_the_run_before_it(tmp_path):
    card = tmp_path / "README.md"
    card.write_text("# Mine\n\nWords.\n", encoding="utf-8")
    update(card, records.three_legs_on_gpus())

    update(card, records.nothing_measured())

    text = card.read_text(encoding="utf-8")
    old = fields.facts(records.three_legs_on_gpus())
    new = fields.facts(records.nothing_measured())
    # A single figure ("4") may stand in the text by chance.
    gone = {name for name in old.keys() - new.keys() if not load().is_asked(name)}
    assert not [name for name in gone if old[name].line in text]
    assert "A100" not in text
    assert "**:** \n" not in text
    assert not update(card, records.nothing_measured()).changed
