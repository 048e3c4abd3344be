"""The front matter: what the Hub accepts, and nothing else."""

from __future__ import annotations

import re
from typing import Any

import huggingface_hub
import pytest
import yaml

from autocard import record as parts
from autocard.card.fields import front_matter
from autocard.record import RunRecord
from support import records


def leaves(value: Any):
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield value


@pytest.mark.parametrize("story", records.ALL)
def test_no_value_is_empty_or_a_path(story):
    for leaf in leaves(front_matter(records.ALL[story]())):
        assert leaf not in (None, "", [], {})
        assert not str(leaf).startswith(("/", "~", "./", "file:"))


@pytest.mark.parametrize("story", records.ALL)
def test_the_hubs_own_library_loads_it(story):
    values = front_matter(records.ALL[story]())

    card = huggingface_hub.ModelCard(f"---\n{yaml.safe_dump(values, sort_keys=False)}---\n\n# A\n")

    assert card.data.to_dict().keys() >= values.keys() - {"model-index"}


def test_results_on_a_hub_data_set_are_read_back_by_the_hubs_own_library():
    values = front_matter(records.three_legs_on_gpus())

    card = huggingface_hub.ModelCard(f"---\n{yaml.safe_dump(values)}---\n")
    found = {
        (one.dataset_type, one.dataset_split, one.metric_type): one.metric_value
        for one in card.data.eval_results
    }

    assert found == {
        ("HuggingFaceH4/ultrachat_200k", "test_sft", "loss"): 0.9231,
        ("HuggingFaceH4/ultrachat_200k", "test_sft", "mean_token_accuracy"): 0.7502,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"pipeline_tag": None}},
        {"model": {"pipeline_tag": "text2text-generation"}},
        {"model": {"name": None}},
    ],
    ids=["no-task", "no-tag-of-the-hub", "no-name"],
)
def test_incomplete_results_are_left_out(change):
    record = records.three_legs_on_gpus()
    record = record.model_copy(update={"model": record.model.model_copy(update=change["model"])})

    assert "model-index" not in front_matter(record)


def test_a_task_that_the_hub_does_not_know_is_left_out():
    record = RunRecord(model=parts.Model(pipeline_tag="text2text-generation"))

    assert front_matter(record) == {}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("apache-2.0", "apache-2.0"),
        ("Apache 2.0", "apache-2.0"),
        ("MIT", "mit"),
        ("My own licence", None),
        ("", None),
        (None, None),
    ],
    ids=["id", "words", "capitals", "own", "blank", "none"],
)
def test_a_licence_is_one_of_the_hubs_or_left_out(given, expected):
    assert front_matter(RunRecord(facts={"license": given})).get("license") == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("en", ["en"]),
        ("English, fr", ["en", "fr"]),
        ("no", ["no"]),
        ("deu", ["de"]),
        ("multilingual", ["multilingual"]),
        ("English and some French", None),
        (None, None),
    ],
    ids=["code", "two", "norwegian", "three-letters", "multilingual", "prose", "none"],
)
def test_languages_are_codes_or_left_out(given, expected):
    assert front_matter(RunRecord(facts={"language": given})).get("language") == expected


def test_emissions_are_grams_that_the_hubs_own_filter_reads():
    from huggingface_hub.utils.endpoint_helpers import _is_emission_within_threshold

    class Info:
        card_data = front_matter(records.three_legs_on_gpus())

    assert Info.card_data["co2_eq_emissions"]["emissions"] == 1410
    assert _is_emission_within_threshold(Info, 1409, 1411)


def test_emissions_name_their_source_run_place_hardware_and_kind_of_training():
    assert front_matter(records.lora_on_cpu())["co2_eq_emissions"] == {
        "emissions": 0.56,
        "source": "autocard 0.1.0, CodeCarbon 3.3.2; run a1b2c3d4e5f6",
        "training_type": "fine-tuning",
        "geographical_location": "France",
        "hardware_used": "Intel(R) Xeon(R) Platinum 8488C (no GPU)",
    }


@pytest.mark.parametrize(
    ("model", "adapters", "expected"),
    [
        ({"base_model_description": "none: trained from scratch"}, [], "pre-training"),
        ({"base_model": "org/b"}, [], "fine-tuning"),
        (
            {"base_model_description": "a local checkpoint", "base_model_relation": "finetune"},
            [],
            "fine-tuning",
        ),
        ({}, [parts.Adapter(name="default")], "fine-tuning"),
        ({}, [], None),
    ],
    ids=["scratch", "hub", "local", "adapter", "not-known"],
)
def test_the_kind_of_training_is_told_only_where_it_is_known(model, adapters, expected):
    record = RunRecord(
        model=parts.Model(**model), adapters=adapters, emissions=parts.Emissions(co2eq_g=1.0)
    )

    assert front_matter(record)["co2_eq_emissions"].get("training_type") == expected


def test_without_a_co2_figure_there_is_no_such_key():
    assert "co2_eq_emissions" not in front_matter(records.nothing_measured())


@pytest.mark.parametrize(
    ("method", "tag"),
    [
        ("LoRA", "lora"),
        ("IA³", "ia3"),
        ("prompt tuning", "prompt-tuning"),
        ("adaption prompt (LLaMA-Adapter)", "adaption-prompt"),
        ("LoRA (PiSSA)", "lora pissa"),
        ("LoRA (Arrow routing)", "lora"),
        ("QLoRA (LoftQ)", "qlora loftq"),
        ("DoRA (rank-stabilized, PiSSA)", "dora rslora pissa"),
        ("LoRA (rank-stabilised)", "lora rslora"),  # as records of version 0.1.0 have it
    ],
    ids=str,
)
def test_an_adapters_method_and_its_variants_are_tags(method, tag):
    record = RunRecord(adapters=[parts.Adapter(name="default", method=method)])

    assert front_matter(record)["tags"] == tag.split()


def test_data_sets_and_metrics_that_cannot_be_ids_are_left_out():
    record = RunRecord(
        data=parts.Data(
            train=[parts.Dataset(dataset_id="/data/mine"), parts.Dataset(dataset_id="org/d")]
        ),
        evaluation=parts.Evaluation(
            results=[
                parts.Metric(name="my metric/%", value=1.0),
                parts.Metric(name="f1", value=0.5),
            ]
        ),
    )

    assert front_matter(record)["datasets"] == ["org/d"]
    assert front_matter(record)["metrics"] == ["f1"]


def test_the_lists_of_the_hub_hold_single_words():
    from autocard.card.hub_lists import LICENSES, PIPELINE_TAGS

    assert len(LICENSES) == 83
    assert len(PIPELINE_TAGS) == 57
    assert all(re.fullmatch(r"[a-z0-9.+-]+", word) for word in LICENSES | PIPELINE_TAGS)
