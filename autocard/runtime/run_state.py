"""The state of a session: of its run, of the present training, and within an event.

Plain data. Pieces of work read it; the runner stores their results in it.
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
from autocard.guard import log_warning
from autocard.record import Dataset, Evaluation, Leg, RunRecord
from autocard.record.gaps import Gaps, Part
from autocard.runtime.clock import WallClock
from autocard.runtime.run_history import RunHistory
from autocard.runtime.search import Origin, Trial, Trials, WrittenTrial
from autocard.settings import Settings

if TYPE_CHECKING:
    from autocard.energy.counter_mark import CounterMark
    from autocard.energy.meter import Meter


@dataclass
class Facts:
    """Known facts of the present run; dropped when training continues another run."""

    parts: dict[str, Any] = field(default_factory=dict)
    """Key of the record → its part. Some keys are not parts, but values that complete a part."""
    gaps: dict[str, Gaps] = field(default_factory=dict)
    """Path of a part → the gaps in it."""
    eval_sets: dict[tuple[str, str], Dataset] = field(default_factory=dict)
    """(what used the data, prefix of its metrics) → evaluation data set."""
    predictions: dict[str, float] = field(default_factory=dict)
    """Metrics of predictions after training, which the trainer's log lacks."""
    running: bool = False
    """Whether training has begun and has not reported its end."""
    ended: bool = False
    """Whether the latest training has ended."""
    attempts: int = 1
    """How often it began: it begins again with smaller batches after running out of memory."""
    attempt_after_s: float = 0.0
    """Seconds from the begin of training to the begin of its last attempt."""
    carried_flops: float = 0.0
    """Floating-point operations that the trainer had counted before this training."""
    earlier: PriorTraining | None = None
    """Earlier training of the same weights."""
    travelled: Mapping[str, Any] | None = None
    """The checkpoint's statements about the weights that training continues with."""
    start: Start = field(default_factory=Start)
    since_s: float = 0.0
    """Seconds of the wall clock when training began: older files are not of this run."""
    shown: Observed | None = None
    """The latest observed event, without the model, which must not be kept alive."""
    rates: LearningRates = field(default_factory=LearningRates)
    stop_reason: str | None = ""
    renamed: dict[str, str] | None = None
    """Key of the log → key in the record."""
    own_loss: OwnLoss | None = None
    operations: Part[dict[str, Any]] | None = None
    """Operation counts of the model as it was trained."""
    evaluated: Evaluated = field(default_factory=Evaluated)
    under_adapters: UnderAdapters | None = None
    logged_in_training: int = 0
    """Number of entries in the trainer's log at the last evaluation during training."""
    steps: Steps = field(default_factory=Steps)
    changes: Changes = field(default_factory=Changes)


@dataclass
class Latest:
    """The latest record and card; copies of a session share it."""

    record: RunRecord | None = None
    card: Path | None = None
    """The file with the facts; None: it could not be written."""
    awaited: bool = False
    """Whether figures were still missing when the end of training was announced."""


@dataclass(eq=False)
class RunState:
    """The run of a trainer, over all its trainings in this process."""

    settings: Settings
    made_s: float
    """Monotonic seconds when set-up began."""
    family: object = None
    """The `Sessions` that its session belongs to."""
    origin: Origin = field(default_factory=Origin)
    """Of its callback."""
    history: RunHistory = field(init=False)
    coordinator: Coordinator = field(init=False)
    card_guard: CardGuard = field(init=False)
    """Set by the session, which provides the record."""
    facts: Facts = field(default_factory=Facts)
    meter: Meter | None = None
    wall_clock: WallClock = field(default_factory=WallClock)
    clock_was_set: bool = False
    """Whether the machine's clock was set during training."""
    ended_s: float = 0.0
    """Monotonic seconds when training ended."""
    labels_checked: bool = False
    fresh: bool | None = None
    """Whether the weights were freshly initialized when the trainer was made."""
    counted: tuple[int | None, int | None] | None = None
    """Parameters (total, trainable) before anything sharded them."""
    train_call: TrainingCall | None = None
    news: bool = False
    """Whether figures have arrived since the card was written."""
    latest: Latest = field(default_factory=Latest)
    working_file: Path | None = None
    """The working file of the run, from its begin to its record."""
    elsewhere: Path | None = None
    """Folder of a record that could not be written beside its card."""
    trials: Trials | None = None
    """The search that this training is a trial of, if any."""
    searches: list[Trials] = field(default_factory=list)
    """The searches that this training follows."""
    no_card_there: bool = False
    """Whether the card cannot be written where the setting `card` says."""
    warned_of: set[str] = field(default_factory=set)
    """Settings that cannot be used and that the user was warned of."""
    written_trials: list[WrittenTrial] = field(default_factory=list)
    """Trials of other processes that this training follows."""

    def __post_init__(self) -> None:
        """Begin with an empty history and without other processes."""
        self.history = RunHistory(self.settings)
        self.coordinator = Coordinator(self.history)

    def card(self, folder: Path) -> Path:
        """Return the path of the card, where *folder* is the output folder."""
        given = None if self.no_card_there else self.settings.card
        return Path(given or folder / "README.md")

    def writes(self, observed: Observed) -> bool:
        """Return whether this process writes the card."""
        return self.coordinator.writes(observed)

    def is_unfinished(self, event: Event) -> bool:
        """Return whether training runs, and this process will write its card."""
        going_on = self.facts.running and not self.facts.ended
        return going_on and self.writes(event.observed) and not event.in_search

    def raised(self) -> bool:
        """Return whether `train` has raised, which no event reports; False if unknown."""
        facts, call = self.facts, self.train_call
        return facts.running and not facts.ended and call is not None and not call.running

    def warn_of(self, setting: str, sentence: str) -> None:
        """Warn once of a *setting* that cannot be used."""
        if setting not in self.warned_of:
            self.warned_of.add(setting)
            log_warning("autocard: %s", sentence)

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
        """Return the open leg, up to its last sign of life, if it is a pruned or failed trial."""
        if self.trials is None or not self.facts.running:
            return None
        return self.trial(self.history.open.last_s, finished=False)

    def note_trial(self, trial: Trial | None) -> None:
        """Add *trial* to the search that this training belongs to."""
        if trial is not None and self.trials is not None:
            self.trials.done.append(trial)


@dataclass
class Event:
    """An event of the trainer, with results of its pieces for the pieces after them."""

    observed: Observed
    at_s: float = field(default_factory=time.monotonic)
    """Monotonic seconds when it happened."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """Metrics of an evaluation or a prediction."""
    saving: bool = False
    """Whether a checkpoint is about to be written."""
    saved: bool = False
    """Whether a checkpoint was written."""
    broken_off: bool = False
    """Whether this training follows another that ended without an event."""
    wait_s: float = 0.0
    """Seconds to wait for late figures."""
    last: bool = False
    """Whether figures that are still missing will not arrive."""
    saved_to: Path | None = None
    """Folder, other than the run's own, that the model has just been saved to."""
    entry: LedgerEntry | None = None
    """Ledger entry of a leg with late figures; None: the entry of the leg that ended last."""
    took_s: float | None = None
    """Seconds of an evaluation after training; None: not known."""
    held_trainer: Any = None
    """The trainer whose cards the card guard restores; None: it was not found."""
    callback: Any = None
    """Our callback. The card guard restores cards as long as the trainer has it."""

    met: bool | None = None
    mark: CounterMark | None = None
    another_run: bool | None = None
    start: Start | None = None
    leg_id: str | None = None
    nodes: int | None = None
    own_loss: OwnLoss | None = None
    of_others: bool | None = None
    """Whether an evaluation used other weights than the trained weights."""
    joules: float | None = None
    """Joules of an evaluation after training in this process."""
    joules_of_others: Mapping[int, float | None] | None = None
    measured: list[LedgerEntry] | None = None
    release: Callable[[], None] | None = None
    """Ends this process's turn to write the card."""
    of_all_nodes: Mapping[str, Any] | None = None
    earlier_record: RunRecord | None = None
    """The record beside the card, of this run or another; None: there is none."""
    legs: list[Part[Leg]] | None = None
    epochs: float | None = None
    evaluation: Evaluation | None = None
    """The evaluation, if it names the step of the model's weights."""
    record: RunRecord | None = None
    written: bool | None = None
    newest: bool | None = None
    late_figures: list[LedgerEntry] | None = None
    late_elsewhere: bool | None = None
    """Whether late figures of other processes have arrived."""

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
