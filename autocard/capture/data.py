"""The data sets of the run and what stood between rows and tensors.

Rows are never read: their number, their columns' names and the lengths of token lists are (training text is private).
A data set's id is told where a person gave it, or where the Hub's cache proves it; then it is marked as inferred.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from autocard.capture import Seen
from autocard.capture.source import Source, find
from autocard.capture.unwrap import is_sentence_transformer, without_wrappers
from autocard.errors import UnavailableError
from autocard.guard import guard
from autocard.record import Data, Dataset, Preprocessing

LOOKED_AT_ROWS = 1000
"""Rows whose length is looked at, to find the longest input."""

_ABSURD_TOKENS = 10**9
"""transformers' tokenizers without a limit say 10^30 (tokenization_utils_base.py, VERY_LARGE_INTEGER)."""

_DEPTH = 8
"""Wrappers of data sets and collators that are taken off one after the other."""


def capture(seen: Seen, missing: dict[str, str]) -> Data:
    """Return the training data and the preprocessing; evaluation data are seen at evaluations (`evaluation_set`)."""
    train: list[Dataset] = []
    with guard("data.train", missing):
        train = _train(seen)
        missing.update(explain(train, "data.train"))
    missing["data.eval"] = "no evaluation was seen"
    preprocessing = Preprocessing()
    with guard("data.preprocessing", missing):
        preprocessing = _preprocessing(seen, missing)
    return Data(train=train, preprocessing=preprocessing)


def evaluation_set(seen: Seen, metrics: Mapping[str, Any]) -> Dataset | None:
    """Return the data set of the evaluation that gave *metrics*, or None where there is no trace of it.

    `explain([...], "data.eval")` gives the reasons of what it leaves open.
    """
    data = getattr(seen.eval_dataloader, "dataset", None)
    if data is None:
        return None
    parts = _described(data)
    first = parts[0]
    if len(parts) > 1:
        first = Dataset(description=f"{len(parts)} data sets, joined", rows=_rows(data))
    return first.model_copy(update={"name": set_name(metrics)})


def set_name(metrics: Mapping[str, Any]) -> str | None:
    """Return the name of the evaluation set that the keys of *metrics* carry (eval_<name>_runtime), or None."""
    prefix = next((key.removesuffix("_runtime") for key in metrics if key.endswith("_runtime")), "eval")
    return None if prefix == "eval" else prefix.removeprefix("eval_")


def explain(sets: Sequence[Dataset], path: str) -> dict[str, str]:
    """Return the reason of each fact that is None in *sets*, which stand at *path* in the record."""
    reasons = {}
    for index, data in enumerate(sets):
        from_hub = data.dataset_id is not None
        words = {
            "dataset_id": "the data set carries no trace of a Hub id; datasets=… can name it",
            "description": "dataset_id says it",
            "name": "there is one such set, and it has no name",
            "revision": "neither given nor found in the local cache" if from_hub else "not known to be from the Hub",
            "config": "not recorded by the data set" if from_hub else "not known to be from the Hub",
            "split": "the data set does not say; splitting, joining and building in memory lose it",
            "rows": "it has no length: it is read as a stream, or joined with others whose rows are told together",
            "inferred": "there is no id that could have been inferred",
        }
        reasons.update({f"{path}.{index}.{key}": why for key, why in words.items() if getattr(data, key) is None})
    return reasons


def _train(seen: Seen) -> list[Dataset]:
    data = getattr(seen.train_dataloader, "dataset", None)
    if data is None:
        msg = "the trainer showed no training data"
        raise UnavailableError(msg)
    found = _described(data)
    given = seen.settings.datasets
    if not given:
        return found
    if len(given) == 1 and len(found) == 1:
        return [_named(found[0], given[0])]
    if len(given) == len(found) and {part.dataset_id for part in found} == set(given):
        return [part.model_copy(update={"inferred": False}) for part in found]
    joined = Dataset(
        description=f"{len(given)} data sets, joined",
        rows=_rows(data),
        columns=list(dict.fromkeys(column for part in found for column in part.columns)),
    )
    named = [Dataset(dataset_id=hub_id, inferred=False) for hub_id in given]
    return named if len(given) == 1 else [joined, *named]


def _named(found: Dataset, given: str) -> Dataset:
    """Return *found* under the id that a person gave; what was found out about another id is dropped."""
    if found.dataset_id == given:
        return found.model_copy(update={"inferred": False})
    update: dict[str, Any] = {"dataset_id": given, "inferred": False}
    if found.dataset_id is not None:
        update |= {"revision": None, "config": None, "split": None}
    return found.model_copy(update=update)


def _described(data: Any) -> list[Dataset]:
    """Return a description of *data*, or of each of its parts where it joins several."""
    data = _inside(data)
    if type(data).__name__ == "ConcatDataset":
        parts = list(data.datasets)
        return [entry for part in parts for entry in _described(part)] or [_one(data)]
    if isinstance(data, Mapping) and data and all(hasattr(part, "__len__") for part in data.values()):
        return [entry.model_copy(update={"name": str(key)}) for key, part in data.items() for entry in _described(part)]
    return [_one(data)]


def _inside(data: Any) -> Any:
    """Return the data set inside transformers' and accelerate's shards."""
    for _ in range(_DEPTH):
        if type(data).__name__ not in {"IterableDatasetShard", "SkipBatchSampler"}:
            break
        data = data.dataset
    return data


def _one(data: Any) -> Dataset:
    source: Source = find(data)
    return Dataset(
        dataset_id=source.hub_id,
        description=source.description,
        revision=source.revision,
        config=source.config,
        split=source.split,
        rows=_rows(data),
        columns=[str(name) for name in getattr(data, "column_names", None) or ()],
        inferred=True if source.hub_id is not None else None,
    )


def _rows(data: Any) -> int | None:
    try:
        return len(_inside(data))
    except (TypeError, NotImplementedError, AttributeError):
        return None


def _preprocessing(seen: Seen, missing: dict[str, str]) -> Preprocessing:
    facts: dict[str, Any] = {}
    path = "data.preprocessing"
    collator = None
    with guard(f"{path}.collator", missing):
        collator = _collator(seen)
        facts["collator"] = _collator_name(collator)
    processor = seen.processing_class or getattr(collator, "tokenizer", None)
    tokenizer = getattr(processor, "tokenizer", processor)
    with guard(f"{path}.tokenizer", missing):
        if processor is None:
            msg = "the trainer was given no tokenizer or processor"
            raise UnavailableError(msg)
        facts["tokenizer"] = type(processor).__name__
    with guard(f"{path}.vocabulary_count", missing):
        facts["vocabulary_count"] = _vocabulary(tokenizer)
    with guard(f"{path}.longest_input", missing):
        facts["longest_input"] = _longest(_inside(getattr(seen.train_dataloader, "dataset", None)))
    with guard(f"{path}.max_length", missing):
        facts["max_length"] = _max_length(seen, tokenizer, facts.get("longest_input"))
    with guard(f"{path}.padding_side", missing):
        facts["padding_side"] = _padding_side(tokenizer)
    with guard(f"{path}.packing", missing):
        facts["packing"] = _packing(seen, facts.get("collator"))
    return Preprocessing(**facts)


def _collator(seen: Seen) -> Any:
    """Return what makes the batches, without transformers' wrapper that drops columns."""
    collator: Any = getattr(seen.train_dataloader, "collate_fn", None)
    for _ in range(_DEPTH):
        if type(collator).__name__ == "RemoveColumnsCollator":
            collator = collator.data_collator
        elif isinstance(collator, functools.partial):
            collator = collator.func
        else:
            break
    return collator


def _collator_name(collator: Any) -> str:
    if collator is None:
        msg = "the trainer showed no collator"
        raise UnavailableError(msg)
    name = getattr(collator, "__name__", None) or type(collator).__name__
    return "a function without a name" if name == "<lambda>" else str(name)


def _vocabulary(tokenizer: Any) -> int:
    if tokenizer is None or not hasattr(tokenizer, "__len__"):
        msg = "there is no tokenizer"
        raise UnavailableError(msg)
    return len(tokenizer)


def _padding_side(tokenizer: Any) -> str:
    side = getattr(tokenizer, "padding_side", None)
    if side not in {"left", "right"}:
        msg = "there is no tokenizer that pads"
        raise UnavailableError(msg)
    return str(side)


def _max_length(seen: Seen, tokenizer: Any, longest: int | None) -> int:
    """Return the tokens at which inputs are cut.

    Those of TRL's arguments or of the sentence-transformers model; else where the tokenizer was last told to cut, if
    the rows that were looked at agree; else its own limit.
    """
    whole = without_wrappers(seen.model)
    told = [getattr(seen.args, name, None) for name in ("max_length", "max_seq_length")]
    if is_sentence_transformer(whole):
        told.append(getattr(whole, "max_seq_length", None))
    cut = getattr(getattr(tokenizer, "backend_tokenizer", None), "truncation", None) or {}
    if longest is not None and isinstance(cut.get("max_length"), int) and longest <= cut["max_length"]:
        told.append(cut["max_length"])
    told.append(getattr(tokenizer, "model_max_length", None))
    for tokens in told:
        if isinstance(tokens, int) and 0 < tokens < _ABSURD_TOKENS:
            return tokens
    msg = "the tokenizer has no limit" if tokenizer is not None else "there is no tokenizer"
    raise UnavailableError(msg)


def _longest(data: Any) -> int:
    """Return the length of the longest token list in the first rows, read from the table without formatting."""
    if type(data).__name__ != "Dataset" or not hasattr(data, "data") or "input_ids" not in data.column_names:
        msg = "the rows are not a table of token lists, so their lengths were not looked at"
        raise UnavailableError(msg)
    column = data.data.column("input_ids")
    order = getattr(data, "_indices", None)
    count = min(len(data), LOOKED_AT_ROWS)
    # Row by row: taking many rows at once would copy the whole table of a shuffled data set.
    rows = range(count) if order is None else (order.column(0)[index].as_py() for index in range(count))
    lengths = [len(cell) for cell in (column[row] for row in rows) if hasattr(cell, "__len__") and cell.is_valid]
    if not lengths:
        msg = "the rows hold no token lists"
        raise UnavailableError(msg)
    return max(lengths)


def _packing(seen: Seen, collator: str | None) -> bool:
    packing = getattr(seen.args, "packing", None)
    if isinstance(packing, bool):
        return packing
    if collator == "DataCollatorWithFlattening":
        return True
    msg = "only TRL's arguments say so; the rows may have been packed before"
    raise UnavailableError(msg)
