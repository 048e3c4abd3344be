"""What captures read of a trainer of any kind. An adapter in `autocard.trainers` fills it.

Each capture module has `capture(observed, missing)`, which returns its part of the record and notes
in *missing* (path of the leaf → reason) every fact that it could not get. Heavy libraries are
imported inside functions, and only when the run has imported them already. Captures read; they
never change the objects of the run, run the model or draw random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from autocard.errors import UnavailableError
from autocard.settings import Settings


@dataclass(frozen=True)
class OwnLoss:
    """A loss that the run's own code computes."""

    where: str
    """Where it is computed, in words: compute_loss_func, training_step overridden, forward of
    MyModel."""
    calls_library: bool
    """Whether that code names the library's own loss too, which then may be a part of it."""
    runs_model: bool = False
    """Whether code of the run's own calls the model, and so decides how many passes a batch takes.
    """


@dataclass(frozen=True)
class Start:
    """What is known of the weights that training starts from, besides the model itself."""

    fresh: bool | None = None
    """Whether they were freshly initialized before anything changed them; None: it was not looked
    at."""
    resumed: bool = False
    """Whether a checkpoint of the run has replaced them since the model was made."""
    trained_before: bool = False
    """Whether an earlier training of this process has trained them, which the record says
    elsewhere."""


@dataclass(frozen=True)
class Method:
    """A way of training that the training library offers, such as DPO."""

    words: str
    """The objective."""
    purpose: str = ""
    """What training did to the model, for the middle of a sentence; "": the model's task says it.
    """
    task: str = ""
    """What the trained model is, where its head does not say it."""
    name: str = ""
    """The objective without its loss; "": the words up to the first comma."""

    @property
    def without_loss(self) -> str:
        """The objective, where a loss of the run's own took the place of the library's."""
        return self.name or self.words.partition(",")[0]


@dataclass(frozen=True)
class StepBatches:
    """The batches of an optimizer step, over all processes whose losses are added up."""

    usual: int
    last: int | None = None
    """Those of the last step of an epoch, where it has fewer; None: all steps have the same number.
    """


class TrainingCall(Protocol):
    """A call that trains; trainers have no event for one that raises."""

    running: bool
    """False once it has returned or raised."""
    when_over: Callable[[], None] | None
    """Called then, before the caller gets the result or the exception; it must not raise."""


@dataclass(frozen=True)
class Processes:
    """The processes of the training, and which of them this one is."""

    count: int = 1
    """World size."""
    index: int = 0
    """Global rank."""
    local_index: int = 0
    """Rank on this host."""
    is_first: bool = True
    """Whether it is the one that saves and writes."""
    is_first_on_host: bool = True
    """The same among those of this host."""


@dataclass(frozen=True)
class Progress:
    """How far the training is."""

    step: int = 0
    """Optimizer steps made, those before a resume included."""
    max_steps: int = 0
    """Optimizer steps planned."""
    epoch: float | None = None
    """Epochs done, as the trainer counts them; None: it does not."""
    log: Sequence[Mapping[str, Any]] = ()
    """The trainer's log: what it reported, in order."""
    input_tokens: int = 0
    """Input tokens that the trainer counted; 0: none."""
    flops: float = 0.0
    """Floating-point operations that the trainer counted; 0: none."""
    batch_size: int | None = None
    """Samples of one process at once, as a checkpoint brought them or a search for a batch size
    found them."""
    best_metric: Any = None
    """The best value of the tracked metric; None: no metric was tracked."""
    best_step: int | None = None
    """The step that it is of."""
    best_checkpoint: str | None = None
    """The checkpoint that it is of."""


class Step(NamedTuple):
    """What one optimizer step shows. It is made at each step, and therefore small."""

    done: int
    """Optimizer steps made."""
    planned: int
    """Optimizer steps planned."""
    arguments: Mapping[str, Any]
    """As in `Observed`."""
    model: Any = None
    optimizer: Any = None
    lr_scheduler: Any = None


class TrainerView:
    """What captures ask of the trainer itself, beyond the fields of `Observed`.

    This class answers for a trainer of which nothing more is known: an adapter overrides what its
    trainer can say. No answer keeps the trainer alive.
    """

    @property
    def found(self) -> bool:
        """Whether the trainer itself is at hand, and not only what its events show."""
        return False

    def progress(self) -> Progress:
        """Return how far the training is now."""
        return Progress()

    def keeps_log(self) -> bool:
        """Return whether the trainer keeps a log, with a summary of each leg at its end."""
        return False

    def libraries(self) -> frozenset[str]:
        """Return the packages that the trainer's settings are of: "trl", "transformers"."""
        return frozenset()

    def defaults(self) -> Mapping[str, Any]:
        """Return argument → the value that the library gives it where nothing was asked for."""
        return {}

    def warmup_steps(self, planned: int) -> int | None:
        """Return the warmup steps of *planned* steps that the arguments ask for; None: unknown."""
        return None

    def optimizer_class(self) -> type | None:
        """Return the class of the optimizer that the arguments ask for; None: they cannot say."""
        return None

    def deepspeed(self) -> Mapping[str, Any] | None:
        """Return DeepSpeed's own configuration; None: training does not use it."""
        return None

    def method(self) -> Method | None:
        """Return the training library's method, such as DPO; None: it has no methods of its own."""
        return None

    def loss(self) -> Any:
        """Return the trainer's loss object, or data set → loss object; None: it has none."""
        return None

    def own_loss(self) -> OwnLoss | None:
        """Return the run's own code that computes the loss; None: there is none."""
        return None

    def runs_own(self, method: str) -> bool:
        """Return whether code of the run's own stands in the place of the trainer's *method*."""
        return False

    def batches_summed(self, observed: Observed) -> StepBatches | None:
        """Return over how many batches each logged loss is a sum; None: a mean, or unknown."""
        return None

    def reward_functions(self) -> dict[str, float]:
        """Return the name of each reward function → its weight; empty: there are none."""
        return {}

    def renamed_figures(self) -> dict[str, str]:
        """Return beginning of a key of the log → what it begins with in the record."""
        return {}

    def stop_reason(self) -> str:
        """Return why training stopped early, in words; "": it is not known."""
        return ""

    def model_in_use(self) -> Any:
        """Return the model that the trainer uses now; None: it is the one that its events show."""
        return None

    def earlier_flops(self) -> float:
        """Return the operations that the trainer had counted of an attempt that was broken off."""
        return 0.0

    def training_call(self) -> TrainingCall | None:
        """Return the running call that trains, in any thread; None: none is known."""
        return None

    def is_pushing(self) -> bool:
        """Return whether this thread is in an upload of the trainer's."""
        return False

    def resumed_from(self) -> Any:
        """Return the checkpoint that training resumes from, as given; None: none was given."""
        return None

    def is_trial(self) -> bool:
        """Return whether the training is a trial of a search for hyperparameters."""
        return False

    def model_maker(self) -> Any:
        """Return the function that makes each trial's model; None: there is none."""
        return None

    def search_backend(self) -> str:
        """Return the name of what searches for hyperparameters; "": it is not known."""
        return ""

    def checkpoint_state(self) -> MutableMapping[str, Any] | None:
        """Return what checkpoints carry, to put something into; None: they carry nothing."""
        return None


@dataclass(frozen=True)
class Observed:
    """What a trainer shows in one event, and the settings."""

    settings: Settings
    """What the user decided."""
    output_dir: Path = Path()
    """Where the trainer saves, and the card lies."""
    hub_id: str | None = None
    """Name of the model's repository on the Hub, as it was given."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """The trainer's arguments in effect, by the names that transformers gives them
    (`learning_rate`); what a trainer has no word for is not in it."""
    processes: Processes = Processes()
    """The processes of the training."""
    device: Any = None
    """torch's device of this process."""
    devices: int = 1
    """Devices that this process spreads a batch over."""
    model: Any = None
    """The model; may be wrapped (FSDP) or compiled."""
    processing_class: Any = None
    """Tokenizer, processor, feature extractor, or None."""
    optimizer: Any = None
    """As accelerate wrapped it."""
    lr_scheduler: Any = None
    """As the trainer made it."""
    train_dataloader: Any = None
    """Its `dataset` is what the run trains on."""
    eval_dataloader: Any = None
    """None until the first evaluation; then that of the current set."""
    own_loss: OwnLoss | None = None
    """Code of the run's own in the trainer that computes the loss; None: there is none, or no
    trainer was found."""
    start: Start = Start()
    """What is known of the weights that training starts from."""
    trainer: TrainerView = field(default_factory=TrainerView)
    """What only the trainer's adapter can answer."""

    @property
    def progress(self) -> Progress:
        """How far the training is, read now: not as of the event."""
        return self.trainer.progress()

    def without_objects(self) -> Observed:
        """Return what can be kept beyond the event: without model, data and other large objects."""
        return replace(
            self,
            model=None,
            processing_class=None,
            optimizer=None,
            lr_scheduler=None,
            train_dataloader=None,
            eval_dataloader=None,
        )

    def argument(self, name: str) -> Any:
        """Return the trainer's argument *name*.

        Raises:
            UnavailableError: the trainer has none of this name.
        """
        if name not in self.arguments:
            msg = f"the trainer has no argument {name}"
            raise UnavailableError(msg)
        return self.arguments[name]
