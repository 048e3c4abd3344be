"""TRL's frozen copy of a loaded adapter, which is the reference of its loss and no part of the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autocard import AutoCardCallback
from autocard import record as records
from support import models

pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning"
)


def _arguments(config: Any, folder: Path, **more: Any) -> Any:
    plain = {"max_steps": 1, "report_to": "none", "use_cpu": True, "save_strategy": "no"}
    return config(str(folder), per_device_train_batch_size=2, **plain, **more)


def _dpo(model: Any, folder: Path) -> Any:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    tokenizer = models.tokenizer()
    tokenizer.eos_token = "[SEP]"  # noqa: S105 - a token of the other kind
    return DPOTrainer(
        model=model,
        args=_arguments(DPOConfig, folder, max_length=16),
        train_dataset=Dataset.from_list(
            [{"prompt": "the cat", "chosen": "sat on", "rejected": "ran off"}] * 4
        ),
        processing_class=tokenizer,
        callbacks=[AutoCardCallback(emissions=False)],
    )


def test_the_reference_copy_of_a_loaded_adapter_is_not_counted(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    from peft import PeftModel

    models.lora(models.llama(), task_type="CAUSAL_LM").save_pretrained(tmp_path / "sft")
    model = PeftModel.from_pretrained(models.llama(), tmp_path / "sft", is_trainable=True)
    total = sum(one.numel() for one in model.parameters())
    trained = sum(one.numel() for one in model.parameters() if one.requires_grad)

    trainer = _dpo(model, tmp_path / "dpo")
    trainer.train()

    # TRL has added its copy
    assert sum(one.numel() for one in trainer.model.parameters()) == total + trained
    told = records.load(tmp_path / "dpo" / "autocard.json").model
    assert (told.parameters_total, told.parameters_trainable) == (total, trained)


def test_two_adapters_of_a_persons_own_are_both_counted(tmp_path: Path) -> None:
    from peft import LoraConfig

    from support import training

    model = training.lora(training.bert())
    model.add_adapter("ref", LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query"]))
    total = sum(one.numel() for one in model.parameters())

    training.trainer(
        tmp_path, model=model, callbacks=[AutoCardCallback(emissions=False)], max_steps=1
    ).train()

    assert records.load(tmp_path / "autocard.json").model.parameters_total == total
