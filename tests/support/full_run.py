"""A run that has everything: a base and data from the Hub's caches, evaluation, git, a country; its folder is left.

Usage: full_run.py FOLDER TESTS [CARD]. CARD is a form that is filled in place.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
import warnings
from pathlib import Path


def main(folder: Path, card: str | None) -> None:
    import numpy as np
    import torch
    import transformers
    from datasets import load_dataset
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    from autocard import AutoCardCallback
    from support import hub_data, models, snippet_runs

    class Slow(transformers.TrainerCallback):
        """Makes training long enough for two readings of the meter."""

        def on_step_end(self, *_: object, **__: object) -> None:
            time.sleep(0.5)

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        if not (folder / "hub").is_dir():
            torch.manual_seed(0)
            models.save(models.bert(), folder / "base")
            models.tokenizer().save_pretrained(folder / "base")
            snippet_runs.into_cache(folder, "org/tiny-bert", folder / "base")
            hub_data.lay(folder, "org/Cats", {"train": models.texts(32), "test": models.texts(8)})
        words = transformers.AutoTokenizer.from_pretrained("org/tiny-bert")
        data = load_dataset("org/Cats", cache_dir=str(folder / "datasets"))
        data = data.map(
            lambda row: words(row["text"], truncation=True, max_length=12), batched=True
        )
        labels = {"id2label": {0: "calm", 1: "storm"}, "label2id": {"calm": 0, "storm": 1}}
        made = transformers.AutoModelForSequenceClassification.from_pretrained(
            "org/tiny-bert", **labels
        )
        trainer = Trainer(
            model=models.lora(made, task_type="SEQ_CLS", target_modules=["query", "value"]),
            args=TrainingArguments(
                str(folder / "out" / "cats-lora"),
                num_train_epochs=2,
                per_device_train_batch_size=8,
                eval_strategy="epoch",
                logging_steps=2,
                save_strategy="no",
                report_to="none",
                use_cpu=True,
                disable_tqdm=True,
                dataloader_pin_memory=False,
                include_num_input_tokens_seen="non_padding",
            ),
            train_dataset=data["train"],
            eval_dataset=data["test"],
            processing_class=words,
            data_collator=DataCollatorWithPadding(words),
            compute_metrics=lambda told: {
                "accuracy": float((np.argmax(told[0], -1) == told[1]).mean())
            },
            callbacks=[
                Slow(),
                AutoCardCallback(country_iso_code="FRA", measure_power_secs=1, card=card),
            ],
        )
        trainer.train()
        trainer.save_model()
        trainer.evaluate()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.path.insert(0, sys.argv[2])
    os.environ["HF_HUB_CACHE"] = str(Path(sys.argv[1]) / "hub")
    os.environ["HF_HUB_OFFLINE"] = "1"
    main(Path(sys.argv[1]), sys.argv[3] if len(sys.argv) > 3 else None)
