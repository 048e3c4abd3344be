"""Facts that a person passes to `create_model_card` and `push_to_hub`.

One rule: like the callback's arguments, they replace what was found out. If two of them contradict
each other, the later value is used and a warning is logged.

The names are those of transformers 5.23 (trainer.py), sentence-transformers 6.2 (base/trainer.py,
the same names) and TRL 1.16 (trainer/base_trainer.py: model_name, dataset_name, tags).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocard.capture.data import data
from autocard.card.fields.words import hub_id
from autocard.card.hub_lists import PIPELINE_TAGS
from autocard.card.libraries import library_cards
from autocard.guard import log_warning
from autocard.record.gaps import joined, under
from autocard.settings import Settings

if TYPE_CHECKING:
    from autocard.record import Dataset, Model, RunRecord

_FACTS = {"license": "license", "language": "language", "model_id": "title"}
"""Template variables that arguments fill → their names in the log."""
_MOST = 20
"""Number of values of one argument that are read."""
_NO_DATA_REVISION = "the author named the data set, without its revision"
_NO_REVISION = "the author named the base model, without its revision"


@dataclass
class CardArguments:
    """All arguments passed so far.

    Attributes:
        settings: of the callback, whose base model and data sets an argument may contradict.
        facts: license, language and title, by template variable.
        tags: for the front matter.
        base_model: Hub id.
        dataset_ids: Hub ids.
        dataset_titles: names of data sets as people call them.
        dataset_configs: configurations (subsets).
        pipeline_tag: a pipeline tag of the Hub.
    """

    settings: Settings
    facts: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    base_model: str | None = None
    dataset_ids: tuple[str, ...] = ()
    dataset_titles: tuple[str, ...] = ()
    dataset_configs: tuple[str, ...] = ()
    pipeline_tag: str | None = None

    def note(self, call: Mapping[str, Any], derived_names: Collection[str]) -> None:
        """Remember the arguments of a *call*.

        Args:
            call: name → value.
            derived_names: titles that the trainer makes up where a person gives none.
        """
        for name in ("license", "language"):
            given = _words(call.get(name))
            if given:
                self._note_fact(name, ", ".join(given))
        title = call.get("model_name")
        if isinstance(title, str) and title.strip() and title not in derived_names:
            self._note_fact("model_id", title)
        self.add_tags(_words(call.get("tags")))
        self._note_base(call.get("finetuned_from"))
        self._note_data(call)
        self._note_task(call.get("tasks"))

    def add_tags(self, tags: Collection[Any]) -> None:
        """Remember tags that the Hub takes."""
        found = [tag for tag in tags if isinstance(tag, str) and library_cards.is_tag(tag)]
        self.tags = list(dict.fromkeys([*self.tags, *found]))

    def _note_fact(self, name: str, given: str) -> None:
        self._warn(_FACTS[name], self.facts.get(name, self.settings.facts.get(name)), given)
        self.facts[name] = given

    def _note_base(self, given: Any) -> None:
        if not isinstance(given, str) or not given.strip():
            return
        if not _is_hub_id(given):
            log_warning(
                "autocard: finetuned_from is no id of a model on the Hub, "
                "so the card does not name it"
            )
            return
        self._warn("base model", self.base_model or self.settings.base_model, given)
        self.base_model = given

    def _note_data(self, call: Mapping[str, Any]) -> None:
        ids, titles = _words(call.get("dataset_tags")), _words(call.get("dataset"))
        named = _words(call.get("dataset_name"))  # TRL's: an id, or a local path
        ids = ids or [one for one in named if _is_hub_id(one)]
        known = tuple(one for one in ids if _is_hub_id(one))
        if len(known) < len(ids):
            log_warning(
                "autocard: dataset_tags has names that are no ids of data sets on the Hub; "
                "they are left out"
            )
        if known:
            before = self.dataset_ids or tuple(self.settings.datasets or ())
            self._warn("data sets", ", ".join(before), ", ".join(known))
            self.dataset_ids = known
        if titles:
            self.dataset_titles = tuple(titles)
        configs = _words(call.get("dataset_args"))
        if configs:
            self.dataset_configs = tuple(configs)

    def _note_task(self, given: Any) -> None:
        tasks = _words(given)
        found = next((task for task in tasks if task in PIPELINE_TAGS), None)
        if found is not None:
            self._warn("task", self.pipeline_tag, found)
            self.pipeline_tag = found
        elif tasks:
            log_warning(
                "autocard: tasks names none of the Hub's pipeline tags, "
                "so the card does not name it"
            )

    def _warn(self, what: str, before: str | None, now: str) -> None:
        if before and before != now:
            log_warning(
                "autocard: %s: %s was given before; %s, given now, stands", what, before, now
            )

    # -- into the record ---------------------------------------------------------------------------

    def completed(self, record: RunRecord, repository: str | None) -> RunRecord:
        """Return *record* with the passed arguments and the Hub id that the model is pushed to."""
        missing = dict(record.missing)
        model = self._model(record, missing)
        if repository is not None and _is_hub_id(repository) and "/" in repository:
            model = model.model_copy(update={"name": repository})
        data = record.data.model_copy(
            update={
                "train": self._train(list(record.data.train), missing),
                "eval": self._eval(list(record.data.eval), missing),
            }
        )
        update = {"model": model, "data": data, "facts": {**record.facts, **self.facts}}
        return record.model_copy(update={**update, "missing": dict(sorted(missing.items()))})

    def _model(self, record: RunRecord, missing: dict[str, str]) -> Model:
        model, update = record.model, dict[str, str | None]()
        if self.pipeline_tag is not None:
            update["pipeline_tag"] = self.pipeline_tag
            missing.pop("model.pipeline_tag", None)
        if self.base_model is not None and self.base_model != model.base_model:
            relation = "adapter" if record.adapters and not model.adapters_merged else "finetune"
            update |= {"base_model": self.base_model, "base_model_relation": relation}
            update |= {"base_model_revision": None, "base_model_description": None}
            for leaf in ("base_model", "base_model_relation"):
                missing.pop(f"model.{leaf}", None)
            missing["model.base_model_revision"] = _NO_REVISION
            missing["model.base_model_description"] = "base_model says it"
        return model.model_copy(update=update)

    def _eval(self, sets: list[Dataset], missing: dict[str, str]) -> list[Dataset]:
        """Return the evaluation sets, under the ids that were passed later than theirs."""
        before = self.settings.datasets or ()
        newer = dict(zip(before, self.dataset_ids, strict=False))
        if len(before) != len(self.dataset_ids):
            return sets
        for number, one in enumerate(sets):
            name = newer.get(one.dataset_id or "")
            if name is not None and name != one.dataset_id:
                sets[number] = one.model_copy(update={"dataset_id": name, "revision": None})
                missing[f"data.eval.{number}.revision"] = _NO_DATA_REVISION
        return sets

    def _train(self, sets: list[Dataset], missing: dict[str, str]) -> list[Dataset]:
        if not (self.dataset_ids or self.dataset_titles or self.dataset_configs):
            return sets
        found = data.with_ids(sets, self.dataset_ids, data.sum_of([one.rows for one in sets]))
        named = [one for one in found if one.dataset_id in self.dataset_ids] or found
        for place, title in zip(named, self.dataset_titles, strict=False):
            if title != place.dataset_id:
                found[found.index(place)] = place.model_copy(update={"title": title})
        if len(found) == len(self.dataset_configs) == 1:
            found[0] = found[0].model_copy(update={"config": self.dataset_configs[0]})
        for path in [path for path in missing if path.startswith("data.train")]:
            del missing[path]
        train = joined(data.as_part(one) for one in found)
        missing.update(under("data.train", train.gaps))
        return train.value


def _words(given: Any) -> list[str]:
    """Return the strings in *given*, which may be a string or a list of strings."""
    listed = (
        [given]
        if isinstance(given, str)
        else list(given)
        if isinstance(given, list | tuple | set)
        else []
    )
    return [one for one in listed if isinstance(one, str) and one.strip()][:_MOST]


def _is_hub_id(name: str) -> bool:
    """Return whether *name* can be an id on the Hub; names of local files and folders cannot."""
    return hub_id(name) and not Path(name).exists()
