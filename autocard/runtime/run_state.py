"""What a session has found out so far: about its run, about the training that goes on, and within one event.

Plain data. Pieces of work read it; the runner stores in it what they return.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocard.capture.evaluation.weights_in_effect import Evaluated
from autocard.capture.model.base_weights import UnderAdapters
from autocard.capture.model.prior_training import PriorTraining
from autocard.capture.model.trained_parameters import Steps
from autocard.capture.observed import Observed, OwnLoss, Start, TrainingCall
from autocard.capture.training.changed_settings import Changes
from autocard.capture.training.schedule import LearningRates
from autocard.card_guard.card_guard import CardGuard
from autocard.distributed.coordinator import Coordinator
from autocard.energy.ledger.ledger_entry import LedgerEntry
from autocard.record import Dataset, Evaluation, Leg, RunRecord
from autocard.record.gaps import Gaps, Part
from autocard.runtime.clock import WallClock
from autocard.runtime.run_history import RunHistory
from autocard.runtime.search import Trial, Trials
from autocard.settings import Settings

if TYPE_CHECKING:
    from autocard.energy.counter_mark import CounterMark
    from autocard.energy.meter import Meter


@dataclass
class Facts:
    """What is known of the run that goes on; forgotten when training goes on with another run."""

    parts: dict[str, Any] = field(default_factory=dict)
    """Key of the record → its part. Some keys are no part themselves, but values that complete one."""
    gaps: dict[str, Gaps] = field(default_factory=dict)
    """Path of a part → the gaps in it."""
    eval_sets: dict[tuple[str, str], Dataset] = field(default_factory=dict)
    """(what used it, prefix of its metrics) → evaluation data set."""
    predictions: dict[str, float] = field(default_factory=dict)
    """Figures of predictions after training; the trainer's log does not have them."""
    running: bool = False
    """Whether training has begun, and its end was not reported."""
    ended: bool = False
    """Whether the training that began last has ended."""
    attempts: int = 1
    """How often it began: again with smaller batches, where memory ran out."""
    attempt_after_s: float = 0.0
    """Seconds from the begin of training to that of its last attempt."""
    carried_flops: float = 0.0
    """Operations that the trainer had counted before this training."""
    earlier: PriorTraining | None = None
    """What has trained the same weights before."""
    travelled: Mapping[str, Any] | None = None
    """What the checkpoint says of the weights that training goes on with."""
    start: Start = field(default_factory=Start)
    since_s: float = 0.0
    """Seconds of the wall clock when training began: files that are older are not of this run."""
    shown: Observed | None = None
    """What an event has shown, without the model, which is not ours to keep alive."""
    rates: LearningRates = field(default_factory=LearningRates)
    stop_reason: str | None = ""
    renamed: dict[str, str] | None = None
    """Key of the log → key under which it is kept."""
    own_loss: OwnLoss | None = None
    operations: Part[dict[str, Any]] | None = None
    """Figures of operations of the model as it was trained."""
    evaluated: Evaluated = field(default_factory=Evaluated)
    under_adapters: UnderAdapters | None = None
    logged_in_training: int = 0
    """Entries of the trainer's log when training was last evaluated."""
    steps: Steps = field(default_factory=Steps)
    changes: Changes = field(default_factory=Changes)


@dataclass(eq=False)
class RunState:
    """The run of one trainer, over all its trainings in this process."""

    settings: Settings
    made_s: float
    """Monotonic seconds when its set-up began."""
    family: object = None
    """The `Sessions` that its session is one of."""
    history: RunHistory = field(init=False)
    coordinator: Coordinator = field(init=False)
    card_guard: CardGuard = field(init=False)
    """Set by the session, which gives it the record."""
    facts: Facts = field(default_factory=Facts)
    meter: Meter | None = None
    wall_clock: WallClock = field(default_factory=WallClock)
    clock_was_set: bool = False
    """Whether the machine's clock was set while training ran."""
    ended_s: float = 0.0
    """Monotonic seconds when training ended."""
    labels_checked: bool = False
    fresh: bool | None = None
    """Whether the weights were freshly initialized when the trainer was made."""
    counted: tuple[int | None, int | None] | None = None
    """Parameters (total, trainable) before anything sharded them."""
    train_call: TrainingCall | None = None
    news: bool = False
    """Whether figures have come since the card was written."""
    elsewhere: Path | None = None
    """Folder of a record that could not be written beside its card."""
    trials: Trials | None = None
    """The search that this training is a trial of."""
    searches: list[Trials] = field(default_factory=list)
    """The searches that this training follows."""

    def __post_init__(self) -> None:
        """Begin with an empty history, as the only process."""
        self.history = RunHistory(self.settings)
        self.coordinator = Coordinator(self.history)

    def card(self, folder: Path) -> Path:
        """Return the path of the card, where *folder* is the output folder."""
        return Path(self.settings.card or folder / "README.md")

    def writes(self, observed: Observed) -> bool:
        """Return whether this process writes the card."""
        return self.coordinator.writes(observed)

    def raised(self) -> bool:
        """Return whether `train` has raised: there is no event for that. False where its call was not seen."""
        facts, call = self.facts, self.train_call
        return facts.running and not facts.ended and call is not None and not call.running

    @property
    def has_measured(self) -> bool:
        """Whether this process has measured its last leg."""
        own = self.history.own
        return self.meter is not None and bool(own) and bool(own[-1].leg.hosts)

    def trial(self, at_s: float, *, finished: bool) -> Trial:
        """Return the open leg, up to *at_s* (monotonic seconds), as a trial."""
        opened, shown = self.history.open, self.facts.shown
        folder = Path() if shown is None else shown.output_dir
        wall_clock_s = max(at_s - opened.at_s, 0.0)
        return Trial(opened.id, self.history, folder, wall_clock_s, finished)

    def left_trial(self) -> Trial | None:
        """Return the open leg, up to its last sign of life, if it is a trial: one that was pruned or that failed."""
        if self.trials is None or not self.facts.running:
            return None
        return self.trial(self.history.open.last_s, finished=False)

    def note_trial(self, trial: Trial | None) -> None:
        """Add *trial* to the search that this training belongs to."""
        if trial is not None and self.trials is not None:
            self.trials.done.append(trial)


@dataclass
class Event:
    """One event of the trainer, and what its pieces of work have found for those behind them."""

    observed: Observed
    at_s: float = field(default_factory=time.monotonic)
    """Monotonic seconds when it happened."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """Of an evaluation or a prediction."""
    saving: bool = False
    """Whether a checkpoint is about to be written."""
    saved: bool = False
    """Whether a checkpoint was written."""
    broken_off: bool = False
    """Whether a training begins that follows one which had not ended."""
    wait_s: float = 0.0
    """Seconds to wait for late figures."""
    last: bool = False
    """Whether what is not known by now will not be known."""
    saved_to: Path | None = None
    """Another folder than the run's own that the model has just been saved to."""
    entry: LedgerEntry | None = None
    """Ledger entry of a leg whose figures came late; None: that of the leg that ended last."""
    took_s: float | None = None
    """Seconds of an evaluation after training; None: not known."""
    held_trainer: Any = None
    """The trainer whose cards the card guard shall restore; None: it was not found."""
    callback: Any = None
    """Our callback, as long as which is the trainer's the card guard restores cards."""

    met: bool | None = None
    mark: CounterMark | None = None
    another_run: bool | None = None
    start: Start | None = None
    leg_id: str | None = None
    nodes: int | None = None
    own_loss: OwnLoss | None = None
    of_others: bool | None = None
    """Whether an evaluation was of other weights than the trained ones."""
    joules: float | None = None
    """What an evaluation after training used here."""
    joules_of_others: Mapping[int, float | None] | None = None
    measured: list[LedgerEntry] | None = None
    release: Callable[[], None] | None = None
    """Ends this process's turn to write the card."""
    of_all_nodes: Mapping[str, Any] | None = None
    legs: list[Part[Leg]] | None = None
    epochs: float | None = None
    evaluation: Evaluation | None = None
    """The evaluation, where it says of which step the model's weights are."""
    record: RunRecord | None = None
    written: bool | None = None
    newest: bool | None = None
    late_figures: list[LedgerEntry] | None = None
    late_elsewhere: bool | None = None
    """Whether late figures of other processes have come."""

    @property
    def folder(self) -> Path:
        """The output folder."""
        return self.observed.output_dir

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        return self.observed.progress.step

    @property
    def max_steps(self) -> int:
        """Optimizer steps planned."""
        return self.observed.progress.max_steps

    @property
    def in_search(self) -> bool:
        """Whether the training is a trial of a hyperparameter search."""
        return self.observed.trainer.is_trial()
