"""Every capture on every kind of host: nothing raises, every empty leaf has its reason, nothing is changed."""

import importlib

import pytest
import torch
import transformers
from transformers import Trainer

from autocard.capture.evaluation import evaluation
from autocard.capture.training import throughput
from autocard.record import RunRecord, to_json, unexplained
from autocard.record.gaps import under
from autocard.settings import Settings
from autocard.trainers.transformers import observe
from support import models
from support.counting import steps

pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning"
)

PARTS = {
    "model.model": "model",
    "model.adapter": "adapters",
    "training.precision": "precision",
    "training.training": "training",
    "data.data": "data",
    "environment.software": "software",
    "environment.code": "code",
    "environment.launcher": "job",
}


def everything(seen, missing):
    """Run every capture of the start, as the session does."""
    values = {}
    for name, key in PARTS.items():
        part = importlib.import_module(f"autocard.capture.{name}").capture(seen)
        values[key] = part.value
        missing.update(under(key, part.gaps))
    return values


def record_of(watch, missing, step_begin=0):
    part = evaluation.capture(watch.seen)
    times = throughput.time_parts(watch.seen, step_begin=step_begin)
    missing |= {**under("evaluation", part.gaps), **under("time", times.gaps)}
    record = RunRecord(**watch.result, evaluation=part.value, missing=missing)
    ours = (*PARTS.values(), "evaluation")
    assert [path for path in unexplained(record) if path.split(".")[0] in ours] == []
    to_json(record)
    return record


def run(made, rows, folder, **arguments):
    missing = {}
    watch = models.Watch(lambda seen: everything(seen, missing))
    models.train(made, rows, folder, watch, max_steps=arguments.pop("max_steps", 1), **arguments)
    return record_of(watch, missing)


def test_the_ordinary_run_of_an_adapter(tmp_path):
    base = models.save(models.bert(), tmp_path / "base")
    made = models.lora(models.load("AutoModelForSequenceClassification", base), task_type="SEQ_CLS")

    record = run(
        made,
        models.tokens(),
        tmp_path / "cats-and-dogs",
        trainer={"processing_class": models.tokenizer()},
    )

    assert record.model.name == "cats-and-dogs"
    assert record.model.library_name == "peft"
    assert record.adapters[0].method == "LoRA"
    assert record.precision.regime == "fp32"
    assert record.training.objective == "sequence classification (cross-entropy)"
    assert record.data.train[0].rows == 16
    assert str(tmp_path) not in to_json(record)


class Plain(torch.nn.Module):
    """A module of one's own: no configuration, no save_pretrained."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 2)

    def forward(self, x, labels=None):
        out = self.layer(x)
        return {"loss": torch.nn.functional.cross_entropy(out, labels), "logits": out}


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        return {"x": torch.ones(3) * index, "labels": index % 2}


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        for index in range(8):
            yield {"x": torch.ones(3) * index, "labels": index % 2}


@pytest.mark.parametrize("rows", [Rows, Stream])
def test_a_module_and_rows_of_one_s_own(tmp_path, rows):
    record = run(Plain(), rows(), tmp_path)

    assert record.model.architecture == "Plain"
    assert record.model.parameters_total == 8
    assert record.training.effective_batch_size == 4
    assert record.data.train[0].rows == (8 if rows is Rows else None)
    assert record.data.preprocessing.tokenizer is None


def test_a_stream_of_datasets(tmp_path):
    record = run(models.llama(), models.language().to_iterable_dataset(), tmp_path)

    assert record.data.train[0].description.startswith("a stream")


def test_a_compiled_adapter(tmp_path):
    made = torch.compile(models.lora(models.llama(), target_modules=["q_proj"]), backend="eager")

    record = run(made, models.language(), tmp_path, remove_unused_columns=False)

    assert record.model.architecture == "LlamaForCausalLM"
    assert record.adapters[0].method == "LoRA"


def test_a_native_adapter(tmp_path):
    from peft import LoraConfig

    made = models.llama()
    made.add_adapter(LoraConfig(r=2, target_modules=["q_proj"]))

    record = run(made, models.language(), tmp_path)

    assert record.adapters[0].config["r"] == 2


def test_a_mixed_model(tmp_path):
    from peft import LoHaConfig, LoraConfig, get_peft_model

    made = get_peft_model(models.llama(), LoraConfig(r=2, target_modules=["q_proj"]), mixed=True)
    made.add_adapter("other", LoHaConfig(r=2, target_modules=["v_proj"]))
    made.set_adapter(["default", "other"])

    record = run(made, models.language(), tmp_path, remove_unused_columns=False)

    assert len(record.adapters) == 2


def test_a_sequence_to_sequence_model(tmp_path):
    model = models.t5(vocab_size=20, decoder_start_token_id=0)

    record = run(model, models.language(), tmp_path)

    assert record.training.objective == "sequence-to-sequence generation (cross-entropy)"
    assert record.model.pipeline_tag is None


def sentence_model(tmp_path, adapter):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    folder = tmp_path / "encoder"
    models.save(models.bert().bert, folder)
    models.tokenizer().save_pretrained(folder)
    words = Transformer(str(folder))
    made = SentenceTransformer(
        modules=[words, Pooling(words.get_embedding_dimension())], device="cpu"
    )
    if adapter:
        from peft import LoraConfig

        made.add_adapter(LoraConfig(r=2, target_modules=["query"]))
    return made


@pytest.mark.parametrize("adapter", [False, True])
def test_a_sentence_transformers_model(tmp_path, adapter):
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )

    made = sentence_model(tmp_path, adapter)
    missing = {}
    watch = models.Watch(lambda seen: everything(seen, missing))
    rows = Dataset.from_dict(
        {
            "first": ["the cat", "a dog"] * 4,
            "second": ["a cat", "the dog"] * 4,
            "score": [1.0, 0.0] * 4,
        }
    )
    host = SentenceTransformerTrainer(
        model=made,
        args=models.arguments(tmp_path / "out", SentenceTransformerTrainingArguments, max_steps=1),
        train_dataset=rows,
        callbacks=[watch],
    )

    host.train()

    record = record_of(watch, missing)
    assert record.model.library_name == "sentence-transformers"
    assert (record.model.architecture, record.model.model_type) == ("BertModel", "bert")
    assert (record.model.task, record.model.pipeline_tag) == (
        "sentence embeddings",
        "sentence-similarity",
    )
    assert record.model.base_model_description == "a local checkpoint"
    assert record.model.base_model_relation == ("adapter" if adapter else "finetune")
    assert [one.method for one in record.adapters] == (["LoRA"] if adapter else [])
    assert record.data.preprocessing.max_length == made.max_seq_length
    assert record.data.train[0].rows == 8


def test_no_objects_at_all_are_reasons_and_not_failures():
    missing = {}
    bare = observe(
        Settings(), models.arguments("x"), transformers.TrainerState(), model=models.bert()
    )

    parts = everything(bare, missing)

    record = RunRecord(**parts, missing=missing)
    assert [path for path in unexplained(record) if path.split(".")[0] in PARTS.values()] == []


def test_training_is_the_same_with_the_captures_as_without(tmp_path):
    def weights(*callbacks):
        made = models.lora(models.llama(), target_modules=["q_proj"], lora_dropout=0.1)
        rows = models.language(16)
        models.train(made, rows, tmp_path, *callbacks, max_steps=3)
        return made.state_dict()

    with_us = weights(models.Watch(lambda seen: everything(seen, {})))
    without = weights()

    assert with_us.keys() == without.keys()
    assert all(torch.equal(with_us[name], without[name]) for name in without)


def test_all_captures_together_call_no_layer_and_take_steps_in_proportion_to_the_model(tmp_path):
    # How long they take is measured in benchmarks/capture_cost.py.
    called, taken = [], []

    def look(seen):
        everything(seen, {})  # what is loaded once is loaded
        for module in seen.model.modules():
            module.register_forward_pre_hook(lambda layer, _: called.append(type(layer).__name__))
        taken.append(steps(lambda: everything(seen, {})))
        taken.append(list(called))

    for layers in (8, 32):
        made = models.llama(num_hidden_layers=layers)
        models.train(
            made, models.language(), tmp_path, models.Watch(look), max_steps=1, cls=Trainer
        )

    few, before, many, _ = taken
    assert before == []
    assert called  # training calls them: they were watched
    assert many < 4.5 * few
