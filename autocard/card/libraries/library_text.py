r"""Whether a card is nothing but what a library writes, so that no word of a person is lost with it.

One rule: a line that is not known for a library's counts as a person's. Texts are those of
transformers 5.23 (modelcard.py), TRL 1.16 (templates/*.md), PEFT 0.21 (peft_model.py) and
sentence-transformers 6.2; of TRL and sentence-transformers the installed templates are read.
"""

from __future__ import annotations

import re
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
<!-- This model card has been generated automatically according to the information the Trainer had access to\. You
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
- (?:learning_rate|(?:total_)?(?:train|eval)_batch_size|seed|num_devices|num_epochs|training_steps): \S{1,40}
- (?:distributed_type|gradient_accumulation_steps|mixed_precision_training|label_smoothing_factor): .{1,60}
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
"""Patterns of whole lines, of the Trainer's card and of what PEFT adds to one."""

_TEMPLATES = {
    "trl": "templates/*_model_card.md",
    "sentence_transformers": "*/model_card_template.md",
}
_VARIABLE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}")
_LARGEST = 200_000
"""Characters of a card that is looked at; a library's are far shorter."""


def is_all_generated(data: bytes, earlier: bytes) -> bool:
    """Return whether every line of *data* is a library's own, or stands in the *earlier* card as well."""
    try:
        text, before = data.decode("utf-8"), earlier.decode("utf-8", "replace")
    except UnicodeDecodeError:
        return False
    if len(text) > _LARGEST:
        return False
    known = {line.strip() for line in before.splitlines()}
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return all(line in known or _is_generated(line) for line in lines)


def _is_generated(line: str) -> bool:
    return any(pattern.fullmatch(line) for pattern in _patterns())


@lru_cache(maxsize=1)
def _patterns() -> tuple[re.Pattern[str], ...]:
    own = [re.compile(line.strip()) for line in _LINES.splitlines() if line.strip()]
    return (*own, *_of_templates())


def _of_templates() -> list[re.Pattern[str]]:
    """Return the lines of the installed libraries' templates: their words, with anything in a variable's place."""
    found: dict[str, re.Pattern[str]] = {}
    for package, names in _TEMPLATES.items():
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            continue
        for path in Path(spec.origin).parent.glob(names):
            for line in path.read_text(encoding="utf-8").splitlines():
                words = _VARIABLE.split(line.strip())
                # A line that is all variables could be anything.
                if any(re.search(r"\w{3}", word) for word in words):
                    found[line] = re.compile(".{0,300}".join(re.escape(word) for word in words))
    return list(found.values())
