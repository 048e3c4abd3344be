"""What the frozen records have in the words of 0.1.0 → the same in the words of today.

The frozen files stay as they are; only what is compared is put in the words of today.
"""

from __future__ import annotations

import re
from typing import Any

_TABLE = (
    (r"\ban in-memory data set \(datasets\.Dataset\)", "an in-memory dataset"),
    (
        r"\brows made by a generator function \(datasets\.\w+\)",
        "a dataset made by a generator function",
    ),
    (r"(\d+) data sets, joined", r"\1 datasets, combined"),
    (r"the data set carries no trace of a Hub id;", "the dataset carries no Hub ID;"),
    (r"there is no id that could have been inferred", "no ID to infer"),
    (r"there is one such set, and it has no name", "the only set, without a name"),
    (
        r"or do not tell of how many texts",
        "or do not record how many texts they hold",
    ),
    (
        r"the data set does not say; splitting, joining and building in memory lose it",
        "not recorded by the dataset; splitting and combining lose it",
    ),
    (r"only TRL's arguments say so;", "only TRL's arguments show it;"),
    (
        r"not given: contracts tell it, no meter does",
        "not given: it is set by contracts and cannot be metered",
    ),
    (
        r"it is told where some of several nodes are known and others are not",
        "only given where some of several nodes did not report",
    ),
    (
        r"there is no base model: the weights were initialised, not loaded",
        "no base model: the weights were initialized, not loaded",
    ),
    (r"the term says it all", "the term is exact"),
    (r"\bthe leg did not come to its end\b", "training did not finish"),
    (r"^none: trained from scratch$", "none (trained from scratch)"),
    (r"^(base_model|dataset_id) says it$", r"see \1"),
    (r"causal language modelling", "causal language modeling"),
    (r"the adapter fits weights of", "the adapter belongs to"),
    (r"^weights of (?=org/)", ""),
    (
        r"(org/[\w-]+), changed after they were loaded \(as by a merged adapter\)",
        r"\1 with weights changed after loading (for example by a merged adapter)",
    ),
    (r"were not looked at\b", "were not examined"),
    (r"no rows were looked at", "no rows were examined"),
    (r"the collator does not say how", "the data collator does not show how"),
    (
        r"the rows are not a table of token lists, or there are too many of them to count",
        "not a table of token lists, or too many rows to count",
    ),
    (
        r"no attention mask tells padding from others, or there are too many tokens",
        "no attention mask marks the padding, or too many tokens",
    ),
    (r"the data loader does not tell how long", "the data loader does not show how long"),
    (
        r"sentence-transformers loads it with a class of its own",
        "sentence-transformers has its own class for it",
    ),
    (
        r"it has no length: it is read as a stream, or joined with others whose rows are told together",
        "no length: streamed, or counted with the rows of other sets",
    ),
    (r"the data set has no length", "the dataset has no length"),
    (r"not recorded by the data set", "not recorded by the dataset"),
    (
        r"a person named it; how it was read is told of the rows that it is part of",
        "named by a person; see the combined rows",
    ),
    (r"and nothing else tells it;", "and no other source has it;"),
    (r"training was broken off, so", "training was interrupted, so"),
    (r"\bautocard did not look for this\b", "not captured"),
    (
        r"what this leg did after (.+): its ledger was not in reach of the training that went on\b",
        r"energy after \1: the files of this start were not available to the training that resumed",
    ),
    (
        r"what (\d+) of (\d+) processes used is not known",
        r"\1 of \2 processes did not report their energy",
    ),
    (r"^california$", "California"),  # regions by code or name, since
)
_PATTERNS = [(re.compile(then), today) for then, today in _TABLE]


def of_today(node: Any) -> Any:
    """Return *node* of a frozen file, each of its texts in the words of today."""
    if isinstance(node, dict):
        return {name: of_today(value) for name, value in node.items()}
    if isinstance(node, list):
        return [of_today(value) for value in node]
    if not isinstance(node, str):
        return node
    for pattern, today in _PATTERNS:
        node = pattern.sub(today, node)
    return node
