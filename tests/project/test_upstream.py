"""docs/dev/upstream.md says what other projects do today; here the same is done, so that the text goes when they change.

A test that fails here is good news: take the entry out of docs/dev/upstream.md, and look whether
autocard's way round it can go too.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import pytest

from support import ROOT, models, training

pytest_plugins = ["support.hub_fixtures"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # theirs
    pytest.mark.skipif(
        version("transformers") < "5", reason="the entries are about today's versions"
    ),
]
ENTRIES = ROOT / "docs" / "dev" / "upstream.md"


@pytest.fixture
def base(tmp_path):
    return models.save(training.bert(), tmp_path / "base")


@pytest.fixture
def adapter(base):
    return training.lora(models.load("AutoModelForSequenceClassification", base))


def card(folder, text):
    folder.mkdir(exist_ok=True)
    (folder / "README.md").write_text(text)
    return folder


def test_every_entry_of_the_table_has_its_section():
    text = ENTRIES.read_text()

    assert re.findall(r"^\| (\d+) \|", text, re.MULTILINE) == re.findall(
        r"^### (\d+)\. ", text, re.MULTILINE
    )


def test_2_a_persons_card_is_written_over(tmp_path):
    folder = card(tmp_path / "out", "---\nlicense: mit\n---\n\nMine.\n")

    training.trainer(folder, model=training.bert()).create_model_card()

    assert "Mine." not in (folder / "README.md").read_text()
    assert "license: mit" not in (folder / "README.md").read_text()


def test_3_the_first_sentence_of_the_draft_is_wrong(tmp_path):
    training.trainer(tmp_path / "out", model=training.bert()).create_model_card()

    assert "fine-tuned version of [](https://huggingface.co/) on the None dataset" in (
        (tmp_path / "out" / "README.md").read_text()
    )


def test_4_a_failed_upload_in_the_background_is_not_told(caplog):
    from transformers.utils.hub import PushInProgress

    with ThreadPoolExecutor() as pool:
        job = pool.submit(lambda: 1 / 0)
        PushInProgress([job]).wait_until_done()

    assert isinstance(job.exception(), ZeroDivisionError)
    assert not caplog.records


def test_5_and_6_tags_are_replaced_and_a_path_is_the_base(tmp_path, adapter, base):
    from huggingface_hub import ModelCard

    folder = card(tmp_path / "out", "---\ntags:\n- mine\nbase_model: org/base\n---\n")

    adapter.save_pretrained(folder)

    data = ModelCard.load(folder / "README.md").data
    assert data.base_model == base
    assert data.tags == [f"base_model:adapter:{base}", "lora", "transformers"]


def test_6_and_14_such_a_card_is_refused_though_it_goes_into_a_subfolder(hub, tmp_path, adapter):
    from huggingface_hub import CommitOperationAdd, HfApi

    hub.create("me/x")
    adapter.save_pretrained(tmp_path / "out")

    with pytest.raises(ValueError, match=r'"base_model" with value "/.*" is not valid'):
        HfApi().upload_folder(
            repo_id="me/x", folder_path=tmp_path / "out", path_in_repo="last-checkpoint"
        )

    file = CommitOperationAdd("last-checkpoint/README.md", tmp_path / "out" / "README.md")
    HfApi().create_commit("me/x", [file], commit_message="the same file")
    assert "last-checkpoint/README.md" in hub.repo("me/x").files


def test_7_and_8_no_quantization_text_and_two_versions(tmp_path, adapter):
    from transformers import BitsAndBytesConfig

    folder = card(tmp_path / "out", "# X\n\n### Framework versions\n\n- PEFT 0.10.0\n")
    adapter.get_base_model().config.quantization_config = BitsAndBytesConfig(load_in_8bit=True)

    adapter.create_or_update_model_card(folder)

    text = (folder / "README.md").read_text()
    assert "bitsandbytes" not in text
    assert len(re.findall("^- PEFT ", text, re.MULTILINE)) == 2


def test_9_a_broken_card_stops_the_weights(tmp_path, adapter):
    from yaml import YAMLError

    folder = card(tmp_path / "out", "---\na: [\n---\n")

    with pytest.raises(YAMLError):
        adapter.save_pretrained(folder)

    assert [path.name for path in folder.iterdir()] == ["README.md"]


def test_10_11_and_12_trl_writes_its_own_card_at_each_checkpoint(tmp_path):
    trl = pytest.importorskip("trl")
    from datasets import Dataset

    folder = card(tmp_path / "out", "---\nlicense: mit\n---\n\nMine.\n")
    path = models.save(models.llama(), tmp_path / "llama")
    plain = {
        "use_cpu": True,
        "bf16": False,
        "report_to": "none",
        "disable_tqdm": True,
        "max_steps": 2,
        "save_steps": 1,
    }
    trainer = trl.SFTTrainer(
        models.load("AutoModelForCausalLM", path),
        args=trl.SFTConfig(str(folder), **plain),
        train_dataset=Dataset.from_dict({"input_ids": [[3, 4, 5, 6]] * 16}),
        processing_class=models.tokenizer(),
    )

    trainer.train()

    text = (folder / "README.md").read_text()
    assert "licence: license" in text
    assert "Mine." not in text
    assert "[None](https://huggingface.co/None)" in text


def test_13_emissions_are_in_the_cards_of_checkpoints_only(tmp_path):
    pytest.importorskip("sentence_transformers")
    from codecarbon import OfflineEmissionsTracker
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import CoSENTLoss
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers.integrations import CodeCarbonCallback

    models.tokenizer().save_pretrained(models.save(models.bert().bert, tmp_path / "encoder"))
    words = Transformer(str(tmp_path / "encoder"))
    model = SentenceTransformer(
        modules=[words, Pooling(words.get_embedding_dimension())], device="cpu"
    )
    meter = CodeCarbonCallback()
    # Else it asks the network where this machine is; the callback takes one that is there.
    meter.tracker = OfflineEmissionsTracker(
        country_iso_code="FRA", save_to_file=False, allow_multiple_runs=True, log_level="error"
    )
    rows = {"one": ["a cat ran"] * 8, "two": ["the dog"] * 8, "score": [0.1, 0.9] * 4}
    trainer = SentenceTransformerTrainer(
        model,
        SentenceTransformerTrainingArguments(
            str(tmp_path / "out"),
            max_steps=1,
            save_steps=1,
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_dict(rows),
        loss=CoSENTLoss(model),
        callbacks=[meter],
    )

    trainer.train()
    trainer.save_model()

    assert "co2_eq_emissions" in (tmp_path / "out" / "checkpoint-1" / "README.md").read_text()
    assert "co2_eq_emissions" not in (tmp_path / "out" / "README.md").read_text()
