"""A run as its newest checkpoint shows it, where its working file is not there.

Rule: what the checkpoint's files do not show is a gap; nothing is taken from defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from autocard import record as records
from autocard.capture.evaluation import evaluation
from autocard.capture.model import adapter, dimensions
from autocard.capture.model.base_model import FROM_SCRATCH, INITIALIZED
from autocard.capture.model.hub_names import read_name
from autocard.capture.observed import Observed
from autocard.energy.ledger import earlier_legs
from autocard.energy.ledger.ledger_entry import utc_now
from autocard.errors import RecordError
from autocard.record import Adapter, Evaluation, Model, Run, RunRecord, Training
from autocard.record.gaps import Part, PartBuilder, under
from autocard.runtime.unfinished_run import PARTS, UnfinishedRun
from autocard.settings import Settings
from autocard.trainers import checkpoint_folder
from autocard.trainers.checkpoint_folder import SavedTrainer

LOST = (
    "energy after the checkpoint at step {step} is not known: "
    "nothing else that autocard measured of this start is there"
)
ONLY = "only a checkpoint of the run is there, and its files do not show it"


def read(folder: Path) -> UnfinishedRun:
    """Return the run whose checkpoint is *folder*."""
    trainer = SavedTrainer(folder)
    saved_state = (trainer.checkpoint_state() or {}).get(earlier_legs.STATE_KEY)
    saved = earlier_legs.from_checkpoint(saved_state, LOST)
    facts = _attributes(saved_state)
    record = _record_in(folder, saved.run_id) or _record(folder, trainer, saved.run_id, facts)
    return UnfinishedRun(
        written_at=utc_now(),
        leg_id=saved.legs[-1].leg.id if saved.legs else "",
        entries=saved.legs,
        batches=_mapping(facts.get("batches")),
        hyperparameters=_mapping(facts.get("settings")),
        settings={},
        record=record,
    )


def _record_in(folder: Path, run_id: str | None) -> RunRecord | None:
    """Return the record in *folder*, if it is of the run *run_id*; None: there is none."""
    try:
        found = records.load(folder)
    except RecordError:
        return None
    return found if run_id is None or found.run.id == run_id else None


def _record(
    folder: Path, trainer: SavedTrainer, run_id: str | None, facts: Mapping[str, Any]
) -> RunRecord:
    """Return the record of what the files of a checkpoint show."""
    progress = trainer.progress()
    observed = Observed(
        Settings(), folder.parent, arguments=_newest(facts.get("settings")), trainer=trainer
    )
    adapters, model = _adapters(folder), _model(folder)
    why_no_base = _why_no_base(facts, model.value)
    if why_no_base:
        scratch = model.value.model_copy(update={"base_model_description": FROM_SCRATCH})
        model = Part(scratch, {**model.gaps, **why_no_base})
    results: Part[Evaluation] = evaluation.capture(observed)
    missing = {
        **dict.fromkeys(("run", *PARTS), ONLY),
        **under("adapters", adapters.gaps),
        **under("model", model.gaps),
        **under("evaluation", results.gaps),
    }
    return RunRecord(
        run=Run(
            id=run_id,
            global_step=progress.step,
            max_steps=progress.max_steps or None,
            epochs=progress.epoch,
        ),
        model=model.value,
        adapters=adapters.value,
        training=_training(facts),
        evaluation=results.value,
        missing=missing,
    )


def _training(facts: Mapping[str, Any]) -> Training:
    """Return what our state in the checkpoint says of the training."""
    batch = _newest(facts.get("batches")).get("step_samples")
    # Its hyperparameters stay away: which of them are the library's defaults is not saved.
    return Training(effective_batch_size=batch if isinstance(batch, int) else None)


def _why_no_base(facts: Mapping[str, Any], model: Model) -> dict[str, str]:
    """Return the reason for a missing base, if the weights were initialized."""
    if facts.get("fresh") is not True or model.base_model is not None:
        return {}
    names = ("base_model", "base_model_revision", "base_model_relation")
    return dict.fromkeys(names, INITIALIZED)


def _model(folder: Path) -> Part[Model]:
    """Return what the model's and the adapter's configuration say of the model."""
    part = PartBuilder(Model, "model")
    raw = checkpoint_folder.read_config(folder, "config.json")
    adapter_raw = checkpoint_folder.read_config(folder, "adapter_config.json")
    part.gaps.update(dict.fromkeys(Model.model_fields, ONLY))
    for name, value in _configured(folder, raw, adapter_raw).items():
        if value:
            part.fields[name] = value
            del part.gaps[name]
    return part.build()


def _configured(
    folder: Path, raw: Mapping[str, Any], adapter_raw: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the fields of `Model` that configurations show."""
    architectures = raw.get("architectures")
    found: dict[str, Any] = {"model_type": _text(raw.get("model_type"))}
    if isinstance(architectures, list) and len(architectures) == 1:
        found["architecture"] = _text(architectures[0])
    if found["model_type"]:
        found["dims"] = dimensions.dims(SimpleNamespace(**{str(k): v for k, v in raw.items()}))
        found["library_name"] = "transformers"
    if adapter_raw:
        base = _text(adapter_raw.get("base_model_name_or_path")) or ""
        found["library_name"] = "peft"
        found["base_model"] = read_name(base, folder, folder.parent)[0]
        found["base_model_relation"] = "adapter" if found["base_model"] else None
    return found


def _adapters(folder: Path) -> Part[list[Adapter]]:
    """Return the adapter whose configuration lies in *folder*; it has the name that PEFT gives."""
    raw = checkpoint_folder.read_config(folder, "adapter_config.json")
    if not raw:
        return Part([])
    settings = SimpleNamespace(**{"peft_type": "", **{str(k): v for k, v in raw.items()}})
    made = Adapter(
        name="default",
        method=adapter.method_of(settings) or None,
        config=adapter.allowed(raw),
        peft_version_created=_text(raw.get("peft_version")),
    )
    return Part([made], dict.fromkeys(("0.peft_version_created", "0.peft_version_runtime"), ONLY))


def _attributes(saved_state: Any) -> Mapping[str, Any]:
    return _mapping(saved_state.get("attributes")) if isinstance(saved_state, Mapping) else {}


def _mapping(value: Any) -> dict[str, Any]:
    return {str(key): one for key, one in value.items()} if isinstance(value, Mapping) else {}


def _newest(of_legs: Any) -> dict[str, Any]:
    """Return what is known of the last leg in *of_legs*, leg → facts."""
    known = list(_mapping(of_legs).values())
    return _mapping(known[-1]) if known else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
