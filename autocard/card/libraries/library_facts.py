"""Facts for a card that a library wrote: what the card states by itself is not said again.

One rule: a fact is left out only where its own figure or name stands in the library's text, so that
none is lost.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from autocard.card import fields
from autocard.card.fact import Fact
from autocard.card.fields import software
from autocard.card.fields.evaluation_course import mean_loss
from autocard.card.fields.results import TIMINGS
from autocard.card.form.labels import Labels
from autocard.card.libraries.library_statements import LibraryStatements, may_be_librarys
from autocard.record import Dataset, Evaluation, Metric, RunRecord, Training

_OF_THE_REST = (
    "training_data",
    "preprocessing",
    "training_hyperparameters",
    "speeds_sizes_times",
    "testing_data",
    "testing_metrics",
    "results",
    "model_specs",
)
"""Facts that a library's card has a part of."""
_TRL = "[TRL](https://github.com/huggingface/trl)"
_TIME = "training time"
"""Heading of sentence-transformers for what other cards call speeds, sizes and times."""


def facts(record: RunRecord, text: str, ours: Collection[str], table: Labels) -> dict[str, Fact]:
    """Return the facts of *record* for the card *text*, without what its library states.

    Args:
        record: of the run.
        text: the card as it stands.
        ours: the texts in it that autocard wrote.
        table: the label table.
    """
    known = fields.facts(record)
    if not may_be_librarys(text):
        return known
    card = LibraryStatements(text, ours)
    if card.lists_versions(table):
        _place_versions(known, record, has_software=card.has_software)
    if not card.is_librarys:
        return known
    rest = fields.facts(_rest(record, card))
    for name in _OF_THE_REST:
        known.pop(name, None)
        if name in rest:
            known[name] = rest[name]
    _move_mean_loss(known, record)
    if card.by_trl and not record.facts.get("model_summary"):
        summary = known.get("model_summary")
        made = f"{summary.line} " if summary else ""
        known["model_summary"] = Fact(f"{made}Trained with {_TRL}.")
    return known


def labels(text: str, table: Labels) -> Labels:
    """Return *table* with the words as the card *text* of a library means them."""
    if not LibraryStatements(text, ()).has_training_time:
        return table
    key = ("training", _TIME)
    under = {**table.under, key: "speeds_sizes_times"}
    return replace(table, under=under, below={*table.below, _TIME})


def _place_versions(known: dict[str, Fact], record: RunRecord, *, has_software: bool) -> None:
    """Put each version into one place: a library's list, and the others beside it or below it."""
    listed, others = software.versions(record)
    if listed is None:
        return
    if has_software:
        known["framework_versions"] = listed
        known.pop("software", None)
        if others is not None:
            known["software"] = others
        return
    known["framework_versions"] = software.all_versions(record)
    known.pop("software", None)


def _move_mean_loss(known: dict[str, Fact], record: RunRecord) -> None:
    """Put the mean training loss below the hyperparameters where results have nothing else."""
    loss, settings = mean_loss(record), known.get("training_hyperparameters")
    left = known.get("results")
    if loss is None or settings is None or left is None or left.body() != loss:
        return
    del known["results"]
    items, gap, below = settings.body().partition("\n\n")
    known["training_hyperparameters"] = replace(settings, block=f"{items}\n- {loss}{gap}{below}")


# -- what the card does not state ------------------------------------------------------------------


def _rest(record: RunRecord, card: LibraryStatements) -> RunRecord:
    """Return *record* without what *card* states."""
    made, model = record.data.preprocessing, record.model
    if card.has_length(made.max_length):
        made = made.model_copy(update={"max_length": None})
    if card.shows(model.architecture):
        model = model.model_copy(update={"architecture": None})
    data = record.data.model_copy(
        update={
            "preprocessing": made,
            "train": _unstated(record.data.train, card, "training"),
            "eval": _unstated(record.data.eval, card, "evaluation"),
        }
    )
    return record.model_copy(
        update={
            "data": data,
            "model": model,
            "training": _training(record.training, card),
            "evaluation": _evaluation(record, card),
            # "Hours used" has it.
            "time": record.time.model_copy(update={"wall_clock_s": None}),
        }
    )


def _unstated(sets: Collection[Dataset], card: LibraryStatements, part: str) -> list[Dataset]:
    """Return what *card* does not state of the data *sets*."""
    return [rest for one in sets if (rest := _unstated_of(one, card, part)) is not None]


def _unstated_of(data: Dataset, card: LibraryStatements, part: str) -> Dataset | None:
    """Return what *card* does not state of *data*; None: it states all that is known."""
    if data.rows is None or not card.has_rows(data.rows, part):
        return data
    if data.dataset_id is None or card.links_data(data.dataset_id, data.revision):
        return None
    columns = [] if card.has_columns(data.columns) else data.columns
    return data.model_copy(update={"rows": None, "columns": columns})


def _training(training: Training, card: LibraryStatements) -> Training:
    """Return *training* without the settings and the method that *card* states."""
    update: dict[str, object] = {}
    objective = training.objective or ""
    method = objective.rpartition("(")[2]
    is_method = method.endswith(")") and card.names_method(method.removesuffix(")"))
    if is_method or card.names_loss(objective):
        update["objective"] = None
    if card.lists_settings:
        update |= {"hyperparameters": {}, "non_default": [], "seed": None}
        if _is_listed(training.optimizer, training.hyperparameters, "learning_rate"):
            update["optimizer"] = None
        if _is_listed(training.scheduler, training.hyperparameters, "lr_scheduler_type"):
            update["scheduler"] = None
    return training.model_copy(update=update)


def _is_listed(text: str | None, settings: Mapping[str, object], name: str) -> bool:
    """Return whether *text* is made of the settings: it has the value of the one called *name*.

    An optimizer or a schedule that a person made has others.
    """
    if text is None or name not in settings:
        return False
    value = str(settings[name])
    # Python writes 5e-05, a card 5e-5.
    return value in text or value.replace("e-0", "e-") in text


def _evaluation(record: RunRecord, card: LibraryStatements) -> Evaluation:
    """Return the evaluation without figures that stand in the tables of *card*."""
    evaluation = record.evaluation
    update: dict[str, object] = {}
    if _are_shown(evaluation.results, card):
        update["results"] = []
    if _is_logged(evaluation, card):
        update["history"] = []
    return evaluation.model_copy(update=update)


def _are_shown(results: Collection[Metric], card: LibraryStatements) -> bool:
    return all(card.has_figure(one.value) for one in results if not one.name.endswith(TIMINGS))


def _is_logged(evaluation: Evaluation, card: LibraryStatements) -> bool:
    """Return whether the losses of all evaluations in the log stand in the tables of *card*."""
    losses = [point["eval_loss"] for point in evaluation.history if "eval_loss" in point]
    return bool(losses) and all(card.has_figure(loss) for loss in losses)
