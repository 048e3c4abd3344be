r"""Recognize what Trainer, TRL, PEFT and sentence-transformers write into a card by themselves.

One rule: the whole value must be as the tool writes it; a sentence more, and it is a person's.
Texts are those of transformers 5.23 (modelcard.py), TRL 1.16 (templates/lm_model_card.md,
rm_model_card.md), PEFT 0.21 (peft_model.py) and sentence-transformers 6.2
(base/model_card_template.md); line endings as "\n". Every test here reads each character a bounded
number of times.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

_STARTS = (
    "This model was trained from scratch on ",
    "This model is a fine-tuned version of [",
    "The following hyperparameters were used during training:",
    "The following `bitsandbytes` quantization config was used during training:",
)
_BY_TRL = "It has been trained using [TRL](https://github.com/huggingface/trl)"
_BY_CODECARBON = (
    "Carbon emissions were measured using [CodeCarbon](https://github.com/mlco2/codecarbon)."
)

_BY_TRAINER = (
    "<!-- This model card has been generated automatically according to the information the "
    "Trainer had access to."
)
SIGNATURES = (_BY_TRAINER, _BY_TRL)
"""Sentences of a card that one of the trainers has just written."""

FRONT = {"library_name": "transformers"}
"""Keys that a trainer writes into its cards whatever it trained, and the values that it gives
them."""

_METHOD = re.compile(
    r"This model was trained with [A-Z][\w-]{1,40}"
    r"(?:, a method introduced in \[[^\]\n]{1,300}\].{0,300})?\.?"
)
"""TRL: `This model was trained with DPO, a method introduced in [Direct Preference …](…).`"""
_BADGE = re.compile(
    r'\[<img src="https://[^"\n]{1,200}" alt="Visualize in [^"\n]{1,60}"[^<>\n]{0,200}/>\]'
    r"\([^()\n]{1,500}\)"
)
"""TRL: `[<img src="https://…" alt="Visualize in Weights & Biases" …/>](https://wandb.ai/…)`."""
_VERSION = re.compile(
    r"- (?:PEFT|TRL|Transformers|Pytorch|PyTorch|Datasets|Tokenizers|Accelerate|Python"
    r"|Sentence Transformers):? [0-9][\w.+-]{0,60}"
)
"""`- Transformers 5.23.0`, `- PEFT 0.21.1.dev0`."""
_FIGURE = re.compile(r"\d{1,12}\.\d{3} (?:kWh|kg of CO2)")
"""sentence-transformers: `0.045 kg of CO2`."""
_DURATION = re.compile(
    r"- \*\*(?:Training|Evaluation|Total)\*\*: \d{1,9}\.\d (?:seconds|minutes|hours|days)"
)
"""sentence-transformers: `- **Training**: 3.5 minutes`."""
_HARDWARE = ("- **On Cloud**: ", "- **GPU Model**: ", "- **CPU Model**: ", "- **RAM Size**: ")
_LONGEST_NAME = 200
"""Characters of a device's name."""

_CALLS_WITHOUT_MODEL = ('pipeline("text-generation", model="None"', 'pipeline(model="None"')
_WORDS_WITHOUT_NAME = (
    "[None](https://huggingface.co/None)",
    "[](https://huggingface.co/)",
    " the None dataset",
)


class Surroundings:
    """The section that a value stands in, which shows who wrote its figures; searched once."""

    def __init__(self, text: str) -> None:
        """*text*: the section, line endings as they are."""
        self._text = text

    @cached_property
    def by_codecarbon(self) -> bool:
        """Whether sentence-transformers' sentence above CodeCarbon's figures stands there."""
        return _BY_CODECARBON in self._text

    @cached_property
    def gpu(self) -> str | None:
        """What sentence-transformers writes behind "GPU Model"; None: its lines are not there."""
        if not all(mark in self._text for mark in _HARDWARE):
            return None
        name = self._text.partition(_HARDWARE[1])[2].partition("\n")[0].strip()
        return None if name == "No GPU used" else name


def is_generated(value: str, around: Surroundings | None = None) -> bool:
    """Return whether *value*, the Markdown of a slot, is a tool's text: a fact may replace it."""
    text = value.strip()
    if around is not None and "\n" not in text and _is_figure(text, around):
        return True
    if text.startswith("```"):
        return any(call in text for call in _CALLS_WITHOUT_MODEL)
    if not text.startswith(("- ", "Th")):
        return False
    lines = [line.rstrip() for line in text.split("\n") if line.strip()]
    if lines[0].startswith(_STARTS):
        return _is_trainer_list(lines[1:])
    return any(all(kind.fullmatch(line) for line in lines) for kind in (_VERSION, _DURATION))


def _is_trainer_list(lines: Sequence[str]) -> bool:
    """Return whether *lines*, below a trainer's own sentence, are its own, too."""
    if lines and lines[0].startswith("It achieves the following results"):
        lines = lines[1:]
    return all(line.startswith("- ") or _BY_TRL in line for line in lines)


def _is_figure(text: str, around: Surroundings) -> bool:
    """Return whether *text* is one of CodeCarbon's figures in a card of sentence-transformers."""
    if _FIGURE.fullmatch(text):
        return around.by_codecarbon
    return bool(text) and len(text) <= _LONGEST_NAME and text == around.gpu


def is_false(value: str) -> bool:
    """Return whether the generated text *value* names a model or dataset "None"."""
    return any(words in value for words in (*_WORDS_WITHOUT_NAME, *_CALLS_WITHOUT_MODEL))


def is_true_statement(paragraph: str) -> bool:
    """Return whether *paragraph* is a tool's own and true (its method, badges): it stays."""
    lines = [line.strip() for line in paragraph.strip().split("\n")]
    return all(_METHOD.fullmatch(line) or _BADGE.fullmatch(line) for line in lines)


def is_trainer_card(text: str) -> bool:
    """Return whether the card *text* still has the sentences that a trainer writes into it."""
    return any(signature in text for signature in SIGNATURES)
