"""Five forms, filled from a real run that has everything: each field that a machine can know is there, and true."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
import yaml

from autocard.card.fields import facts, front_matter
from autocard.card.fill.fill import fill
from autocard.record import load
from support import SUPPORT, TESTS, seed_forms

FIELDS = seed_forms.FOLDER.parent / "research" / "seed_fields.json"

ANSWERED_BY = {
    "evaluation_intro": "results",
    "techspec_intro": "model_specs",
    "training_details_intro": "training_hyperparameters",
    "training_procedure": "training_hyperparameters",
    "training_code": "repo",
}
"""Fields of seeds that are a heading over others → the fact that answers there."""
IN_ALL = [*("training_data", "training_hyperparameters", "speeds_sizes_times", "testing_data", "testing_metrics"),
          *("results", "model_specs")]  # fmt: skip
IN_FOUR = [
    *(
        "model_id",
        "model_type",
        "base_model",
        "repo",
        "get_started_code",
        "preprocessing",
        "training_regime",
    ),
    *(
        "hardware_type",
        "hours_used",
        "cloud_provider",
        "cloud_region",
        "co2_emitted",
        "compute_infrastructure",
    ),
    *("hardware_requirements", "software"),
]
FIELDS_OF_OWN = {
    "000": [*IN_ALL, *IN_FOUR, "card_data"],
    "001": [
        *IN_ALL,
        *IN_FOUR,
        "evaluation_intro",
        "techspec_intro",
        "yaml:library_name",
        "yaml:datasets",
        "yaml:metrics",
    ],
    "002": [*IN_ALL, *IN_FOUR],
    "003": [*IN_ALL, "training_details_intro", "training_procedure", "training_code", "parameters"],
    "004": [*IN_ALL, *IN_FOUR, "framework_versions", "yaml:library_name", "yaml:base_model"],
}
"""What ours ask for that a machine can know: written down by hand, reading each form."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Train in a real repository with a public remote; return the folder that it left."""
    folder = tmp_path_factory.mktemp("full")
    project = folder / "project"
    project.mkdir()
    (project / "train.py").write_text((SUPPORT / "full_run.py").read_text())
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", *words], cwd=project, check=True, capture_output=True)
    remote = "https://name:secret@github.com/example-org/cats.git"
    subprocess.run(["git", "remote", "add", "origin", remote], cwd=project, check=True)
    environment = {
        **os.environ,
        "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    command = [sys.executable, str(project / "train.py"), str(folder), str(TESTS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "out" / "cats-lora"


def machine_fields(number, folder):
    if folder == seed_forms.OWN:
        return FIELDS_OF_OWN[number]
    told = json.loads(FIELDS.read_text(encoding="utf-8"))[number]
    return [entry["field"] for entry in told if re.match(r"MACHINE(?!-SUGGESTED)", entry["class"])]


@seed_forms.each_form
def test_each_field_of_a_seed_that_a_machine_can_know_is_filled(run, folder, number):
    record = load(run)
    known = facts(record)

    after = fill(seed_forms.seed(number, folder), known, front_matter(record), remembered={}).text

    front = yaml.safe_load(after.split("---")[1])
    empty = []
    for field in machine_fields(number, folder):
        if field == "card_data":
            there = {"library_name", "base_model", "datasets", "metrics"} <= set(front)
        elif field.startswith("yaml:"):
            there = bool(front.get(field.removeprefix("yaml:")))
        else:
            fact = known.get(ANSWERED_BY.get(field, field))
            there = fact is not None and (fact.line in after or fact.body() in after)
        if not there:
            empty.append(field)
    assert empty == []
    # whose placeholders are bare words, as column names at the end of our own lines are
    if number != "002":
        left = re.findall(
            seed_forms.PLACEHOLDER[number], re.sub(r"(?s)<!--.*?-->", "", after), re.MULTILINE
        )
        assert len(left) <= seed_forms.left_of(folder, number)


def test_what_the_fields_say_is_what_the_run_was(run):
    known, record = facts(load(run)), load(run)

    saved = json.loads((run / "adapter_config.json").read_text())
    told = known["model_specs"].body()
    assert f"r = {saved['r']}; alpha = {saved['lora_alpha']}" in told
    assert "[org/Cats](https://huggingface.co/datasets/org/Cats)" in known["training_data"].body()
    assert "split `test`, 8 rows" in known["testing_data"].body()
    assert (
        "[github.com/example-org/cats](https://github.com/example-org/cats), `train.py`"
        in known["repo"].line
    )
    assert "secret" not in json.dumps(record.model_dump())
    assert known["cloud_provider"].line == "Amazon Web Services (AWS)"
    assert "France" in known["cloud_region"].line
    assert re.match(r"[\d.]+ g CO2eq", known["co2_emitted"].line)
    assert front_matter(record)["model-index"][0]["results"][0]["dataset"]["split"] == "test"
