"""Make tiny real models, tokenizers and data sets, and train them while a test reads along; nothing is downloaded."""

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


def build(cls, config):
    """Return a new model of *cls*: the same weights at each call."""
    torch.manual_seed(0)
    return cls(config)


def bert(cls=transformers.BertForSequenceClassification, **changes):
    """Return a BERT, with a classification head unless *cls* is another class."""
    return build(cls, transformers.BertConfig(**sizes(**changes)))


def llama(cls=transformers.LlamaForCausalLM, **changes):
    """Return a Llama of 4 heads and 2 key-value heads, with a language-modeling head unless *cls* is another class."""
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    tokens = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    return build(cls, transformers.LlamaConfig(**sizes(**{**heads, **tokens, **changes})))


def gpt2(**changes):
    """Return a GPT-2 with a language-modeling head."""
    small = {"vocab_size": len(WORDS), "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}
    return build(transformers.GPT2LMHeadModel, transformers.GPT2Config(**{**small, **changes}))


def t5(**changes):
    """Return a T5, an encoder with a decoder."""
    small = {"vocab_size": len(WORDS), "d_model": 16, "d_kv": 8, "d_ff": 32}
    layers = {"num_layers": 2, "num_heads": 2}
    config = transformers.T5Config(**{**small, **layers, **changes})
    return build(transformers.T5ForConditionalGeneration, config)


def vit(**changes):
    """Return a classifier of pictures of 16 × 16 pixels."""
    pictures = {"image_size": 16, "patch_size": 8}
    config = transformers.ViTConfig(**{**_layers(), **pictures, **changes})
    return build(transformers.ViTForImageClassification, config)


def clip(**changes):
    """Return a CLIP: one layer that reads texts, and one that reads pictures of 16 × 16 pixels."""
    small = {**_layers(), "num_hidden_layers": 1}
    config = transformers.CLIPConfig(
        text_config={**small, "vocab_size": 50, "max_position_embeddings": 16, "eos_token_id": 8},
        vision_config={**small, "image_size": 16, "patch_size": 8},
        **{"projection_dim": 16, **changes},
    )
    return build(transformers.CLIPModel, config)


def _layers():
    return {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }


def sizes(**changes):
    """Return the sizes of a tiny configuration that reads `WORDS`."""
    return {
        **_layers(),
        "vocab_size": len(WORDS),
        "max_position_embeddings": 64,
        **changes,
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
        self.look, self.settings, self.at = look, settings, at
        self.result, self.seen, self.error = None, None, None

    def _event(self, name, args, state, objects):
        # Not at the top: programs make models before they import autocard.
        from autocard.settings import Settings
        from autocard.trainers.transformers import observe

        self.seen = observe(
            self.settings or Settings(), args, state, **{key: objects.get(key) for key in EVENTS}
        )
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
