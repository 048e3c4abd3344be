"""Tiny real models, tokenizers and data sets, and a real Trainer that lets tests look in. No network, no downloads."""

from __future__ import annotations

import contextlib
import io
import warnings

import torch
import transformers
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import Trainer, TrainerCallback, TrainingArguments

from autocard.settings import Settings
from autocard.trainers.transformers import observe

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "dog",
    "ran",
    "off",
]
EVENTS = (
    "model",
    "processing_class",
    "optimizer",
    "lr_scheduler",
    "train_dataloader",
    "eval_dataloader",
)


def tokenizer():
    unknown = {"unk_token": "[UNK]"}
    words = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, **unknown))
    words.pre_tokenizer = Whitespace()
    special = {"pad_token": "[PAD]", "mask_token": "[MASK]", **unknown}
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, model_max_length=32, padding_side="right", **special
    )


def bert(**config):
    """A BERT with a classification head: 2 layers, hidden size 16."""
    settings = {"num_labels": 2, **config}
    torch.manual_seed(0)
    return transformers.BertForSequenceClassification(
        transformers.BertConfig(**_sizes(), **settings)
    )


def llama(**config):
    """A Llama with a language-modelling head: 2 layers, 4 heads, 2 key-value heads."""
    torch.manual_seed(0)
    settings = {
        "num_key_value_heads": 2,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
        **config,
    }
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(**{**_sizes(), "num_attention_heads": 4}, **settings)
    )


def _sizes():
    return {
        "vocab_size": len(WORDS),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 64,
    }


def save(model, folder, dtype=None):
    """Save *model* into *folder*, without progress bars; return the folder as text."""
    if dtype is not None:
        model = model.to(dtype)
    with contextlib.redirect_stderr(io.StringIO()):
        model.save_pretrained(folder)
    return str(folder)


def load(cls, folder, **how):
    """Load a saved model with the Auto class *cls*, without progress bars."""
    with contextlib.redirect_stderr(io.StringIO()):
        return getattr(transformers, cls).from_pretrained(folder, **how)


def lora(model, **settings):
    """Put a LoRA adapter on *model*."""
    from peft import LoraConfig, get_peft_model

    with warnings.catch_warnings():
        # peft asks a name of transformers that is going away
        warnings.simplefilter("ignore", FutureWarning)
        return get_peft_model(
            model, LoraConfig(**{"r": 4, "lora_alpha": 8, "lora_dropout": 0.0, **settings})
        )


def texts(count=16):
    """A data set in memory: a text and a label in each row."""
    sentences = [
        "the cat sat on a mat",
        "the dog ran off",
        "a cat ran",
        "dog sat on the mat off a cat",
    ]
    return Dataset.from_dict(
        {
            "text": [sentences[index % 4] for index in range(count)],
            "label": [index % 2 for index in range(count)],
        }
    )


def tokens(count=16, length=12):
    """The same with its tokens, cut at *length*."""
    cut = tokenizer()

    def encode(rows):
        return cut(rows["text"], truncation=True, max_length=length)

    return Dataset.from_list([{**row, **encode(row)} for row in texts(count)])


def language(count=8, length=8):
    """Rows for a language model: token ids that are their own labels."""
    ids = [[5 + (row + place) % 9 for place in range(length)] for row in range(count)]
    return Dataset.from_dict(
        {"input_ids": ids, "attention_mask": [[1] * length] * count, "labels": ids}
    )


class Watch(TrainerCallback):
    """Calls *look* with what the Trainer shows when training begins, and keeps what it returns."""

    def __init__(self, look=None, settings=None, at="on_train_begin"):
        self.look, self.settings, self.at = look, settings or Settings(), at
        self.result, self.seen, self.error = None, None, None

    def _event(self, name, args, state, objects):
        self.seen = observe(self.settings, args, state, **{key: objects.get(key) for key in EVENTS})
        if name == self.at and self.look is not None:
            self.result = self.look(self.seen)

    def on_init_end(self, args, state, control, **objects):
        self._event("on_init_end", args, state, objects)

    def on_train_begin(self, args, state, control, **objects):
        self._event("on_train_begin", args, state, objects)

    def on_evaluate(self, args, state, control, **objects):
        self._event("on_evaluate", args, state, objects)

    def on_train_end(self, args, state, control, **objects):
        self._event("on_train_end", args, state, objects)


def arguments(folder, cls=TrainingArguments, **settings):
    """Arguments of a run of two steps on the CPU that saves and reports nothing."""
    plain = {
        "output_dir": str(folder),
        "max_steps": 2,
        "per_device_train_batch_size": 4,
        "use_cpu": True,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }
    return cls(**{**plain, **settings})


def train(model, data, folder, *callbacks, cls=Trainer, resume=None, trainer=None, **settings):
    """Train *model* for a few steps; return the trainer."""
    made = cls(
        model=model,
        args=arguments(folder, **settings),
        train_dataset=data,
        callbacks=list(callbacks),
        **trainer or {},
    )
    with contextlib.redirect_stdout(io.StringIO()):
        made.train(resume_from_checkpoint=resume)
    return made
