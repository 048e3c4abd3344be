"""`autocard remove`: what autocard wrote goes, placeholders stand again, people's words stay."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from autocard.card.remove import remove
from autocard.card.selection import SECTIONS
from autocard.card.update import update
from autocard.errors import SettingsError
from autocard.record import load
from support import TESTS

RECORDS = TESTS / "contract" / "records"


def name_of(form: Path) -> str:
    return form.parent.name if form.name == "before.md" else form.stem


ALL_FORMS = sorted(
    [
        *(TESTS / "forms").glob("*.md"),
        *(TESTS / "forms" / "like_seeds").iterdir(),
        *(TESTS / "contract" / "stories").glob("*/before.md"),
    ]
)
WITH_FALSE_TEXT = {
    "card-of-another-run",
    "card-of-peft",
    "card-of-the-trainer",
    "card-of-trl",
    "card-of-trl-with-an-adapter",
}
"""Stories whose cards state what is false, such as model="None": a fill removes it for good."""
FORMS = [form for form in ALL_FORMS if name_of(form) not in WITH_FALSE_TEXT]
WITH_CARD = sorted(card.parent.name for card in RECORDS.glob("*/README.md"))


def autocard(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "autocard", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def visible(text: str) -> str:
    """Return *text* without blank lines and blanks at the ends of lines."""
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip())


@pytest.fixture
def card(tmp_path):
    return tmp_path / "README.md"


def copy_labels(form: Path, folder: Path) -> None:
    for labels in (form.with_suffix(".labels.yaml"), form.parent / "autocard.labels.yaml"):
        if labels.is_file():
            shutil.copy(labels, folder / "autocard.labels.yaml")


@pytest.mark.parametrize("record", ["gpus", "measured", "lora", "sentence-embeddings"])
@pytest.mark.parametrize("form", FORMS, ids=name_of)
def test_a_form_that_was_filled_and_cleared_is_the_form_again(form, record, card):
    card.write_bytes(form.read_bytes())
    copy_labels(form, card.parent)
    assert update(card, load(RECORDS / record)).left_alone is None

    remove(card)

    before = form.read_bytes().decode()
    assert visible(card.read_bytes().decode()) == visible(before)


@pytest.mark.parametrize("form", FORMS, ids=name_of)
def test_a_cleared_card_is_filled_again_as_before(form, card):
    card.write_bytes(form.read_bytes())
    copy_labels(form, card.parent)
    record = load(RECORDS / "gpus")
    assert update(card, record).left_alone is None
    filled = card.read_text(encoding="utf-8")

    remove(card)
    update(card, record)

    assert visible(card.read_text(encoding="utf-8")) == visible(filled)


def test_filled_twice_and_by_another_run_the_placeholders_still_return(card):
    form = TESTS / "forms" / "like_seeds" / "001_brackets.md"
    card.write_bytes(form.read_bytes())
    for record in ("gpus", "gpus", "measured", "no-place"):
        update(card, load(RECORDS / record))

    remove(card)

    assert visible(card.read_text(encoding="utf-8")) == visible(form.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", WITH_CARD)
def test_of_a_card_of_version_0_1_0_only_the_words_of_people_are_left(name, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(RECORDS / name, folder)
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8")
    own = "Sentence of a person: 7 h, *not* `ours` | 12 kWh."
    headings = list(re.finditer(r"(?m)^#{2,4} [^\n]+\n\n(?=\S)", text))
    for heading in reversed(headings[::3]):
        text = f"{text[: heading.end()]}{own}\n\n{text[heading.end() :]}"
    text = re.sub(r"(?m)^(- \*\*Hours used:\*\*) .*$", r"\1 two evenings", text)
    card.write_text(text.replace("---\n", "---\nthumbnail: a.png # mine\n", 1), encoding="utf-8")
    written = json.loads((folder / "autocard.json").read_bytes())["slots"]["README.md"]

    remove(card)

    after = card.read_text(encoding="utf-8")
    assert after.count(own) == text.count(own) > 1
    assert after.count("- **Hours used:** two evenings") == text.count("- **Hours used:** two")
    assert "thumbnail: a.png # mine" in after
    shown = re.sub(r"(?s)<!--.*?-->", "", after)
    assert "co2_eq_emissions" not in shown
    for fact in ("hardware_type", "training_regime", "hardware_requirements", "software"):
        assert written.get(fact, "\0") not in shown


def test_a_new_card_that_is_cleared_shows_no_figure(card):
    update(card, load(RECORDS / "measured"))
    values = json.loads((card.parent / "autocard.json").read_bytes())["slots"]["README.md"]

    remove(card)

    after = card.read_text(encoding="utf-8")
    shown = re.sub(r"(?s)<!--.*?-->", "", after)
    for name in ("hours_used", "co2_emitted", "hardware_type", "model_type", "energy", "yaml:tags"):
        if name in values:
            assert values[name] not in shown
    assert "kWh" not in shown
    assert "[More Information Needed]" not in shown


@pytest.mark.parametrize("record", ["gpus", "measured"])
def test_a_new_card_that_is_cleared_and_filled_again_is_the_same_card(record, card):
    update(card, load(RECORDS / record))
    before = card.read_text(encoding="utf-8")

    remove(card)
    cleared = card.read_text(encoding="utf-8")
    update(card, load(RECORDS / record))

    assert yaml.safe_load(cleared.split("---\n")[1]) is None
    for comment in re.findall(r"(?s)<!--(.*?)-->", cleared):
        assert len(re.findall(r"(?m)^#+ [A-Z]", comment)) <= 1
    assert card.read_text(encoding="utf-8") == before


def test_the_summary_table_stays_at_the_top_when_sections_are_left_out_and_come_back(card):
    update(card, load(RECORDS / "measured"))
    before = card.read_text(encoding="utf-8")

    update(card, load(RECORDS / "measured"), sections=("front_matter",))
    assert "kWh" not in card.read_text(encoding="utf-8")
    update(card, load(RECORDS / "measured"), sections=SECTIONS)

    assert card.read_text(encoding="utf-8") == before


@pytest.mark.parametrize(
    "keys",
    [
        "tags: [foxes]\n",
        "tags: [ foxes , red ]\n",
        "tags: foxes\n",
        "tags: []\n",
        "tags: # what it is about\ndatasets: # ids\nlanguage: # codes\n",
        "model-index: []\nlibrary_name: ''\n",
        "co2_eq_emissions:\n  emissions:\n  source: ''\n  hardware_used:\ntitle: x # y\n",
        "co2_eq_emissions: {}\ndatasets: []\n",
    ],
)
def test_the_front_matter_of_a_person_stands_again_to_the_byte(keys, card):
    own = f"---\n{keys}---\n# Mine\n"
    card.write_text(own, encoding="utf-8")
    update(card, load(RECORDS / "gpus"))
    filled = card.read_text(encoding="utf-8")

    remove(card)

    assert yaml.safe_load(filled.split("---\n")[1])["co2_eq_emissions"]["emissions"] > 0
    assert card.read_text(encoding="utf-8") == own


def test_lines_of_ours_go_out_of_a_text_that_a_person_edited(card):
    update(card, load(RECORDS / "measured"))
    text = card.read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("- Seed: "))
    card.write_text(text.replace(line, f"{line}, drawn by lot"), encoding="utf-8")

    remove(card)

    after = card.read_text(encoding="utf-8")
    assert f"{line}, drawn by lot" in after
    assert "- Optimizer: " not in after


def test_a_value_that_a_person_wrote_first_stays(card):
    record = load(RECORDS / "measured")
    own = f"# Model\n\n## Training Details\n\n- **Training regime:** {record.precision.regime}\n"
    card.write_text(own, encoding="utf-8")
    update(card, record)

    remove(card)

    assert card.read_text(encoding="utf-8") == own


def test_the_record_stays_and_is_the_same(card):
    update(card, load(RECORDS / "measured"))
    before = load(card.parent).model_dump(exclude={"slots"})

    remove(card)

    assert load(card.parent).model_dump(exclude={"slots"}) == before


def test_without_a_record_nothing_is_removed(card):
    card.write_text("# Mine\n", encoding="utf-8")

    with pytest.raises(SettingsError, match=r"no record \(autocard.json\) beside it"):
        remove(card)

    assert card.read_text(encoding="utf-8") == "# Mine\n"


def test_the_command_shows_a_diff_and_then_removes(card):
    card.write_text("# Mine\n\nMy words.\n", encoding="utf-8")
    update(card, load(RECORDS / "measured"))
    filled = card.read_bytes()

    shown = autocard("remove", str(card), "--diff")

    assert card.read_bytes() == filled
    assert "-## Environmental Impact" in shown.stdout
    done = autocard("remove", str(card))
    assert (shown.returncode, done.returncode) == (0, 0)
    assert "removed" in done.stderr
    assert card.read_text(encoding="utf-8") == "# Mine\n\nMy words.\n"
    assert "nothing to remove" in autocard("remove", str(card)).stderr


def test_a_new_card_of_an_own_form_keeps_the_items_beside_an_empty_slot(card):
    form = card.with_name("form.md")
    own = "- We always train at night."
    form.write_text(
        f"# Model\n\n## Training\n\n- **Developed by:** [More Information Needed]\n{own}\n",
        encoding="utf-8",
    )

    update(card, load(RECORDS / "measured"), template=str(form))

    shown = re.sub(r"(?s)<!--.*?-->", "", card.read_text(encoding="utf-8"))
    assert own in shown


@pytest.mark.parametrize("record", ["gpus", "full-fine-tuning", "sentence-embeddings", "dpo-lora"])
@pytest.mark.parametrize("choice", [("--sections", "environment"), ("--detail", "brief")])
def test_a_front_matter_that_is_ours_goes_when_it_is_left_out_and_comes_back(record, choice, card):
    own = "# My model\n\nWords.\n"
    card.write_text(own, encoding="utf-8")
    update(card, load(RECORDS / record))
    keys = set(re.findall(r"(?m)^(\w+):", card.read_text(encoding="utf-8").split("---\n")[1]))

    chosen = autocard("fill", str(card), *choice)

    assert chosen.returncode == 0, chosen.stderr
    if choice[1] == "environment":
        assert card.read_text(encoding="utf-8").startswith(own)
    autocard("fill", str(card), "--sections", "all", "--detail", "standard")
    back = set(re.findall(r"(?m)^(\w+):", card.read_text(encoding="utf-8").split("---\n")[1]))
    assert back == keys
    remove(card)
    assert card.read_text(encoding="utf-8") == own
