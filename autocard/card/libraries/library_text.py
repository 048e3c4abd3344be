r"""Decide whether a card is all a library's text, so that no word of a person is lost with it.

One rule: a line that is not known for a library's counts as a person's. Texts are those of
transformers 5.23 (modelcard.py), TRL 1.16 (templates/*.md), PEFT 0.21 (peft_model.py) and
sentence-transformers 6.2; of TRL and sentence-transformers the installed templates are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

_LINES = r"""
---
library_name: \S+
base_model:.{0,300}
model_name: \S+
tags:
datasets:
metrics:
pipeline_tag: \S+
licence: license
model-index:
- name: \S+
  results: \[\]
- (?:generated_from_trainer|trl|sft|dpo|kto|grpo|rloo|reward-trainer|lora|transformers)
- (?:generator|["']?base_model:.{1,300})
should probably proofread and complete it, then remove this comment\. -->
# \S+
This model was trained from scratch on .{1,200} dataset\.
This model is a fine-tuned version of \[[^\]]*\]\([^)]*\)(?: on .{1,200} dataset)?\.
It achieves the following results on the evaluation set:
- [A-Z][\w /@.-]{0,60}: -?(?:[\d.]+(?:e[-+]?\d+)?|nan|inf)
## (?:Model description|Intended uses & limitations|Training and evaluation data|Training procedure)
More information needed
### (?:Training hyperparameters|Training results|Framework versions)
The following hyperparameters were used during training:
- (?:learning_rate|(?:total_)?(?:train|eval)_batch_size|seed): \S{1,40}
- (?:num_devices|num_epochs|training_steps): \S{1,40}
- (?:distributed_type|gradient_accumulation_steps): .{1,60}
- (?:mixed_precision_training|label_smoothing_factor): .{1,60}
- lr_scheduler_(?:type|warmup_ratio|warmup_steps): .{1,60}
- optimizer: Use .{1,200}
\| Training Loss \| Epoch .{1,300} \|
\|(?::?-+:?\|)+
\|(?: *(?:No log|nan|inf|-?[\d.]+(?:e[-+]?\d+)?) *\|)+
```(?:bibtex)?
@\w+\{[\w:-]+,
\w+ *= *(?:\{.{1,500}\}|\d{1,9}),?
This model was trained with [A-Z][\w-]{1,40}(?:, a method introduced in \[.{1,300}\))?\.
\}
- (?:PEFT|TRL|Transformers|Pytorch|Datasets|Tokenizers):? \S+
"""
"""Patterns of whole lines, of the Trainer's card and of what PEFT adds to one: "- PEFT 0.21.0"."""

_COMMENT = (
    r"<!-- This model card has been generated automatically according to the information "
    r"the Trainer had access to\. You"
)
"""Of the Trainer's card, too: the next line of its comment is among those above."""

_TEMPLATES = {
    "trl": "templates/*_model_card.md",
    "sentence_transformers": "*/model_card_template.md",
}
_VARIABLE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}")
"""What Jinja replaces: {{ model_name }}, {% if dataset_name %}."""
_WORD = re.compile(r"\w{3}")
"""Letters that make a line of a template recognizable."""
_MAX_CHARACTERS = 200_000
"""Of a card that is compared; a library's are far shorter."""


def is_all_generated(data: bytes, earlier: bytes) -> bool:
    """Return whether every line of *data* is a library's own, or is in the *earlier* card."""
    try:
        text, before = data.decode("utf-8"), earlier.decode("utf-8", "replace")
    except UnicodeDecodeError:
        return False
    if len(text) > _MAX_CHARACTERS:
        return False
    known = {line.strip() for line in before.splitlines()}
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return all(line in known or _is_generated(line) for line in lines)


def _is_generated(line: str) -> bool:
    return any(pattern.fullmatch(line) for pattern in _patterns())


@lru_cache(maxsize=1)
def _patterns() -> tuple[re.Pattern[str], ...]:
    lines = [_COMMENT, *(line.strip() for line in _LINES.splitlines())]
    own = [re.compile(line) for line in lines if line]
    return (*own, *_template_patterns())


def _template_patterns() -> list[re.Pattern[str]]:
    """Return the lines of the libraries' templates, with anything in a variable's place."""
    found: dict[str, re.Pattern[str]] = {}
    for path in _template_files():
        for line in path.read_text(encoding="utf-8").splitlines():
            words = _VARIABLE.split(line.strip())
            # A line that is all variables could be anything.
            if any(_WORD.search(word) for word in words):
                found[line] = re.compile(".{0,300}".join(map(re.escape, words)))
    return list(found.values())


def _template_files() -> Iterator[Path]:
    """Yield the model card templates of the libraries that are installed."""
    for package, pattern in _TEMPLATES.items():
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            yield from Path(spec.origin).parent.glob(pattern)
