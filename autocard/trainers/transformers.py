"""transformers' Trainer and those built on it (TRL, sentence-transformers), as captures read it.

The only module that knows what `TrainingArguments` and `TrainerState` call things. Values are read
when they are asked for: arguments and state change while training runs.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

from autocard.capture.observed import (
    Method,
    Observed,
    OwnLoss,
    Processes,
    Progress,
    StepBatches,
    TrainerView,
    TrainingCall,
)
from autocard.settings import Settings
from autocard.trainers import (
    argument_defaults,
    loss_accumulation,
    own_code,
    reward_functions,
    stop_reason,
    trainer_calls,
    trl_methods,
)
from autocard.trainers.trainer_event import Arguments, TrainerEvent

_OBJECTS = (
    "model",
    "processing_class",
    "optimizer",
    "lr_scheduler",
    "train_dataloader",
    "eval_dataloader",
)
"""What the Trainer shows a callback by these names."""


class TransformersAdapter:
    """Reads the events of transformers' Trainer."""

    def reads(self, source: Any) -> bool:
        """Return whether *source* is what an event of the Trainer shows."""
        return isinstance(source, TrainerEvent)

    def observe(self, settings: Settings, source: TrainerEvent, /, **objects: Any) -> Observed:
        """Return what the event *source* shows, with its *objects*."""
        return observe(settings, source.args, source.state, **objects)


ADAPTER = TransformersAdapter()


def observe(settings: Settings, args: Any, state: Any, /, **objects: Any) -> Observed:
    """Return what an event of the Trainer shows.

    Args:
        settings: what the user decided.
        args: `TrainingArguments` or a subclass.
        state: `TrainerState`; the Trainer makes a new one in each `train()`.
        objects: what else the event shows: model, optimizer, …; what is not read is left out.
    """
    shown: dict[str, Any] = {name: objects.get(name) for name in _OBJECTS}
    return Observed(
        settings=settings,
        output_dir=Path(getattr(args, "output_dir", None) or ""),
        hub_id=getattr(args, "hub_model_id", None),
        arguments=Arguments(args),
        processes=_processes(args, state),
        device=getattr(args, "device", None),
        devices=int(getattr(args, "n_gpu", 1) or 1),
        trainer=TransformersView(args, state),
        **shown,
    )


def _processes(args: Any, state: Any) -> Processes:
    return Processes(
        count=int(getattr(args, "world_size", 1)),
        index=int(getattr(args, "process_index", 0)),
        local_index=int(getattr(args, "local_process_index", 0)),
        is_first=bool(getattr(state, "is_world_process_zero", True)),
        is_first_on_host=bool(getattr(state, "is_local_process_zero", True)),
    )


class TransformersView(TrainerView):
    """What one Trainer can answer; it is looked up each time, and not kept alive."""

    def __init__(self, args: Any, state: Any) -> None:
        self._args = args
        self._state = state

    @property
    def _trainer(self) -> Any:
        return trainer_calls.find(self._args, self._state)

    @property
    def found(self) -> bool:
        """Whether the Trainer has been found; its events show its arguments alone."""
        return self._trainer is not None

    def progress(self) -> Progress:
        """Return how far the training is now."""
        state = self._state
        epoch = getattr(state, "epoch", None)
        return Progress(
            step=int(getattr(state, "global_step", 0) or 0),
            max_steps=int(getattr(state, "max_steps", 0) or 0),
            epoch=None if epoch is None else float(epoch),
            log=getattr(state, "log_history", None) or (),
            input_tokens=int(getattr(state, "num_input_tokens_seen", 0) or 0),
            flops=float(getattr(state, "total_flos", 0) or 0),
            batch_size=getattr(state, "train_batch_size", None),
            best_metric=getattr(state, "best_metric", None),
            best_step=getattr(state, "best_global_step", None),
            best_checkpoint=getattr(state, "best_model_checkpoint", None),
        )

    def keeps_log(self) -> bool:
        """Return True: `TrainerState.log_history`."""
        return True

    def libraries(self) -> frozenset[str]:
        """Return the packages that the arguments' class and its parents are of."""
        return frozenset(cls.__module__.partition(".")[0] for cls in type(self._args).__mro__)

    def defaults(self) -> Mapping[str, Any]:
        """Return argument → its default, as given by the class or derived by the library."""
        return argument_defaults.defaults(self._args)

    def warmup_steps(self, planned: int) -> int | None:
        """Return the warmup steps that the arguments ask for, of *planned* steps."""
        if not hasattr(self._args, "get_warmup_steps"):
            return None
        return int(self._args.get_warmup_steps(planned))

    def optimizer_class(self) -> type | None:
        """Return the class of the optimizer that the arguments ask for, where it is known."""
        trainer = getattr(sys.modules.get("transformers"), "Trainer", None)
        if trainer is None:
            return None
        try:
            found = trainer.get_optimizer_cls_and_kwargs(self._args)[0]
        # of a package that is not installed, or that wants the model
        except (ImportError, ValueError):
            return None
        return found if isinstance(found, type) else None

    def deepspeed(self) -> Mapping[str, Any] | None:
        """Return DeepSpeed's configuration, from the Trainer's argument or accelerate's plugin."""
        plugin = getattr(self._args, "deepspeed_plugin", None)
        config = getattr(getattr(self._args, "hf_deepspeed_config", None), "config", None)
        if config is None:
            config = getattr(plugin, "deepspeed_config", None)
        if config is not None:
            return dict(config)
        is_used = bool(getattr(self._args, "deepspeed", None)) or plugin is not None
        return {} if is_used else None

    def method(self) -> Method | None:
        """Return TRL's method; None: the trainer is none of TRL's."""
        return trl_methods.method_of(self._args, self._trainer)

    def loss(self) -> Any:
        """Return the loss object of a sentence-transformers trainer, or data set → loss object."""
        return getattr(self._trainer, "loss", None)

    def own_loss(self) -> OwnLoss | None:
        """Return the code of the run's own in the trainer that computes the loss."""
        return own_code.own_loss(self._trainer)

    def runs_own(self, method: str) -> bool:
        """Return whether code of the run's own stands in the place of the trainer's *method*."""
        return own_code.runs_own(self._trainer, method)

    def batches_summed(self, observed: Observed) -> StepBatches | None:
        """Return over how many batches each logged loss is a sum."""
        return loss_accumulation.batches_summed(self._trainer, observed)

    def reward_functions(self) -> dict[str, float]:
        """Return the name of each reward function → its weight."""
        return reward_functions.functions(self._trainer)

    def renamed_figures(self) -> dict[str, str]:
        """Return beginning of a key of TRL's log → what it begins with in the record."""
        return reward_functions.renamed(self._trainer)

    def stop_reason(self) -> str:
        """Return why the trainer stopped early, in words."""
        return stop_reason.stop_reason(self._trainer)

    def model_in_use(self) -> Any:
        """Return the trainer's present model, which may have been replaced since it was made."""
        return getattr(self._trainer, "model", None)

    def earlier_flops(self) -> float:
        """Return the operations that the trainer had counted of an attempt that was broken off."""
        return float(getattr(self._trainer, "current_flos", 0.0) or 0.0)

    def training_call(self) -> TrainingCall | None:
        """Return the running `train` that began first."""
        return trainer_calls.outermost(self._trainer, trainer_calls.TRAIN)

    def is_pushing(self) -> bool:
        """Return whether this thread is in the trainer's `push_to_hub`."""
        return trainer_calls.push(self._trainer) is not None

    def resumed_from(self) -> Any:
        """Return the checkpoint that was passed to `train`, or that the arguments name."""
        passed = trainer_calls.resumed_from(self._trainer)
        return passed or getattr(self._args, "resume_from_checkpoint", None)

    def is_trial(self) -> bool:
        """Return whether `hyperparameter_search` has started the training."""
        return bool(getattr(self._state, "is_hyper_param_search", False))

    def model_maker(self) -> Any:
        """Return the trainer's `model_init`."""
        return getattr(self._trainer, "model_init", None)

    def search_backend(self) -> str:
        """Return what searches: optuna, ray, …, as transformers names it."""
        backend = getattr(self._trainer, "hp_search_backend", None)
        return str(getattr(backend, "value", backend) or "")

    def checkpoint_state(self) -> MutableMapping[str, Any] | None:
        """Return the state of the callbacks, which checkpoints take along."""
        callbacks = getattr(self._state, "stateful_callbacks", None)
        return callbacks if isinstance(callbacks, dict) else None
