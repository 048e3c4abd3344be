"""The data sets of the run, and what turned their rows into tensors.

Training text is private, so rows are never read: only their number, the names of their columns and
the lengths of token lists are. A data set has an id where a person gave it, or where the Hub's
cache proves it; the latter is marked as inferred.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from autocard.capture.data import dataset_mixture, preprocessing, token_lengths
from autocard.capture.data.dataset_source import IN_MEMORY, Source, find, share_rows
from autocard.capture.data.token_lengths import inside
from autocard.capture.evaluation.training_log import prefixes_of, set_names
from autocard.capture.observed import Observed
from autocard.capture.unwrap import config_of
from autocard.errors import UnavailableError
from autocard.guard import guard
from autocard.record import Data, Dataset
from autocard.record.gaps import Part, PartBuilder, joined


def capture(observed: Observed) -> Part[Data]:
    """Return the training data and the preprocessing; `evaluation_set` returns evaluation data."""
    part = PartBuilder(Data, "data")
    with part.guard("train"):
        part.include("train", joined(as_part(dataset) for dataset in _train(observed)))
    part.gaps["eval"] = "no evaluation was seen"
    with part.guard("preprocessing"):
        part.include("preprocessing", preprocessing.capture(observed))
    return part.build()


def evaluation_set(
    observed: Observed,
    metrics: Mapping[str, Any],
    used_by: Literal["evaluate", "predict"] = "evaluate",
) -> Dataset | None:
    """Return the data set of the evaluation or prediction that gave *metrics*.

    None: the trainer does not show it. `as_part` adds its gaps.
    """
    data = getattr(observed.eval_dataloader, "dataset", None)
    if data is None:
        return None
    parts = _described(data, reading_of(observed, trained_on=False))
    first = parts[0]
    if len(parts) > 1:
        first = Dataset(
            description=f"{len(parts)} datasets, combined",
            rows=_rows(data),
            streaming=first.streaming,
        )
    first = _with_source_of_training_data(first, data, observed)
    return first.model_copy(update={"name": set_name(metrics), "used_by": used_by})


def _with_source_of_training_data(found: Dataset, data: Any, observed: Observed) -> Dataset:
    """Return evaluation data in memory with the id that a person gave for the training data.

    It has that id where it shares rows with them, as after a split; else nothing is claimed.
    """
    given = observed.settings.datasets
    if not given or found.dataset_id is not None or found.description != IN_MEMORY:
        return found
    trained_on = getattr(observed.train_dataloader, "dataset", None)
    if len(given) == 1 and share_rows(inside(data), inside(trained_on)):
        return _named(found, given[0])
    return found.model_copy(update={"description": None})


def set_name(metrics: Mapping[str, Any]) -> str | None:
    """Return the evaluation set's name in the keys of *metrics* (eval_<name>_runtime), or None."""
    return set_names([prefix(metrics)])[prefix(metrics)]


def prefix(metrics: Mapping[str, Any]) -> str:
    """Return the prefix of the keys of *metrics*, such as eval or test."""
    for key in metrics:
        if key.endswith("_runtime"):
            return key.removesuffix("_runtime")
    return "eval"


def with_unique_names(
    sets: Mapping[tuple[str, str], Dataset], log: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, str], Dataset]:
    """Return the evaluation *sets*, by use and prefix, named as their results in *log* are."""
    names = set_names(prefixes_of(log))
    named = dict(sets)
    for (used_by, one), found in sets.items():
        if used_by == "evaluate" and one in names:
            named[used_by, one] = found.model_copy(update={"name": names[one]})
    return named


@dataclass(frozen=True)
class DatasetReading:
    """What counting the tokens of rows depends on."""

    pad_id: int | None = None
    """Token that pads and does nothing else; None: there is none."""
    packing: str | None = None
    """TRL's strategy by which it packed the rows; None: it did not."""
    encoder_inputs: bool = False
    """Whether the rows' token ids are those of an encoder, with a decoder's beside them."""


def reading_of(observed: Observed, *, trained_on: bool = True) -> DatasetReading:
    """Return what counting the tokens depends on, for rows that are *trained_on* or evaluated."""
    arguments = observed.arguments
    packs = arguments.get("packing") is True
    for_evaluation = arguments.get("eval_packing")
    if not trained_on and for_evaluation is not None:
        packs = bool(for_evaluation)
    if (arguments.get("dataset_kwargs") or {}).get("skip_prepare_dataset"):
        packs = False  # the rows are as they were given
    strategy = str(arguments.get("packing_strategy", "")) if packs else None
    config = config_of(observed.model)
    return DatasetReading(
        _pad_id(observed), strategy, bool(getattr(config, "is_encoder_decoder", False))
    )


def _pad_id(observed: Observed) -> int | None:
    """Return the id of the token that pads, where it is not also the end of a text."""
    processor = observed.processing_class
    tokenizer = getattr(processor, "tokenizer", processor)
    pad_id = getattr(tokenizer, "pad_token_id", None)
    others = [
        getattr(tokenizer, f"{name}_token_id", None)
        for name in ("eos", "bos", "unk", "sep", "cls", "mask")
    ]
    return pad_id if isinstance(pad_id, int) and pad_id not in others else None


def as_part(data: Dataset) -> Part[Dataset]:
    """Return *data* with the reason of each of its fields that is None."""
    reasons = {
        "dataset_id": "the dataset carries no Hub ID; datasets=… can name it",
        "description": "see dataset_id",
        "name": "the only set, without a name",
        "revision": "neither given nor found in the local cache",
        "config": "not recorded by the dataset",
        "split": "not recorded by the dataset; splitting and combining lose it",
        "rows": "no length: streamed, or counted with the rows of other sets",
        "inferred": "no ID to infer",
        "tokens": "not a table of token lists, or too many rows to count",
        "tokens_without_padding": "no attention mask marks the padding, or too many tokens",
        "packed_texts": "the rows are not packed, or do not record how many texts they hold",
        "streaming": "named by a person; see the combined rows",
        "probability": "no rows are drawn at random from several parts",
    }
    if data.dataset_id is None:
        reasons["description"] = "not known to be a part of the training data"
        reasons["revision"] = reasons["config"] = "not known to be from the Hub"
    empty = [name for name in reasons if getattr(data, name) is None]
    return Part(data, {name: reasons[name] for name in empty})


def _train(observed: Observed) -> list[Dataset]:
    data = getattr(observed.train_dataloader, "dataset", None)
    if data is None:
        msg = "the trainer showed no training data"
        raise UnavailableError(msg)
    found = [
        part.model_copy(update={"used_by": "train"})
        for part in _described(data, reading_of(observed))
    ]
    return with_ids(found, observed.settings.datasets, _rows(data))


def with_ids(found: list[Dataset], given: Sequence[str], rows: int | None) -> list[Dataset]:
    """Return the data sets that were *found*, with the Hub ids that a person gave.

    Args:
        found: what the training data show.
        given: Hub ids; none: the data sets stay as they are.
        rows: rows of all of them together.
    """
    if not given:
        return found
    if len(given) == 1 and len(found) == 1:
        return [_named(found[0], given[0])]
    if len(given) == len(found) and {part.dataset_id for part in found} == set(given):
        return [part.model_copy(update={"inferred": False}) for part in found]
    named = [Dataset(dataset_id=hub_id, inferred=False, used_by="train") for hub_id in given]
    if len(given) == 1 or not found:
        return named
    joined = Dataset(
        description=f"{len(given)} datasets, combined",
        rows=rows,
        columns=list(dict.fromkeys(column for part in found for column in part.columns)),
        tokens=sum_of([part.tokens for part in found]),
        streaming=found[0].streaming,
        used_by="train",
    )
    return [joined, *named]


def sum_of(counts: Sequence[int | None]) -> int | None:
    """Return the sum of *counts*; None where one of them is not known."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _named(found: Dataset, given: str) -> Dataset:
    """Return *found* with the id that a person gave, without what belongs to another id."""
    if found.dataset_id == given:
        return found.model_copy(update={"inferred": False})
    update: dict[str, Any] = {"dataset_id": given, "inferred": False}
    if found.dataset_id is not None:
        update |= {"revision": None, "config": None, "split": None}
    return found.model_copy(update=update)


def _described(data: Any, reading: DatasetReading) -> list[Dataset]:
    """Return a description of *data*, or of each of its parts where it joins several."""
    data = inside(data)
    found: list[Dataset] = []
    if type(data).__name__ == "ConcatDataset":
        for part in data.datasets:
            found += _described(part, reading)
    elif _is_mapping_of_sets(data):
        for key, part in data.items():
            entries = _described(part, reading)
            found += [entry.model_copy(update={"name": str(key)}) for entry in entries]
    else:
        found += [_part(one, data, reading) for one in dataset_mixture.parts(data)]
    return found or [_one(data, reading)]


def _is_mapping_of_sets(data: Any) -> bool:
    """Return whether *data* is a mapping of name → data set, as sentence-transformers takes it."""
    return isinstance(data, Mapping) and all(hasattr(part, "__len__") for part in data.values())


def _part(one: dataset_mixture.MixturePart, data: Any, reading: DatasetReading) -> Dataset:
    """Return a part of the mixture *data*; columns are those of the whole."""
    of_the_whole = dict.fromkeys(("tokens", "tokens_without_padding", "packed_texts"))
    return _dataset(one.source, data, reading).model_copy(
        update={**of_the_whole, "rows": one.rows, "probability": one.probability}
    )


def _one(data: Any, reading: DatasetReading) -> Dataset:
    return _dataset(find(data), data, reading)


def _dataset(source: Source, data: Any, reading: DatasetReading) -> Dataset:
    counts: dict[str, Any] = {}
    with guard("tokens", {}):
        counts["tokens"] = token_lengths.tokens(data)
        counts["tokens_without_padding"] = token_lengths.tokens_without_padding(
            data, reading.pad_id
        )
        if reading.packing == "bfd":
            counts["packed_texts"] = token_lengths.packed_texts(data)
    return Dataset(
        dataset_id=source.hub_id,
        description=source.description,
        revision=source.revision,
        config=source.config,
        split=source.split,
        rows=_rows(data),
        columns=[str(name) for name in getattr(data, "column_names", None) or ()],
        **counts,
        encoder_inputs=reading.encoder_inputs and counts.get("tokens") is not None,
        packed=reading.packing is not None,
        streaming=any(cls.__name__ == "IterableDataset" for cls in type(data).__mro__),
        inferred=True if source.hub_id is not None else None,
    )


def _rows(data: Any) -> int | None:
    try:
        return len(inside(data))
    # A stream has no `__len__` (TypeError), a base class may define one that only raises
    # (NotImplementedError), and a wrapper may ask what it wraps for an attribute that is not there.
    except (TypeError, NotImplementedError, AttributeError):
        return None
