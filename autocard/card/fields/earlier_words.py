"""What records of version 0.1.0 have in words → the same in the words of today.

One rule: only phrases that autocard wrote are replaced, and only in leaves that hold them; the
record itself stays as it is.
"""

from __future__ import annotations

import re

from autocard.record import Adapter, Data, Dataset, Energy, Model, RunRecord, Training

_SPELLINGS = (
    (re.compile(r"\bmodelling\b"), "modeling"),
    (re.compile(r"\bmodelled\b"), "modeled"),
    (re.compile(r"\boptimisation\b"), "optimization"),
    (re.compile(r"\bregularisation\b"), "regularization"),
    (re.compile(r"\binitialised\b"), "initialized"),
    (re.compile(r"\brank-stabilised\b"), "rank-stabilized"),
)
_DATA = (
    (re.compile(r"^an in-memory data set \(datasets\.Dataset\)$"), "an in-memory dataset"),
    (re.compile(r"^a stream of rows \(datasets\.IterableDataset\)$"), "a streamed dataset"),
    (re.compile(r"^streamed from the Hub \(\w+\)$"), "streamed from the Hub"),
    (
        re.compile(r"^rows made by a generator function \(datasets\.\w+\)$"),
        "a dataset made by a generator function",
    ),
    (
        re.compile(r"^rows from Arrow files \(origin not recorded\)$"),
        "a dataset from Arrow files (source not recorded)",
    ),
    (
        re.compile(r"^a data set of the Hub, whose exact id the local cache does not tell$"),
        "a Hub dataset (exact ID not in the local cache)",
    ),
    (
        re.compile(r"^rows made of data sets of the Hub that were joined; which ones .*$"),
        "a combination of Hub datasets (which ones is not recorded)",
    ),
    (re.compile(r"^a data set of a class of its own \((list|tuple)\)$"), r"a Python \1"),
    (re.compile(r"^a data set of a class of its own \(torch\.(\w+)\)$"), r"a PyTorch \1"),
    (re.compile(r"^a data set of a class of its own \((\w+)\.(\w+)\)$"), r"a \2 dataset of \1"),
    (re.compile(r"^a data set of a class of its own \((\w+)\)$"), r"a custom \1 dataset"),
    (re.compile(r"^(\d+) data sets, joined$"), r"\1 datasets, combined"),
)
_BASE = (
    (
        re.compile(r"^none: trained from scratch, with the (.+)$"),
        r"none (trained from scratch with the \1)",
    ),
    (
        re.compile(
            r"^none: trained from scratch; an earlier training of the same process "
            r"\(run (\w+)\) had done the first (\d[\d,]* steps?)$"
        ),
        r"none (trained from scratch; first \2 in run \1)",
    ),
    (re.compile(r"^none: trained from scratch$"), "none (trained from scratch)"),
    (
        re.compile(r"^a local checkpoint, itself fine-tuned from "),
        "a local checkpoint fine-tuned from ",
    ),
    (
        re.compile(
            r"^weights of (\S+), changed after they were loaded \(as by a merged adapter\)$"
        ),
        r"\1 with weights changed after loading (for example by a merged adapter)",
    ),
)
_SCHEDULE = (
    (re.compile(r"^constant_with_warmup\b"), "constant"),
    (re.compile(r"^cosine_with_restarts\b"), "cosine with restarts"),
    (re.compile(r"^warmup_stable_decay\b"), "warmup-stable-decay"),
    (re.compile(r", 1 warm-up steps of (\d+)$"), r" with 1 warmup step (of \1 in total)"),
    (re.compile(r", (\d+) warm-up steps of (\d+)$"), r" with \1 warmup steps (of \2 in total)"),
    (re.compile(r"^LambdaLR of the run's own\b"), "custom LambdaLR"),
    (re.compile(r"^changed by code of the run's own\b"), "changed by custom code"),
)
_REASONS = (
    (re.compile(r"\btraining was broken off, so\b"), "training was interrupted, so"),
    (
        re.compile(r"\btraining was over before there were two readings\b"),
        "run too short for two readings",
    ),
    (re.compile(r"\bwas not heard\b"), "did not report"),
    (
        re.compile(r"\bwhat (\d[\d,]*) of (\d[\d,]*) processes used is not known\b"),
        r"\1 of \2 processes did not report their energy",
    ),
    (
        re.compile(r"\bshows none of the GPUs that the training uses\b"),
        "lists none of the GPUs used for training",
    ),
    (
        re.compile(r"\bthis version of autocard does not measure\b"),
        "no readings available for",
    ),
    (re.compile(r"\bdoes not tell (?:its|the)\b"), "does not report the"),
)
_POWER = re.compile(r"(?<=e)([+-])0?(\d)")
"""The exponent of 5e-05 and 1e+30 as Python writes it."""

Phrases = tuple[tuple[re.Pattern[str], str], ...]


def in_words_of_today(record: RunRecord) -> RunRecord:
    """Return *record* with the words of today in place of those of version 0.1.0."""
    return record.model_copy(
        update={
            "model": _model(record.model),
            "adapters": [_adapter(adapter) for adapter in record.adapters],
            "training": _training(record.training),
            "data": _data(record.data),
            "energy": _energy(record.energy),
            "missing": {
                path: _replaced(reason, _REASONS) or "" for path, reason in record.missing.items()
            },
        }
    )


def _replaced(text: str | None, phrases: Phrases) -> str | None:
    """Return *text* with each of *phrases* replaced, and with American spelling."""
    if text is None:
        return None
    for earlier, today in (*phrases, *_SPELLINGS):
        text = earlier.sub(today, text)
    return text


def _model(model: Model) -> Model:
    return model.model_copy(
        update={
            "task": _replaced(
                model.task, ((re.compile("^scores of pairs of texts$"), "text pair scoring"),)
            ),
            "base_model_description": _replaced(model.base_model_description, _BASE),
        }
    )


def _adapter(adapter: Adapter) -> Adapter:
    return adapter.model_copy(update={"method": _replaced(adapter.method, ())})


def _training(training: Training) -> Training:
    optimizer = training.optimizer
    if optimizer is not None:
        optimizer = _POWER.sub(_short_power, optimizer)
    return training.model_copy(
        update={
            "objective": _replaced(training.objective, ()),
            "optimizer": optimizer,
            "scheduler": _replaced(training.scheduler, _SCHEDULE),
        }
    )


def _short_power(found: re.Match[str]) -> str:
    """Return the exponent without plus and zero: 5e-5, 1e30."""
    return ("-" if found[1] == "-" else "") + found[2]


def _data(data: Data) -> Data:
    return data.model_copy(
        update={
            "train": [_dataset(one) for one in data.train],
            "eval": [_dataset(one) for one in data.eval],
        }
    )


def _energy(energy: Energy) -> Energy:
    sources = {part: _replaced(how, ()) or "" for part, how in energy.sources.items()}
    return energy.model_copy(update={"sources": sources})


def _dataset(data: Dataset) -> Dataset:
    return data.model_copy(update={"description": _replaced(data.description, _DATA)})
