"""Make tiny real trainings: a classifier, rows that it can learn, and a Trainer; nothing is downloaded."""

from __future__ import annotations

from typing import Any

LABELS = ["calm", "storm"]


def rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Token ids whose label is whether their sum is even: something to learn, nothing private."""
    import random

    draw = random.Random(seed)  # noqa: S311 - test data
    made = [[draw.randrange(2, 60) for _ in range(12)] for _ in range(count)]
    return [{"input_ids": ids, "attention_mask": [1] * 12, "labels": sum(ids) % 2} for ids in made]


def dataset(count: int, seed: int = 0) -> Any:
    import datasets

    return datasets.Dataset.from_list(rows(count, seed))


def bert(**changes: Any) -> Any:
    """A BERT classifier of two layers; the same weights at each call."""
    from support import models

    larger = {
        "vocab_size": 60,
        "hidden_size": 32,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 32,
        "id2label": dict(enumerate(LABELS)),
        "label2id": {label: index for index, label in enumerate(LABELS)},
    }
    return models.bert(**{**larger, **changes})


def lora(model: Any, *, autocast_adapter_dtype: bool = True, **changes: Any) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    config = {
        "task_type": "SEQ_CLS",
        "r": 4,
        "lora_alpha": 8,
        "target_modules": ["query", "value"],
        **changes,
    }
    return get_peft_model(
        model, LoraConfig(**config), autocast_adapter_dtype=autocast_adapter_dtype
    )


def arguments(output_dir: Any, **changes: Any) -> Any:
    from transformers import TrainingArguments

    plain = {
        "per_device_train_batch_size": 4,
        "max_steps": 6,
        "logging_steps": 2,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "seed": 3,
    }
    return TrainingArguments(str(output_dir), **{**plain, **changes})


def trainer(
    output_dir: Any, *, model: Any = None, callbacks: Any = (), train: Any = None, **changes: Any
) -> Any:
    """A real Trainer, ready to train; *changes* go to the TrainingArguments."""
    from transformers import Trainer

    return Trainer(
        model=lora(bert()) if model is None else model,
        args=arguments(output_dir, **changes),
        train_dataset=dataset(32) if train is None else train,
        eval_dataset=dataset(16, seed=1),
        callbacks=list(callbacks),
    )


def until_ready(ours: Any, at_most_s: float = 60.0) -> Any:
    """Return a callback that extends the first step until CodeCarbon has started for the callback *ours*."""
    from transformers import TrainerCallback

    class UntilReady(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            _, session = next(reversed(ours._sessions._all.values()))
            session.run.meter.wait_until_ready(at_most_s)

    return UntilReady()
