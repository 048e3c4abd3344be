"""A person puts a card of their own in the place of the filled one: it is filled again; a line taken out stays out."""

from __future__ import annotations

import pytest

from autocard import AutoCardCallback
from autocard.card.update import update
from autocard.record import load
from support import records, training

OWN = "---\nlicense: mit\n---\n# Mine\n\nWords.\n"


@pytest.fixture
def record():
    return records.lora_on_cpu()


@pytest.fixture
def card(tmp_path, record):
    """A person's own card, filled."""
    card = tmp_path / "README.md"
    card.write_text(OWN, encoding="utf-8")
    update(card, record)
    return card


def other_run(record):
    return record.model_copy(update={"run": record.run.model_copy(update={"id": "0f0f0f0f0f0f"})})


@pytest.mark.parametrize("another", [False, True])
def test_a_card_that_was_restored_is_filled_as_it_was_the_first_time(card, record, another):
    first = card.read_text(encoding="utf-8")
    card.write_text(OWN, encoding="utf-8")

    outcome = update(card, other_run(record) if another else record)

    assert card.read_text(encoding="utf-8").replace("0f0f0f0f0f0f", record.run.id) == first
    assert "removed" not in {report.state for report in outcome.reports}
    assert not update(card, other_run(record) if another else record).changed


def test_a_restored_card_that_says_one_thing_as_we_do_is_filled_too(card, record):
    first = card.read_text(encoding="utf-8")
    same = "## Environmental facts\n\n- **Hours used:** 18 min 04 s wall-clock (no GPU)\n"
    card.write_text(OWN + "\n" + same, encoding="utf-8")

    update(card, record)

    assert "0.56 g CO2eq" in first
    assert "0.56 g CO2eq" in card.read_text(encoding="utf-8")
    assert same in card.read_text(encoding="utf-8")


@pytest.mark.parametrize("another", [False, True])
def test_a_line_that_a_person_took_out_stays_out_whichever_run_comes(card, record, another):
    lines = card.read_text(encoding="utf-8").splitlines(keepends=True)
    fewer = "".join(line for line in lines if "Carbon Emitted" not in line)
    assert fewer != "".join(lines)
    card.write_text(fewer, encoding="utf-8")

    update(card, other_run(record) if another else record)

    assert "Carbon Emitted" not in card.read_text(encoding="utf-8")
    assert "co2_emitted" in load(card.parent).slots["README.md"]


def test_the_two_lines_of_a_small_form_that_a_person_took_out_stay_out(tmp_path):
    record = records.nothing_measured()
    card = tmp_path / "README.md"
    card.write_text("# Mine\n\n- **Hours used:** [More Information Needed]\n", encoding="utf-8")
    update(card, record)
    slots = load(tmp_path).slots["README.md"]
    text = card.read_text(encoding="utf-8")
    gone = [
        one for name, one in slots.items() if not name.startswith(("yaml:", "added:", "hidden:"))
    ][:1]
    card.write_text(text.replace(gone[0], ""), encoding="utf-8")

    update(card, record)

    assert gone[0] not in card.read_text(encoding="utf-8")


def test_what_a_person_wrote_in_the_place_of_each_of_our_values_is_edited_and_no_restored_card(
    tmp_path, record
):
    form = "# Mine\n\n" + "".join(
        f"- **{label}:** [More Information Needed]\n"
        for label in ("Hours used", "Hardware Type", "Carbon Emitted")
    )
    card = tmp_path / "README.md"
    card.write_text(form, encoding="utf-8")
    update(card, record)
    mine = form.replace("[More Information Needed]", "as I say")
    card.write_text(mine, encoding="utf-8")

    outcome = update(card, record)

    assert "- **Hours used:** as I say\n" in card.read_text(encoding="utf-8")
    assert "hours_used" in {report.slot for report in outcome.kept}


def test_a_training_after_its_card_was_restored_fills_it_and_says_whose_run_it_is(tmp_path):
    card = tmp_path / "README.md"
    card.write_text("# Mine\n", encoding="utf-8")
    training.trainer(tmp_path, model=training.bert(), callbacks=[AutoCardCallback()]).train()
    first = card.read_text(encoding="utf-8")
    card.write_text("# Mine\n", encoding="utf-8")

    training.trainer(tmp_path, model=training.bert(), callbacks=[AutoCardCallback()]).train()

    again = card.read_text(encoding="utf-8")
    assert "hidden size 32" in first
    assert "hidden size 32" in again
    assert again.startswith("---\n")
    assert "# Mine\n" in again
