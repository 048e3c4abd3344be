"""Make the cards in this folder anew, by letting the libraries write them at the end of real, tiny trainings.

    python tests/card/generated/make.py [FOLDER]

Wants trl and sentence-transformers beside what the tests need. Versions and loss figures change
with each run; what the tests look at does not.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

QUIET = {
    "max_steps": 2,
    "logging_steps": 1,
    "report_to": "none",
    "use_cpu": True,
    "disable_tqdm": True,
    "dataloader_pin_memory": False,
}


def main(to: Path) -> None:
    """Write all cards into the folder *to*."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        made: dict[str, Path] = {}
        with contextlib.redirect_stdout(io.StringIO()):
            for make in (of_the_trainer, of_peft, of_trl, of_sentence_transformers):
                for name, text in make(Path(folder)).items():
                    made[name] = to / f"{name}.md"
                    made[name].write_text(text, encoding="utf-8")
    print("\n".join(map(str, made.values())))


def of_the_trainer(folder: Path) -> dict[str, str]:
    from support import training

    cards = {}
    trainer = training.trainer(
        folder / "calm-or-storm", model=training.bert(), eval_strategy="steps", eval_steps=3
    )
    trainer.train()
    trainer.create_model_card()
    cards["trainer"] = _card(trainer)
    trainer.create_model_card(
        finetuned_from="google-bert/bert-base-uncased", dataset="imdb", dataset_tags="imdb"
    )
    cards["trainer_of_a_base"] = _card(trainer)
    trainer = training.trainer(folder / "calm-or-storm-lora", eval_strategy="steps", eval_steps=3)
    trainer.train()
    trainer.save_model()
    trainer.create_model_card()
    cards["trainer_with_peft"] = _card(trainer)
    return cards


def of_peft(folder: Path) -> dict[str, str]:
    from support import training

    training.lora(training.bert()).save_pretrained(folder / "adapter")
    return {"peft": (folder / "adapter" / "README.md").read_text(encoding="utf-8")}


def of_trl(folder: Path) -> dict[str, str]:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    from support import models

    def arguments(cls: type, name: str) -> object:
        return cls(
            str(folder / name),
            per_device_train_batch_size=2,
            save_strategy="no",
            bf16=False,
            gradient_checkpointing=False,
            **QUIET,
        )

    tokenizer = models.tokenizer()
    tokenizer.eos_token = "[SEP]"  # noqa: S105 - a token of text
    cards = {}
    texts = Dataset.from_dict({"text": ["the cat sat on a mat"] * 8})
    model = models.lora(models.llama(), task_type="CAUSAL_LM", target_modules=["q_proj"])
    arguments_ = arguments(SFTConfig, "tell-cats")
    trainer = SFTTrainer(
        model=model, args=arguments_, train_dataset=texts, processing_class=tokenizer
    )
    trainer.train()
    trainer.create_model_card()
    cards["trl_with_peft"] = _card(trainer)
    trainer.save_model()
    cards["trl_with_peft_saved"] = _card(trainer)
    trainer.create_model_card(
        model_name="tell-cats", dataset_name="trl-lib/Capybara", tags=["mine"]
    )
    cards["trl_named"] = _card(trainer)
    pairs = Dataset.from_dict(
        {"prompt": ["the cat"] * 8, "chosen": ["sat on"] * 8, "rejected": ["ran off"] * 8}
    )
    trainer = DPOTrainer(
        model=models.llama(),
        ref_model=models.llama(),
        args=arguments(DPOConfig, "prefer-cats"),
        train_dataset=pairs,
        processing_class=tokenizer,
    )
    trainer.train()
    trainer.create_model_card()
    cards["trl_dpo"] = _card(trainer)
    return cards


def of_sentence_transformers(folder: Path) -> dict[str, str]:
    import transformers
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

    from support import models

    transformers.BertModel(transformers.BertConfig(**models.sizes())).save_pretrained(
        folder / "base"
    )
    models.tokenizer().save_pretrained(folder / "base")
    words = Transformer(str(folder / "base"))
    pooling = Pooling(words.get_embedding_dimension())
    model = SentenceTransformer(modules=[words, pooling], device="cpu")
    pairs = {"sentence1": ["the cat sat"] * 8, "sentence2": ["a cat sat"] * 8, "score": [0.9] * 8}
    data = Dataset.from_dict(pairs)
    arguments = SentenceTransformerTrainingArguments(
        str(folder / "near-cats"),
        per_device_train_batch_size=4,
        save_strategy="steps",
        save_steps=1,
        eval_strategy="steps",
        eval_steps=1,
        **QUIET,
    )
    codecarbon = CodeCarbonCallback()
    # While it runs, the card has CodeCarbon's figures.
    codecarbon.tracker = OfflineEmissionsTracker(
        country_iso_code="FRA", log_level="error", save_to_file=False
    )
    loss = CoSENTLoss(model)
    trainer = SentenceTransformerTrainer(
        model=model,
        args=arguments,
        train_dataset=data,
        eval_dataset=data,
        loss=loss,
        callbacks=[codecarbon],
    )
    trainer.train()
    model.save_pretrained(str(folder / "near-cats"))
    saved = folder / "near-cats" / "checkpoint-2" / "README.md"
    return {
        "sentence_transformers": _card(trainer),
        "sentence_transformers_with_codecarbon": _of_nobodys_machine(
            saved.read_text(encoding="utf-8")
        ),
    }


def _of_nobodys_machine(card: str) -> str:
    card = re.sub(r"(cpu_model: |\*\*CPU Model\*\*: ).*", r"\1Some CPU @ 2.00GHz", card)
    return re.sub(r"(ram_total_size: |\*\*RAM Size\*\*: )[0-9.]+", r"\g<1>16.0", card)


def _card(trainer: object) -> str:
    return (Path(trainer.args.output_dir) / "README.md").read_text(encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else HERE)
