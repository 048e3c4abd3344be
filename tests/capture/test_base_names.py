"""A local folder's name is in no card, no record and no upload, whatever it is shaped like."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from autocard import AutoCardCallback
from autocard.cli import app
from support import models
from support.card_writers import HOSTS, quiet

pytest_plugins = ["support.hub_fixtures"]

REPO = "me/out"
BASE = "org/true-base"
FOLDERS = ["clients/acme-merger", "base", "llama_v2", "acme/llama-3-8b"]
"""Relative folders that could be ids of the Hub."""
HAND_WRITTEN = """---
license: mit
tags:
- weather
- base_model:adapter:somebody/older-base
---

# Weather adapter

By hand, for the weather.
"""


def trained(folder, name="Trainer + PEFT", *, base_model=None, before=None, **settings):
    """Train in the current folder, from the relative *folder*, with a card of a person's in place."""
    out = Path("out")
    if before is not None:
        out.mkdir(exist_ok=True)
        (out / "README.md").write_text(before)
    callback = AutoCardCallback(base_model=base_model, emissions=False)
    plain = {"save_strategy": "no", "max_steps": 1, **settings}
    with quiet():
        trainer = HOSTS[name].make(Path(folder), out, [callback], hub_model_id=REPO, **plain)
        trainer.train()
    return trainer


def public(out=Path("out")):
    """The text of every file that we or the libraries write for readers."""
    return {
        file.name: file.read_text()
        for file in out.iterdir()
        if file.name in ("README.md", "autocard.json")
    }


def front(text):
    return yaml.safe_load(text.split("---\n")[1])


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("base_model", [None, BASE])
@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_shaped_like_an_id_is_in_no_new_card(folder, base_model):
    trainer = trained(folder, base_model=base_model)

    with quiet():
        trainer.save_model()
        trainer.model.save_pretrained("out")
        trainer.create_model_card()

    texts = public()
    tags = front(texts["README.md"])["tags"]
    assert front(texts["README.md"]).get("base_model") == base_model
    assert [tag for tag in tags if tag.startswith("base_model:")] == (
        [f"base_model:adapter:{base_model}"]
        if base_model and f"base_model:adapter:{base_model}" in tags
        else []
    )
    if "/" in folder or "_" in folder:
        assert not [name for name, text in texts.items() if folder in text]


@pytest.mark.parametrize("base_model", [None, BASE])
def test_a_folder_is_not_in_a_person_s_card_and_their_own_tags_stay(base_model):
    trainer = trained("clients/acme-merger", base_model=base_model, before=HAND_WRITTEN)

    with quiet():
        trainer.save_model()
        trainer.create_model_card()

    text = public()["README.md"]
    assert "acme-merger" not in "".join(public().values())
    assert {"weather", "base_model:adapter:somebody/older-base"} <= set(front(text)["tags"])
    assert "By hand, for the weather." in text


def test_a_folder_that_an_earlier_card_names_goes():
    old = HAND_WRITTEN.replace("license: mit", "base_model: clients/acme-merger").replace(
        "somebody/older-base", "clients/acme-merger"
    )

    trained("clients/acme-merger", before=old)

    assert "acme-merger" not in "".join(public().values())
    assert "base_model" not in front(public()["README.md"])


@pytest.mark.parametrize("base_model", [None, BASE])
@pytest.mark.parametrize(
    "name", ["Trainer + PEFT", "TRL SFT + PEFT", "Trainer", "sentence-transformers"]
)
def test_a_folder_is_in_no_upload(hub, name, base_model):
    trainer = trained("clients/acme-merger", name, base_model=base_model)

    with quiet():
        trainer.push_to_hub()

    uploaded = {file: hub.repo(REPO).text(file) for file in ("README.md", "autocard.json")}
    assert not [file for file, text in uploaded.items() if "acme-merger" in text]
    assert front(uploaded["README.md"]).get("base_model") == base_model


def test_a_folder_is_in_no_card_of_a_checkpoint_that_is_uploaded_in_training(hub):
    trainer = trained("clients/acme-merger", save_strategy="steps", save_steps=1, max_steps=2, push_to_hub=True,
                      hub_strategy="every_save")  # fmt: skip

    trainer.push_in_progress.wait_until_done()

    for commit in hub.repo(REPO).commits:
        assert "acme-merger" not in str(
            {name: data for name, data in commit.files.items() if name.endswith(".md")}
        )


def test_a_folder_that_the_script_has_left_is_not_taken_for_an_id(project, monkeypatch):
    from transformers import Trainer

    monkeypatch.setenv("PWD", str(project))
    models.save(models.bert(), "acme/llama-3-8b")
    made = models.load("AutoModelForSequenceClassification", "acme/llama-3-8b")
    data = models.tokens().rename_column("label", "labels").remove_columns(["text"])
    Path("work").mkdir()
    monkeypatch.chdir("work")

    with quiet():
        trainer = Trainer(
            made, models.arguments("out", max_steps=1), train_dataset=data,
            processing_class=models.tokenizer(), callbacks=[AutoCardCallback(emissions=False)],
        )  # fmt: skip
        trainer.train()

    assert "acme" not in "".join(public().values())


def test_a_sentence_transformer_s_card_names_the_base_that_the_author_gave():
    trainer = trained("clients/acme-merger", "sentence-transformers", base_model=BASE)

    with quiet():
        trainer.save_model()

    text = public()["README.md"]
    assert front(text)["base_model"] == BASE
    assert f"[{BASE}](https://huggingface.co/{BASE})" in text
    assert "acme-merger" not in text


def test_a_folder_shaped_like_a_model_of_the_hub_is_not_verified_into_one(hub):
    hub.create("clients/acme-merger", {"README.md": "# Not ours\n"})
    trainer = trained("clients/acme-merger", "sentence-transformers")

    with quiet():
        trainer.save_model()

    assert "acme-merger" not in "".join(public().values())


def test_fill_does_not_bring_back_what_peft_wrote():
    trainer = trained("clients/acme-merger", base_model=BASE)
    with quiet():
        trainer.save_model()
    card = Path("out/README.md")
    card.write_text(
        card.read_text().replace("tags:\n", "tags:\n- base_model:adapter:clients/acme-merger\n", 1)
    )

    CliRunner().invoke(app, ["fill", str(card)])

    assert "acme-merger" not in card.read_text()


# -- merged weights, another base ------------------------------------------------------------------


def test_a_card_beside_merged_weights_calls_them_no_adapter():
    trainer = trained("clients/acme-merger", base_model=BASE)
    with quiet():
        trainer.save_model()
        trainer.model.merge_and_unload().save_pretrained("merged")

    made = CliRunner().invoke(app, ["render", "--record", "out", "-o", "merged/README.md"])

    assert made.exit_code == 0, made.output
    text = Path("merged/README.md").read_text()
    matter = front(text)
    assert (matter["base_model_relation"], matter["library_name"]) == ("finetune", "transformers")
    assert "lora" not in matter.get("tags", [])
    assert "A fine-tuned version of" in text
    assert "merged into the saved weights" in text
    assert "A LoRA adapter for" not in text


def test_filling_a_card_that_was_copied_beside_merged_weights_takes_the_adapter_s_tags_out():
    trainer = trained("clients/acme-merger", base_model=BASE)
    with quiet():
        trainer.save_model()
    with quiet():
        trainer.model.merge_and_unload().save_pretrained("merged")
    for name in ("README.md", "autocard.json"):
        shutil.copy(f"out/{name}", f"merged/{name}")

    CliRunner().invoke(app, ["fill", "merged/README.md"])

    matter = front(Path("merged/README.md").read_text())
    assert (matter["base_model_relation"], matter["library_name"]) == ("finetune", "transformers")
    assert "lora" not in matter.get("tags", [])


def test_beside_a_person_s_own_base_there_is_no_relation_and_no_summary_of_another():
    person = (
        "---\nlicense: mit\nbase_model: somebody/other-base\n---\n\n# Weather\n\n## Uses\n\nRain.\n"
    )

    trained("clients/acme-merger", base_model=BASE, before=person)

    text = public()["README.md"]
    assert front(text)["base_model"] == "somebody/other-base"
    assert "base_model_relation" not in front(text)
    assert BASE not in text


# -- a base that a library did not know ------------------------------------------------------------

NAMELESS = """---
library_name: peft
tags:
- base_model:adapter:/root/models/Some-VL-3B
- base_model:adapter:None
- lora
base_model: {base}
---

# Model Card for run

This model is a fine-tuned version of [None](https://huggingface.co/None).
It has been trained using [TRL](https://github.com/huggingface/trl).

## Quick start

```python
from transformers import pipeline

generator = pipeline("text-generation", model="None", device="cuda")
```

## Training procedure

This model was trained with SFT.
"""


@pytest.mark.parametrize("base", ["''", "None", "null", "/root/models/Some-VL-3B"])
def test_none_is_no_base_and_no_model_that_code_can_load(base):
    from autocard.card.update import update
    from autocard.record import RunRecord

    out = Path("out")
    out.mkdir()
    (out / "README.md").write_text(NAMELESS.format(base=base))

    update(out / "README.md", RunRecord())

    text = (out / "README.md").read_text()
    assert 'model="None"' not in text
    assert "[None]" not in text
    assert "base_model" not in {key: value for key, value in front(text).items() if value}
    assert not [tag for tag in front(text)["tags"] if tag.startswith("base_model:")]
