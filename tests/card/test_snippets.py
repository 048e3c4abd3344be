"""The code that a card shows really loads the model: it is run, in the folder that the trainer left."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
import torch

from autocard import record as parts
from autocard.card.fields import facts
from autocard.record import RunRecord
from support import SUPPORT, records, snippet_runs, training

CLASSIFIER = "AutoModelForSequenceClassification"


def snippet(record: RunRecord) -> str | None:
    """Return the Python that the card shows."""
    fact = facts(record).get("get_started_code")
    return (
        None
        if fact is None
        else re.fullmatch(r"```python\n(.*)\n```", fact.body(), flags=re.DOTALL)[1]
    )


def run(record, folder, monkeypatch):
    """Return the model that the card's code loads in *folder*."""
    monkeypatch.chdir(folder)
    namespace: dict = {}
    exec(snippet(record), namespace)  # noqa: S102 - that is what its reader does
    return namespace["model"]


def scores(model):
    ids = torch.tensor([[5, 9, 11, 23]])
    with torch.no_grad():
        return model.eval()(input_ids=ids).logits


def test_an_adapter_is_put_on_its_base_with_the_head_that_was_trained(tmp_path, monkeypatch):
    base = training.bert()
    # what the Hub's id leads to, seen from this folder
    base.save_pretrained(tmp_path / "org" / "tiny-bert")
    model = training.lora(base)
    with torch.no_grad():
        for number, weight in enumerate(model.parameters()):
            if weight.requires_grad:
                weight.add_(0.01 * number)
    model.save_pretrained(tmp_path)
    record = RunRecord(
        model=parts.Model(
            name="tmp",
            base_model="org/tiny-bert",
            library_name="peft",
            auto_class=CLASSIFIER,
            labels=training.LABELS,
            saved_bytes=1,
            saved_files=["adapter_config.json"],
        ),
        adapters=[parts.Adapter(name="default", method="LoRA")],
    )

    loaded = run(record, tmp_path, monkeypatch)

    assert torch.allclose(scores(loaded), scores(model))
    assert not torch.allclose(scores(loaded), scores(training.bert()))
    assert loaded.config.id2label == dict(enumerate(training.LABELS))


def test_a_whole_model_is_loaded_from_the_cards_folder(tmp_path, monkeypatch):
    model = training.bert()
    with torch.no_grad():
        model.classifier.bias.add_(1.0)
    model.save_pretrained(tmp_path)
    saved = {"saved_bytes": 1, "saved_files": ["config.json"]}
    record = RunRecord(
        model=parts.Model(name="topic", library_name="transformers", auto_class=CLASSIFIER, **saved)
    )

    loaded = run(record, tmp_path, monkeypatch)

    assert torch.allclose(scores(loaded), scores(model))


@pytest.mark.parametrize(
    "change",
    [
        {"base_model": None},
        {"base_model": "/scratch/base"},
        {"base_model_description": "a local checkpoint, which its own files derive from org/base"},
        {"auto_class": None},
        {"auto_class": "AutoModel; import os"},
        {"labels": []},
        {"saved_bytes": None},
        {"saved_files": []},
    ],
    ids=[
        "no-base",
        "path",
        "other-weights",
        "no-class",
        "no-class-name",
        "no-labels",
        "no-weights",
        "no-config",
    ],
)
def test_where_it_is_not_sure_that_the_code_works_there_is_none(change):
    record = records.lora_on_cpu()
    record = record.model_copy(update={"model": record.model.model_copy(update=change)})

    assert snippet(record) is None


def test_names_cannot_reach_out_of_their_quotes():
    record = records.lora_on_cpu()
    labels = ['"]; import os; ["', "```", "\n"]
    record = record.model_copy(update={"model": record.model.model_copy(update={"labels": labels})})

    lines = snippet(record).split("\n")
    namespace: dict = {}
    exec(next(line for line in lines if line.startswith("labels = ")), namespace)  # noqa: S102

    assert namespace["labels"] == labels
    assert not any(line.startswith("```") for line in lines)


def test_a_hub_id_is_used_where_there_is_one_and_the_bases_commit_is_named():
    code = snippet(records.three_legs_on_gpus())

    assert 'PeftModel.from_pretrained(base, "example-org/mistral-dialogue-lora")' in code
    assert 'revision="d8cadc02ac76bd617a919d50b092e59d2d110aff"' in code
    assert "folder" not in code


# -- what real runs saved --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """What the runs' models said when they were trained, and what a reader of their cards got."""
    folder = tmp_path_factory.mktemp("runs")
    hub = {"HF_HUB_CACHE": str(folder / "hub"), "HF_HUB_OFFLINE": "1", "HOME": str(folder)}
    told = []
    for work in ("train", "read"):
        command = [
            sys.executable,
            str(SUPPORT / "snippet_runs.py"),
            work,
            str(folder),
        ]
        run = subprocess.run(
            command, env={**os.environ, **hub}, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr[-3000:]
        told.append(json.loads(run.stdout.splitlines()[-1]))
    return told


@pytest.mark.parametrize("name", snippet_runs.RUNS)
def test_a_reader_who_runs_the_code_gets_the_model_that_was_trained(read, name):
    trained, got = read[0][name]["answer"], read[1][name]

    assert got["code"] is not None
    assert got["answer"] == pytest.approx(trained, rel=1e-4, abs=1e-5)
    assert got["printed"].strip()


@pytest.mark.parametrize("name", snippet_runs.RUNS)
def test_no_field_of_the_card_is_false(read, name):
    claims = read[0][name]["claims"]

    assert [(field, said) for field, said, is_so in claims if not is_so] == []
    # The card of sentence-transformers states the base, the optimizer and the time in words of its
    # own, which are not read here; ours are not said a second time.
    assert len(claims) >= (16 if name == "sentences" else 18)
    assert read[0][name]["judged"] > 100
    assert read[0][name]["false"] == []


def test_the_code_is_for_the_kind_of_model_that_it_is(read):
    code = {name: told["code"] for name, told in read[1].items()}

    assert "PeftModel" not in code["full"]
    assert "PeftModel.from_pretrained(base" in code["adapter"]
    assert f'revision="{snippet_runs.SHA}"' in code["adapter"]
    assert "apply_chat_template" in code["chat"]
    assert "SentenceTransformer" in code["sentences"]
    assert {"calm", "storm"} & set(read[1]["full"]["printed"].split())
