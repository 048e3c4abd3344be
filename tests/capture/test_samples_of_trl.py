"""What TRL's trainers consume: completions and prompts, packed sequences, tokens; hooks count the truth."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest

from autocard import AutoCardCallback
from autocard.record import load
from support import models

trl = pytest.importorskip("trl")

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning"
)


def train(folder, made, config, rows, *, count=None, **arguments):
    """Train with TRL's class *made*; return (host, record, card)."""
    plain = {
        "output_dir": str(folder),
        "use_cpu": True,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
        "bf16": False,
    }
    tokenizer = models.tokenizer()
    tokenizer.add_special_tokens({"eos_token": "[SEP]"})
    return made(
        model=models.llama(),
        args=config(**{**plain, **arguments}),
        train_dataset=rows,
        processing_class=tokenizer,
        callbacks=[AutoCardCallback(emissions=False)],
        **count or {},
    )


def told(folder):
    return load(folder), (Path(folder) / "README.md").read_text()


PROMPTS = datasets.Dataset.from_dict(
    {"prompt": ["the cat", "a dog ran", "off the mat", "on a mat", "the dog"] * 3}
)


def reward(completions, **_):
    return [float(len(one)) for one in completions]


ONLINE = {
    "one generation batch a step": (
        {"gradient_accumulation_steps": 2},
        "8 completions (2 prompts × 4 generations)",
    ),
    "two steps from one generation batch": (
        {"gradient_accumulation_steps": 1, "steps_per_generation": 2},
        "4 completions (from generation batches of 8: 2 prompts × 4 generations)",
    ),
    "two generation batches a step": (
        {"gradient_accumulation_steps": 2, "steps_per_generation": 1},
        "8 completions (2 prompts × 4 generations)",
    ),
    "each completion twice": (
        {"gradient_accumulation_steps": 2, "num_iterations": 2},
        "8 completions (2 prompts × 4 generations, each used in 2 iterations)",
    ),
}


@pytest.mark.parametrize("kind", ["GRPO", "RLOO"])
@pytest.mark.parametrize("way", ONLINE)
def test_completions_are_counted_as_completions_and_prompts_as_prompts(tmp_path, kind, way):
    arguments, words = ONLINE[way]
    made = getattr(trl, f"{kind}Trainer")
    counted = []

    class Counting(made):
        def compute_loss(self, model, inputs, *args, **kwargs):
            counted.append(len(inputs["completion_ids"]))
            return super().compute_loss(model, inputs, *args, **kwargs)

    host = train(
        tmp_path,
        Counting,
        getattr(trl, f"{kind}Config"),
        PROMPTS,
        count={"reward_funcs": reward},
        per_device_train_batch_size=4,
        num_generations=4,
        max_completion_length=4,
        beta=0.0,
        num_train_epochs=1,
        **arguments,
    )
    host.train()

    record, card = told(tmp_path)
    runtime_s = host.state.log_history[-1]["train_runtime"]
    assert f"- Total train batch size: {words}\n" in card
    assert record.training.batch_unit == "completions"
    assert record.training.batch_detail in words
    assert record.time.samples_per_s * runtime_s == pytest.approx(sum(counted))
    assert " completions/s" in card
    assert "samples/s" not in card


TEXTS = datasets.Dataset.from_dict(
    {"text": ["the cat sat on a mat", "a dog", "the dog ran off a mat", "on"] * 4}
)


@pytest.mark.parametrize("strategy", ["bfd", "bfd_split", "wrapped"])
def test_packed_rows_are_not_told_as_rows(tmp_path, strategy):
    counted = []

    class Counting(trl.SFTTrainer):
        def training_step(self, model, inputs, *args, **kwargs):
            # the suite's own look at the last batch comes after it
            if self.state.global_step < self.state.max_steps:
                mask = inputs.get("attention_mask")
                counted.append(int(inputs["input_ids"].numel() if mask is None else mask.sum()))
            return super().training_step(model, inputs, *args, **kwargs)

    host = train(
        tmp_path,
        Counting,
        trl.SFTConfig,
        TEXTS,
        packing=True,
        packing_strategy=strategy,
        max_length=16,
        per_device_train_batch_size=2,
        num_train_epochs=1,
    )
    packed = host.train_dataset
    host.train()

    record, card = told(tmp_path)
    (data,) = record.data.train
    texts = " (of 16 texts)" if strategy == "bfd" else ""
    assert (
        f"{len(packed)} packed sequences{texts}, {sum(map(len, packed['input_ids']))} tokens"
        in card
    )
    assert data.packed
    assert data.packed_texts == (16 if strategy == "bfd" else None)
    assert (
        f"- Total train batch size: {record.training.effective_batch_size} packed sequences" in card
    )
    assert " packed sequences/s" in card
    assert record.time.tokens == sum(counted)
    runtime_s = host.state.log_history[-1]["train_runtime"]
    assert record.time.samples_per_s * runtime_s == pytest.approx(len(packed))


def test_rows_without_padding_between_them_are_still_rows(tmp_path):
    host = train(
        tmp_path,
        trl.SFTTrainer,
        trl.SFTConfig,
        TEXTS,
        padding_free=True,
        max_length=None,
        per_device_train_batch_size=2,
        num_train_epochs=1,
    )
    host.train()

    record, card = told(tmp_path)
    assert "16 rows" in card
    assert "- Total train batch size: 2\n" in card
    assert record.time.samples_per_s * host.state.log_history[-1]["train_runtime"] == pytest.approx(
        16
    )


def test_tokens_of_one_leg_are_not_told_as_those_of_all(tmp_path):
    made = {
        "per_device_train_batch_size": 4,
        "save_strategy": "steps",
        "save_steps": 2,
        "max_length": 16,
    }
    train(tmp_path, trl.SFTTrainer, trl.SFTConfig, TEXTS, max_steps=2, **made).train()

    host = train(tmp_path, trl.SFTTrainer, trl.SFTConfig, TEXTS, max_steps=4, **made)
    host.train(resume_from_checkpoint=True)

    record, _ = told(tmp_path)
    assert record.time.tokens is None
    assert "last start only" in record.why_missing("time.tokens")
