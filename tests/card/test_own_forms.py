"""Forms that organisations write for themselves, in their own words: they are filled with data alone, no code.

The first three were written after the code was done, and asked for a better general mechanism; the
last two after that.
"""

from __future__ import annotations

import re
import shutil

import pytest
from huggingface_hub import ModelCard

from autocard.card import fields
from autocard.card.update import update
from autocard.record import load
from support import TESTS, records

FOLDER = TESTS / "forms"
RECORD = records.three_legs_on_gpus()
FACTS = fields.facts(RECORD)

FILLED = {
    "overview_plus": [
        "base_model",
        "co2_eq_emissions",
        "energy",
        "hardware_type",
        "hours_used",
        "model_type",
        "parameters",
        "software",
        "testing_data",
        "training_data",
    ],
    "climate_table": ["cloud_region", "co2_emitted", "energy", "hours_used"],
    "deutsch": [
        "base_model",
        "cloud_region",
        "co2_emitted",
        "energy",
        "hardware_type",
        "hours_used",
        "model_id",
        "model_summary",
        "results",
        "training_data",
        "training_hyperparameters",
        "training_regime",
    ],
    "fiche": [
        "cloud_region",
        "co2_emitted",
        "hardware_type",
        "hours_used",
        "model_id",
        "results",
        "training_data",
    ],
    "data_sheet": [
        "base_model",
        "co2_emitted",
        "energy",
        "hardware_type",
        "hours_used",
        "model_id",
        "training_regime",
    ],
}
"""Form → what it asks for that a machine knows of this run."""

LEFT = {
    "overview_plus": 14,
    "climate_table": 0,
    "deutsch": 1,
    "fiche": 1,
    "data_sheet": 2,
}
"""Form → placeholders that only people can fill."""

ASKS = (
    r"license: (?=#)|\[Insert[^\]]*\]|\[TODO[^\]]*\]|\(bitte ergänzen\)|\{\{[^}]*\}\}|<<[^>]*>>|\{\w+\}"
    r"|à compléter|TBD|\.\.\. \|"
)


@pytest.fixture(params=sorted(FILLED))
def name(request):
    return request.param


@pytest.fixture
def card(tmp_path, name):
    """The form *name* as a user's card, with the user's words beside it."""
    card = tmp_path / "README.md"
    shutil.copy(FOLDER / f"{name}.md", card)
    if (FOLDER / f"{name}.labels.yaml").exists():
        shutil.copy(FOLDER / f"{name}.labels.yaml", tmp_path / "autocard.labels.yaml")
    return card


def test_what_the_form_asks_a_machine_stands_where_it_asks(card, name):
    outcome = update(card, RECORD)

    after = card.read_text(encoding="utf-8")
    filled = {
        report.slot.removeprefix("yaml:")
        for report in outcome.reports
        if report.state == "filled" and (report.line or report.slot.startswith("yaml:"))
    }
    assert set(FILLED[name]) <= filled
    assert len(re.findall(ASKS, after)) == LEFT[name]


def test_each_line_of_the_form_is_there_in_its_order_around_what_was_filled(card):
    before = card.read_text(encoding="utf-8")

    update(card, RECORD)

    after = card.read_text(encoding="utf-8")
    at = 0
    for line in before.split("\n"):
        for piece in re.split(ASKS + r"|\[Model Name\]|\| \|", line):
            found = after.find(piece, at)
            assert found >= 0, piece
            at = found + len(piece)


def test_a_second_fill_changes_nothing_and_the_card_loads(card):
    update(card, RECORD)

    assert not update(card, RECORD).changed
    assert ModelCard.load(card).data.library_name == "peft"
    assert load(card.parent).slots["README.md"]


@pytest.mark.parametrize("form", sorted(FILLED))
def test_as_a_template_the_form_makes_the_same_card(tmp_path, form):
    folder = tmp_path / "forms"
    folder.mkdir()
    shutil.copy(FOLDER / f"{form}.md", folder)
    if (FOLDER / f"{form}.labels.yaml").exists():
        shutil.copy(FOLDER / f"{form}.labels.yaml", folder / "autocard.labels.yaml")

    outcome = update(
        tmp_path / "README.md", RECORD, template=str(folder / f"{form}.md"), empty="placeholder"
    )

    states = {report.slot for report in outcome.reports if report.state == "filled"}
    assert {name for name in FILLED[form] if name != "co2_eq_emissions"} <= states


def test_what_autocard_adds_to_a_form_in_other_words_is_called_in_these(tmp_path):
    (tmp_path / "README.md").write_text("# Modell\n\nWorte.\n", encoding="utf-8")
    shutil.copy(FOLDER / "deutsch.labels.yaml", tmp_path / "autocard.labels.yaml")

    update(tmp_path / "README.md", RECORD)

    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    section = text.replace("Hardware Type", "Geräte").partition("\n## Umweltwirkung\n")[2]
    assert section.startswith("\n| Base model | Method |")
    assert "|\n\n- **Geräte:**" in section
    assert "- **Rechenzeit:** 12 h 24 min" in text
    assert "\n## Trainingsverlauf\n\n### Daten für das Training\n" in text
    assert "## Environmental Impact" not in text


def test_a_table_that_asks_gets_the_texts_of_the_record(tmp_path):
    shutil.copy(FOLDER / "data_sheet.md", tmp_path / "README.md")

    update(tmp_path / "README.md", RECORD)

    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert f"| Total training time | {FACTS['hours_used'].line} | machine |" in text
    assert f"| Carbon footprint | {FACTS['co2_emitted'].line} | machine |" in text
    assert "| Paper | TBD | person |" in text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("facts: [a]", "facts: names and what stands for them are wanted"),
        ("facts:\n  hours_used:\n    word: [a]", "facts.hours_used: word: there is no such key"),
        ("fact:\n  hours_used: [a]", "fact: there is no such key; there are sections, facts"),
        ("facts:\n  hours_used:\n    who: robot", "who: one of machine, suggested, person"),
        ("placeholders: {a: b}", "placeholders: a list of words is wanted"),
        ("sections:\n  environment: 3", "sections.environment: a list of words is wanted"),
        ("a: [", "cannot be read"),
        ("- a", "names and what stands for them are wanted"),
    ],
)
def test_a_mistake_in_a_file_of_words_is_told_with_its_place_before_anything_is_written(
    tmp_path, text, says
):
    from autocard.errors import SettingsError

    (tmp_path / "autocard.labels.yaml").write_text(text, encoding="utf-8")

    with pytest.raises(SettingsError, match=re.escape(says)):
        update(tmp_path / "README.md", RECORD)

    assert [path.name for path in tmp_path.iterdir()] == ["autocard.labels.yaml"]
