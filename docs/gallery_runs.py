"""Train the runs whose cards the documentation shows: small, real, each by another library.

Usage: python docs/gallery_runs.py FOLDER [NAME]…: leaves FOLDER/NAME/README.md and autocard.json.
Each run is long enough for CodeCarbon's readings. QLoRA needs bitsandbytes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from transformers import Trainer, TrainerCallback  # noqa: E402

from autocard import AutoCardCallback  # noqa: E402
from support import card_writers, models, training  # noqa: E402 - the tests' tiny models

STEPS = 12
STEP_S = 0.8
PLACE = {"country_iso_code": "FRA", "cpu_power_w": 65.0, "ram_power_w": 20.0}
OWN_CARD = """---
license: mit
language: en
---

# Storm or calm

A small classifier for weather reports. I made it for a talk.

## How I trained it

One evening, on the office machine. See the table.

| Data | Rows |
| --- | ---: |
| Reports of 2024 | 32 |

## Limits

It has seen English reports only.
"""
"""What a person wrote before the training."""


class Slow(TrainerCallback):  # type: ignore[misc] # transformers is untyped here
    """Makes each step last."""

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Wait a moment."""
        time.sleep(STEP_S)


def _callbacks(**settings: Any) -> list[Any]:
    return [AutoCardCallback(**PLACE, **settings), Slow()]


def full(folder: Path, out: Path) -> None:
    """Fine-tune all weights of a classifier."""
    _finish(
        training.trainer(
            out,
            model=models.load("AutoModelForSequenceClassification", _base(folder, training.bert)),
            callbacks=_callbacks(base_model="org/weather-bert", datasets="org/weather-reports"),
            max_steps=STEPS,
            eval_strategy="steps",
            eval_steps=4,
        )
    )


def qlora(folder: Path, out: Path) -> None:
    """Train a LoRA adapter on a base in 4-bit weights."""
    import torch  # noqa: PLC0415 - where it is needed
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training  # noqa: PLC0415
    from transformers import BitsAndBytesConfig  # noqa: PLC0415

    # bitsandbytes packs weights for CPUs in blocks of 32.
    base = _base(folder, lambda: models.llama(hidden_size=64, intermediate_size=128))
    how = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    model = models.load("AutoModelForCausalLM", base, quantization_config=how, device_map="cpu")
    model = prepare_model_for_kbit_training(model)
    lora = LoraConfig(
        task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"]
    )
    data = models.language()
    callbacks = _callbacks(base_model="org/tiny-llama", datasets="org/short-stories")
    arguments = models.arguments(out, max_steps=STEPS)
    _finish(
        Trainer(
            model=get_peft_model(model, lora),
            args=arguments,
            train_dataset=data,
            eval_dataset=data,
            callbacks=callbacks,
        )
    )


def sft(folder: Path, out: Path) -> None:
    """Fine-tune with TRL's SFTTrainer."""
    _by(card_writers.sft, folder, out, datasets="org/short-stories")


def dpo(folder: Path, out: Path) -> None:
    """Train a LoRA adapter with TRL's DPOTrainer."""
    _by(card_writers.adapted(card_writers.dpo), folder, out, datasets="org/preferences")


def sentence_transformers(folder: Path, out: Path) -> None:
    """Fine-tune an embedding model with sentence-transformers."""
    _by(card_writers.embeddings, folder, out, datasets="org/pairs")


def hand_written(folder: Path, out: Path) -> None:
    """Train a LoRA adapter, with a card that a person wrote before."""
    out.mkdir(parents=True)
    (out / "README.md").write_text(OWN_CARD, encoding="utf-8")
    base = models.load("AutoModelForSequenceClassification", _base(folder, training.bert))
    callbacks = _callbacks(base_model="org/weather-bert", datasets="org/weather-reports")
    model = training.lora(base)
    _finish(training.trainer(out, model=model, callbacks=callbacks, max_steps=STEPS))


def _by(make: Callable[..., Any], folder: Path, out: Path, **settings: Any) -> None:
    callbacks = _callbacks(base_model=card_writers.BASE, **settings)
    _finish(make(folder / "base", out, callbacks, max_steps=STEPS, save_strategy="no"))


def _base(folder: Path, make: Callable[..., Any]) -> str:
    models.tokenizer().save_pretrained(folder / "base")
    return models.save(make(), folder / "base")


def _finish(trainer: Any) -> None:
    trainer.train()
    trainer.save_model()
    trainer.create_model_card()
    trainer.evaluate()


RUNS = {run.__name__: run for run in (full, qlora, sft, dpo, sentence_transformers, hand_written)}


def main(folder: Path, names: list[str]) -> None:
    """Train the runs *names*, or all."""
    for name in names or RUNS:
        print(name, flush=True)
        with card_writers.quiet():
            RUNS[name](folder / f"{name}-base", folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
