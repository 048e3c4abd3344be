"""What a person passes to `create_model_card` and `push_to_hub` is on the card, and stays there."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import yaml

from autocard import AutoCardCallback
from support.card_writers import HOSTS, quiet

pytest_plugins = ["support.hub_fixtures"]
# the suite's oracle does not know what a person says in code
pytestmark = pytest.mark.expects_falsehood

SAID = {
    "finetuned_from": "acme/base-1b",
    "tasks": "text-classification",
    "dataset_tags": "acme/chat",
    "dataset": "Acme Chat",
    "dataset_args": "dialogues",
    "model_name": "The Acme model",
    "language": "de",
    "license": "apache-2.0",
    "tags": ["acme-tag"],
}


def card(out) -> str:
    return (Path(out) / "README.md").read_text()


def front(text) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


def trained(out, name="Trainer", callback=None, **settings):
    callback = callback or AutoCardCallback(emissions=False)
    with quiet():
        trainer = HOSTS[name].make(
            out.parent / "base", out, [callback], save_strategy="no", max_steps=1, **settings
        )
        trainer.train()
    return trainer


def missed(text) -> list[str]:
    """What of `SAID` is not on the card *text*."""
    matter = front(text)
    wanted = {
        "base_model": ("acme/base-1b", matter.get("base_model")),
        "pipeline_tag": ("text-classification", matter.get("pipeline_tag")),
        "datasets": (["acme/chat"], matter.get("datasets")),
        "language": (
            ["de"],
            matter.get("language")
            if isinstance(matter.get("language"), list)
            else [matter.get("language")],
        ),
        "license": ("apache-2.0", matter.get("license")),
        "tags": (True, "acme-tag" in (matter.get("tags") or [])),
        "link to the base": (True, "[acme/base-1b](https://huggingface.co/acme/base-1b)" in text),
        "link to the data": (
            True,
            "[acme/chat](https://huggingface.co/datasets/acme/chat)" in text,
        ),
        "name of the data": (True, "Acme Chat" in text),
        "configuration": (True, "`dialogues`" in text),
    }
    return [f"{what}: {found!r}" for what, (want, found) in wanted.items() if want != found]


@pytest.mark.parametrize("name", ["Trainer", "Trainer + PEFT", "Seq2SeqTrainer"])
def test_every_argument_of_create_model_card_reaches_the_card_and_stays(name, tmp_path):
    out = tmp_path / "out"
    trainer = trained(out, name)

    with quiet():
        trainer.create_model_card(**SAID)
    assert missed(card(out)) == []
    assert "# Model Card for The Acme model" in card(out)

    for act in (trainer.save_model, trainer.evaluate, trainer.create_model_card):
        with quiet():
            act()
        assert missed(card(out)) == [], act
        assert "The Acme model" in card(out)
    record = json.loads((out / "autocard.json").read_text())
    assert record["model"]["base_model"] == "acme/base-1b"
    assert record["model"]["base_model_relation"] == ("adapter" if "PEFT" in name else "finetune")
    assert "model.base_model" not in record["missing"]


def test_every_argument_of_push_to_hub_is_in_the_upload_and_in_the_next_one(hub, tmp_path):
    trainer = trained(tmp_path / "out", hub_model_id="me/out")

    with quiet():
        trainer.push_to_hub(**SAID)
        first = hub.repo("me/out").text()
        trainer.push_to_hub()

    assert missed(first) == []
    assert missed(hub.repo("me/out").text()) == []
    assert "The Acme model" in hub.repo("me/out").text()


@pytest.mark.parametrize("name", ["TRL SFT", "TRL SFT + PEFT", "TRL DPO"])
def test_the_arguments_of_trls_trainers_reach_the_card(name, tmp_path):
    out = tmp_path / "out"
    trainer = trained(out, name)

    with quiet():
        trainer.create_model_card(
            model_name="The Acme model", dataset_name="acme/chat", tags="acme-tag"
        )
        trainer.evaluate()

    assert front(card(out))["datasets"] in (["acme/chat"], "acme/chat")
    assert "acme-tag" in front(card(out))["tags"]
    assert "The Acme model" in card(out)


def test_the_arguments_of_sentence_transformers_trainer_reach_its_card(tmp_path):
    out = tmp_path / "out"
    trainer = trained(out, "sentence-transformers")

    with quiet():
        trainer.create_model_card(**{**SAID, "tasks": "sentence-similarity"})
        trainer.evaluate()

    matter = front(card(out))
    assert matter["base_model"] == "acme/base-1b"
    assert "acme/chat" in matter["datasets"]
    assert matter["license"] == "apache-2.0"
    assert "acme-tag" in matter["tags"]
    assert "[acme/base-1b](https://huggingface.co/acme/base-1b)" in card(out)


def test_several_data_sets_are_all_named(tmp_path):
    out = tmp_path / "out"
    trainer = trained(out)

    with quiet():
        trainer.create_model_card(dataset_tags=["acme/chat", "acme/code"])

    assert front(card(out))["datasets"] == ["acme/chat", "acme/code"]


def test_a_folder_is_no_id_whoever_passes_it(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clients" / "secret").mkdir(parents=True)
    trainer = trained(tmp_path / "out")

    with quiet(), caplog.at_level(logging.WARNING, "autocard"):
        trainer.create_model_card(finetuned_from="clients/secret", dataset_tags="/data/secret")

    assert "secret" not in card(tmp_path / "out")
    assert "base_model" not in front(card(tmp_path / "out"))
    assert any("finetuned_from" in message for message in caplog.messages)


def test_of_two_persons_facts_the_newer_stands_and_the_log_says_so(tmp_path, caplog):
    callback = AutoCardCallback(emissions=False, base_model="acme/old", datasets=["acme/old-data"])
    out = tmp_path / "out"
    trainer = trained(out, callback=callback)
    assert front(card(out))["base_model"] == "acme/old"

    with quiet(), caplog.at_level(logging.WARNING, "autocard"):
        trainer.create_model_card(finetuned_from="acme/new", dataset_tags="acme/new-data")
        trainer.evaluate()

    assert front(card(out))["base_model"] == "acme/new"
    assert front(card(out))["datasets"] == ["acme/new-data"]
    assert "acme/old" not in card(out)
    assert any("acme/old" in message and "acme/new" in message for message in caplog.messages)


def test_the_name_that_the_trainer_makes_up_is_nobodys_title(hub, tmp_path):
    trainer = trained(tmp_path / "out", "TRL SFT", hub_model_id="me/some-name")

    with quiet():
        trainer.push_to_hub()

    record = json.loads(hub.repo("me/some-name").text("autocard.json"))
    assert "model_id" not in record["facts"]
