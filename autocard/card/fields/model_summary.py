"""One sentence on the model: what was made of which base, for which task, on which data."""

from __future__ import annotations

from autocard import units
from autocard.card.fact import Fact, code, escape
from autocard.card.fields.base import UNTRAINED, base_in_sentence, from_scratch, is_untrained
from autocard.card.fields.data_sets import data_name
from autocard.card.fields.words import listed, so_far
from autocard.record import Dataset, Model, RunRecord

_NUMBERS = {1: "a", 2: "two", 3: "three", 4: "four", 5: "five"}
_SPELLED_OUT = ("X-", "LN ", "HRA")
"""Beginnings of methods whose first letter is spoken as its name, with a vowel: "an X-LoRA"."""


def model_summary(record: RunRecord) -> Fact | None:
    """Return the sentence, or None where neither a base nor an adapter is known."""
    model = record.model
    made = _made(record)
    if made is None:
        return None
    purpose = _purpose(model)
    if is_untrained(record):
        return Fact(f"{made}{purpose}, not {UNTRAINED}.")
    data = _data(record)
    how = _how(record)
    if record.training.purpose:
        how = _with_purpose(how, escape(record.training.purpose))
        purpose = ""
    if model.adapters_merged:
        how += _merged(_methods(record))
    open_run = so_far(record)
    reached = f"; {open_run}" if open_run else ""
    if purpose or data or from_scratch(model) or record.training.purpose:
        return Fact(f"{made}, {how}{purpose}{data}{reached}.")
    return Fact(f"{made}{reached}.")


def _with_purpose(how: str, purpose: str) -> str:
    """Return how it was trained and to what end: "trained from scratch with a contrastive loss"."""
    if how == "trained":
        return purpose
    if purpose.startswith("trained "):
        return f"{how} {purpose.removeprefix('trained ')}"
    return f"{how}, {purpose}"


def _methods(record: RunRecord) -> list[str]:
    return list(dict.fromkeys(adapter.method for adapter in record.adapters if adapter.method))


def _made(record: RunRecord) -> str | None:
    """Return what was made, as in "A LoRA adapter for …" or "A fine-tuned version of …"."""
    model = record.model
    base = base_in_sentence(model)
    if record.adapters and not model.adapters_merged:
        return _made_adapter(record, base)
    if from_scratch(model) or (base and is_untrained(record)):
        made = "A model"
        if model.architecture:
            made = f"{_article(model.architecture)} {code(model.architecture)} model"
        return f"{made} with weights of {base}" if base else made
    return f"A fine-tuned version of {base}" if base else None


def _made_adapter(record: RunRecord, base: str | None) -> str:
    methods = _methods(record)
    made = "An adapter"
    if methods:
        made = f"{_article(methods[0])} {listed(map(escape, methods))} adapter"
    if from_scratch(record.model):
        return f"{made} on a randomly initialized base model"
    return f"{made} for {base}" if base else made


def _purpose(model: Model) -> str:
    """Return the task, as in " for text classification (3 labels)"."""
    task = model.task or model.pipeline_tag
    if not task:
        return ""
    words = task.replace("-", " ") if task == model.pipeline_tag else task
    labels = f" ({units.plural(len(model.labels), 'label')})" if model.labels else ""
    return f" for {escape(words)}{labels}"


def _data(record: RunRecord) -> str:
    """Return the training data that has a name, as in " on org/contracts"; local files have none.

    What is in memory or a class of the run's own says nothing to a reader.
    """
    names = [data_name(data) for data in record.data.train if data.dataset_id or data.title]
    others = [data for data in record.data.train if not (data.dataset_id or data.title)]
    streamed = sum(1 for data in others if _is_streamed(data))
    local = sum(1 for data in others if _is_local(data))
    names += [
        _several(count, kind) for count, kind in ((local, "local"), (streamed, "streamed")) if count
    ]
    return f" on {listed(names)}" if names else ""


def _is_streamed(data: Dataset) -> bool:
    return bool(data.streaming) or "stream" in (data.description or "")


def _is_local(data: Dataset) -> bool:
    return (data.description or "").startswith("local files") and not _is_streamed(data)


def _several(count: int, kind: str) -> str:
    """Return how many data sets of a kind there are: a local dataset, two streamed datasets."""
    number = _NUMBERS.get(count, units.count(count))
    return f"{number} {kind} dataset{'' if count == 1 else 's'}"


def _how(record: RunRecord) -> str:
    """Return how it was trained: from scratch, or on from which weights."""
    run = record.run
    if run.earlier_run:
        how = f"continued from the weights of run {code(run.earlier_run)}"
    elif from_scratch(record.model) and (not record.adapters or record.model.adapters_merged):
        how = "trained from scratch"
    else:
        how = "trained"
    return how + _continued_adapter(record)


def _continued_adapter(record: RunRecord) -> str:
    """Return that the adapter was loaded with weights of an earlier training."""
    for adapter in record.adapters:
        if adapter.continued:
            run = f" of run {code(adapter.earlier_run)}" if adapter.earlier_run else ""
            return f" from a previously trained adapter{run}"
    return ""


def _merged(methods: list[str]) -> str:
    """Return by which adapters a model was trained that they are now a part of."""
    names = "an"
    if methods:
        names = f"{_article(methods[0]).lower()} {listed(map(escape, methods))}"
    return f" with {names} adapter that was merged into the saved weights"


def _article(noun: str) -> str:
    """Return "A" or "An", by how *noun* is spoken: a LoRA, an LN tuning, an X-LoRA, an IA³."""
    starts_with_vowel = noun.startswith(_SPELLED_OUT) or noun[0] in "AEIOaeio"
    return "An" if starts_with_vowel else "A"
