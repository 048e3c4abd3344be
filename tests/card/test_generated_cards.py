"""Cards that Trainer, PEFT, TRL and sentence-transformers wrote at the end of real trainings, filled in place.

They lie in tests/card/generated, where make.py writes them anew.
"""

from __future__ import annotations

import difflib
import re

import pytest
from huggingface_hub import ModelCard

from autocard.card import fields
from autocard.card.fill.fill import fill
from autocard.card.form.boilerplate import is_generated
from autocard.card.form.labels import words
from autocard.card.markdown.document import Document
from autocard.card.update import update
from support import TESTS, records, training

FOLDER = TESTS / "card" / "generated"
CARDS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}
RECORDS = {
    "cpu": records.lora_on_cpu,
    "gpus": records.three_legs_on_gpus,
    "nothing": records.nothing_measured,
}

FALSE = (
    "[None]",
    "huggingface.co/None",
    "(https://huggingface.co/)",
    "None dataset",
    "Model Card for None",
)
ONCE = {
    "training data",
    "training and evaluation data",
    "training details",
    "training procedure",
    "training hyperparameters",
    "training results",
    "evaluation",
    "results",
    "environmental impact",
    "technical specifications",
    "framework versions",
    "citation",
    "citations",
}


def filled(text, record, remembered=None):
    return fill(
        text, fields.facts(record), fields.front_matter(record), remembered=remembered or {}
    )


def headings(text):
    return [section.heading.title for section in Document(text).sections if section.heading]


def below(text, heading):
    """The text of the section *heading*, without those below it."""
    (section,) = [
        one
        for one in Document(text).sections
        if one.heading and words(one.heading.title) == words(heading)
    ]
    return text[section.start : section.end].strip()


@pytest.fixture(params=sorted(CARDS))
def card(request):
    return CARDS[request.param]


@pytest.fixture(params=sorted(RECORDS))
def record(request):
    return RECORDS[request.param]()


def test_nothing_that_a_tool_made_up_stays_in_its_card(card, record):
    after = filled(card, record).text

    assert not [words for words in FALSE if words in re.sub(r"(?s)<!--.*?-->", "", after)]


def test_no_section_comes_twice(card, record):
    after = filled(card, record).text

    found = [words(title) for title in headings(after) if words(title) in ONCE]
    assert sorted(found) == sorted(set(found))


def test_a_second_fill_changes_nothing(card, record):
    first = filled(card, record)

    again = filled(first.text, record, first.slots)

    assert again.text == first.text
    assert again.slots == first.slots


def test_a_card_that_the_tool_writes_anew_is_filled_as_the_first_time(card, record):
    first = filled(card, record)

    assert filled(card, record, first.slots).text == first.text


def test_a_filled_card_loads_on_the_hub(card, record):
    data = ModelCard(filled(card, record).text).data

    assert data.library_name is not None


def test_only_what_the_tool_wrote_for_want_of_better_goes(card):
    after = filled(card, records.three_legs_on_gpus()).text

    gone = [
        line[2:]
        for line in difflib.ndiff(card.split("\n"), after.split("\n"))
        if line.startswith("- ")
    ]
    body = Document(card).body
    for line in gone:
        if line and f"\n{line}\n" in card[body - 1 :]:
            assert re.match(
                r"More information needed|This model (is a fine-tuned|was trained from scratch)|It (has been|achieves)"
                r"|The following hyperparameters|- \w+: |- Loss: |- [A-Z][\w ]+:? \d|# Model Card for|<!--|- \*\*"
                r"|\[More Information Needed\]|from transformers|question|generator|output|print",
                line,
            ), line


def test_the_trainers_card_is_filled_where_the_trainer_asks():
    record = records.three_legs_on_gpus()

    after = filled(CARDS["trainer"], record).text

    facts = fields.facts(record)
    assert [title for title in headings(after) if title in headings(CARDS["trainer"])] == headings(
        CARDS["trainer"]
    )
    assert facts["training_data"].body() in below(after, "Training and evaluation data")
    assert facts["preprocessing"].body() in below(after, "Training procedure")
    assert facts["training_hyperparameters"].body() in below(after, "Training hyperparameters")
    assert "bf16 mixed precision" in below(after, "Training hyperparameters")
    assert "| 0." in below(after, "Training results")
    assert facts["model_summary"].line in after
    order = [
        "Training procedure",
        "Speeds, Sizes, Times",
        "Training results",
        "Framework versions",
        "Evaluation",
    ]
    assert [title for title in headings(after) if title in order] == order


def test_trls_card_gets_what_it_lacks_below_its_own_headings():
    record = records.lora_on_cpu()

    after = filled(CARDS["trl_dpo"], record).text

    procedure = below(after, "Training procedure")
    assert procedure.startswith(
        "This model was trained with DPO, a method introduced in [Direct Preference"
    )
    assert procedure.endswith(fields.facts(record)["preprocessing"].body())
    order = [
        "Training Data",
        "Training procedure",
        "Training Hyperparameters",
        "Framework versions",
        "Evaluation",
    ]
    assert [title for title in headings(after) if title in order] == order
    assert headings(after)[-1] == "Citations"
    assert headings(after)[0] == "Model Card for minilm-topics-lora"
    assert 'model="None"' not in below(after, "Quick start")
    assert "@inproceedings{rafailov2023direct" in after


def test_a_name_that_trl_was_given_stays():
    after = filled(CARDS["trl_named"], records.lora_on_cpu()).text

    assert "# Model Card for tell-cats\n" in after
    assert "\n- mine\n" in after


def test_trls_library_name_gives_way_to_that_of_the_adapter_and_a_persons_does_not():
    card = CARDS["trl_dpo"]
    record = records.lora_on_cpu()

    first = filled(card, record)
    by_hand = first.text.replace("library_name: peft", "library_name: transformers")
    # What tells TRL's card is its sentence, which a person may have put back.
    by_hand += "\nIt has been trained using [TRL](https://github.com/huggingface/trl).\n"

    assert ModelCard(card).data.library_name == "transformers"
    assert ModelCard(first.text).data.library_name == "peft"
    assert "library_name: transformers" in filled(by_hand, record, first.slots).text


def test_the_card_of_sentence_transformers_keeps_its_usage_widget_and_statistics():
    before = CARDS["sentence_transformers_with_codecarbon"]

    after = filled(before, records.three_legs_on_gpus()).text

    for title in (
        "Direct Usage (Sentence Transformers)",
        "Full Model Architecture",
        "Model Sources",
        "Training Logs",
    ):
        assert below(after, title) == below(before, title)
    for line in before.split("\n"):
        if line.startswith(
            (
                "* ",
                "  |",
                "widget",
                "- source_sentence",
                "  sentences",
                "- `",
                "- sentence-transformers",
            )
        ):
            assert line in after.split("\n")
    assert ModelCard(after).data.library_name == "sentence-transformers"


def test_what_codecarbon_said_at_a_save_gives_way_to_the_whole_runs_figures():
    after = filled(
        CARDS["sentence_transformers_with_codecarbon"], records.three_legs_on_gpus()
    ).text

    assert "- **Energy Consumed**: 25.1 kWh at the devices" in after
    assert "- **Carbon Emitted**: 1.41 kg CO2eq (location-based" in after
    assert "0.000 k" not in after
    assert below(after, "Training Time").startswith("12 h 24 min wall-clock, 3 starts")


def test_nothing_is_put_inside_what_a_tool_folds_away():
    after = filled(CARDS["sentence_transformers"], records.lora_on_cpu()).text

    for folded in re.findall(
        r"(?s)<details><summary>Click to expand.*?</details>", re.sub(r"(?s)<!--.*?-->", "", after)
    ):
        assert "#" not in folded


def test_a_gpu_that_sentence_transformers_names_is_replaced_and_one_that_a_person_names_is_not():
    section = (
        "### Training Hardware\n- **On Cloud**: No\n- **GPU Model**: 1 x NVIDIA T4\n- **CPU Model**: Xeon\n"
        "- **RAM Size**: 31.00 GB\n"
    )
    record = records.three_legs_on_gpus()

    assert "- **GPU Model**: 2 nodes × 4 × NVIDIA A100" in filled(section, record).text
    assert (
        "- **GPU Model**: 1 x NVIDIA T4"
        in filled(section.replace("- **RAM Size**: 31.00 GB\n", ""), record).text
    )


@pytest.mark.parametrize(
    "value",
    [
        '```python\nfrom transformers import pipeline\n\nask = pipeline("text-generation", model="me/mine")\n```',
        "```python\nprint(1)\n```",
    ],
)
def test_code_that_names_a_model_is_nobodys_placeholder(value):
    assert not is_generated(value)


def test_the_card_that_todays_trainer_writes_is_filled_like_the_stored_one(tmp_path):
    trainer = training.trainer(tmp_path, eval_strategy="steps", eval_steps=3)
    trainer.train()
    trainer.create_model_card()
    before = (tmp_path / "README.md").read_text(encoding="utf-8")

    outcome = update(tmp_path / "README.md", records.lora_on_cpu())

    after = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert headings(before)[1:] == headings(CARDS["trainer_with_peft"])[1:]
    assert not [words for words in FALSE if words in after]
    assert {"training_data", "training_hyperparameters", "preprocessing", "hours_used"} <= {
        report.slot for report in outcome.reports if report.state == "filled"
    }
