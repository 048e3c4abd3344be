"""What a model was made from: its base in words, and whether there was one."""

from __future__ import annotations

from autocard.card.fact import Fact, escape
from autocard.card.fields.words import link
from autocard.record import Model, RunRecord

_SCRATCH = "none"
"""How `base_model_description` begins where there was no base."""
_NOT_RECORDED = "not recorded"
"""How it begins where it describes nothing."""

UNTRAINED = "trained in this run (0 optimizer steps)"
"""What a card has after a "not" or a "none of them", of a run that ended without a step."""


def from_scratch(model: Model) -> bool:
    """Return whether the record has it that there was no base."""
    return model.base_model is None and (model.base_model_description or "").startswith(_SCRATCH)


def is_untrained(record: RunRecord) -> bool:
    """Return whether the run ended without an optimizer step, as with `num_train_epochs=0`."""
    return record.run.status is not None and record.run.global_step == 0


def base(record: RunRecord) -> Fact | None:
    """Return the base model with its revision, or the description of one that is not on the Hub."""
    model, description = record.model, record.model.base_model_description
    if is_untrained(record) and from_scratch(model) and not record.run.earlier_run:
        return Fact(f"{_SCRATCH}; randomly initialized weights, not {UNTRAINED}")
    if model.base_model:
        where = link(model.base_model, revision=model.base_model_revision)
        return Fact(f"{where} ({escape(_beside(model))})" if description else where)
    if not description or description.startswith(_NOT_RECORDED):
        return None
    return Fact(escape(description))


def _beside(model: Model) -> str:
    """Return the description as it stands in brackets behind the base's name."""
    description = model.base_model_description or ""
    return description.removeprefix(f"{model.base_model} with ").removeprefix("a ")


def base_in_sentence(model: Model) -> str | None:
    """Return the base as a sentence names it: a link, or a description; None: there is none."""
    if model.base_model:
        return link(model.base_model)
    description = model.base_model_description
    if not description or description.startswith((_SCRATCH, _NOT_RECORDED)):
        return None
    return escape(description)
