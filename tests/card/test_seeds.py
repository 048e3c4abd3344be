"""Five forms of five kinds, filled in place exactly as they stand.

tests/forms/like_seeds has one of each kind in our own words, so that this is tested everywhere.
Where the five real ones lie beside the repository (../shared/seeds), they are tested, too.
"""

from __future__ import annotations

import re

from huggingface_hub import ModelCard

from autocard.card.fact import Fact
from autocard.card.fill.fill import fill
from support.seed_forms import PLACEHOLDER, each_form, left_of, seed

MACHINE = [
    "model_id",
    "model_type",
    "base_model",
    "repo",
    "get_started_code",
    "training_data",
    "preprocessing",
    "training_regime",
    "training_hyperparameters",
    "speeds_sizes_times",
    "testing_data",
    "testing_metrics",
    "results",
    "hardware_type",
    "hours_used",
    "cloud_provider",
    "cloud_region",
    "co2_emitted",
    "model_specs",
    "compute_infrastructure",
    "hardware_requirements",
    "software",
    "energy",
]
FACTS = {name: Fact(f"FACT {name}.", f"FACT {name}.\n\n- more of {name}") for name in MACHINE}
FACTS["framework_versions"] = Fact("v", "- PEFT 0.21.2\n- Transformers 5.23.0")
FRONT = {
    "library_name": "peft",
    "base_model": "roberta-large",
    "tags": ["lora"],
    "datasets": ["a/b"],
    "metrics": ["f1"],
}


@each_form
def test_a_seed_is_filled_where_a_machine_can_and_nowhere_else(folder, number):
    before = seed(number, folder)

    after = fill(before, FACTS, FRONT, remembered={}).text

    left = re.findall(PLACEHOLDER[number], re.sub(r"(?s)<!--.*?-->", "", after), re.MULTILINE)
    assert len(left) == left_of(folder, number)
    shown = {name for name in MACHINE if f"FACT {name}." in after}
    assert set(MACHINE) - shown <= {"model_id", "model_type", "base_model", "get_started_code"}
    assert [name for name in MACHINE if after.count(f"FACT {name}.") > 1] in (
        [],
        ["model_specs"],
        ["model_specs", "results"],
        ["results", "model_specs"],
    )


@each_form
def test_outside_the_slots_of_a_seed_every_line_is_there_in_the_same_order(folder, number):
    before = seed(number, folder)

    after = fill(before, FACTS, FRONT, remembered={}).text

    at = 0
    for line in before.split("\n"):
        for piece in re.split(PLACEHOLDER[number], line):
            if line.startswith(
                (
                    "library_name: #",
                    "# Model Card Template",
                    "- PEFT 0.7.1",
                    "# Model Card for Model ID",
                )
            ):
                continue
            found = after.find(piece, at)
            assert found >= 0, piece
            at = found + len(piece)


@each_form
def test_a_second_fill_of_a_seed_changes_nothing(folder, number):
    first = fill(seed(number, folder), FACTS, FRONT, remembered={})

    assert fill(first.text, FACTS, FRONT, remembered=first.slots).text == first.text


@each_form
def test_a_filled_seed_loads_on_the_hub(folder, number):
    after = fill(seed(number, folder), FACTS, FRONT, remembered={}).text

    assert ModelCard(after).data.library_name == "peft"
    assert ("- PEFT 0.21.2" in after.splitlines()) == ("Framework versions" in seed(number, folder))
    assert "- PEFT 0.7.1" not in after
