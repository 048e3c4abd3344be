"""`AutoCardCallback`: which event of the Trainer does what. Holds no logic of its own.

Nothing raised here reaches the Trainer, and no event returns anything. A step costs a store into
memory and a reading of the clock.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn

from autocard.card_guard import card_writers
from autocard.errors import SettingsError
from autocard.guard import guard, name_work
from autocard.settings import disabled, resolve
from autocard.trainers import trainer_calls
from autocard.trainers.trainer_event import TrainerEvent, step_of

try:
    from transformers.trainer_callback import TrainerCallback
except ImportError as exc:
    _MESSAGE = "AutoCardCallback needs transformers. Install it with: pip install 'autocard[train]'"
    raise ImportError(_MESSAGE) from exc

if TYPE_CHECKING:
    from autocard.capture.observed import Observed
    from autocard.record import RunRecord
    from autocard.runtime.session import Session
    from autocard.runtime.sessions import Sessions

if "transformers.trainer" in sys.modules and not disabled():
    # for `callbacks=[AutoCardCallback]`, whose instance the trainer's constructor makes
    card_writers.watch_trainers()

HAND_OVER_S = 1.0
"""Seconds between two reports of progress to the worker."""

name_work(
    {
        "everything": "start: there will be no card",
        "trainer": "guard the card against being overwritten by the trainer",
        "prepared": "prepare for the new trainer",
        "begin": "begin the record of this training: there will be no card",
        "step": "count a step",
        "saving": "prepare the checkpoint",
        "progress": "take a reading during training",
        "saved": "note the checkpoint",
        "push_begun": "update the card before the upload",
        "evaluated": "take the results of the evaluation",
        "predicted": "take the results of the prediction",
        "end": "complete the record of this training",
    }
)

_FIRST = frozenset({"prepared", "begin"})
"""Events that may be the first of a trainer."""
_LATE = frozenset({"evaluated", "predicted", "push_begun"})
"""Events that may be the first of a callback that was added after training; a card may be written
next."""


class AutoCardCallback(TrainerCallback):  # type: ignore[misc] # transformers is untyped here
    """Fills the model card's technical and environmental sections when training ends.

    One line is enough: `Trainer(..., callbacks=[AutoCardCallback()])`. The card is `README.md` in
    the output folder, the exact figures are in `autocard.json` beside it. Every argument may be
    left out; what is left out comes from `AUTOCARD_*` variables, `[tool.autocard]` in
    pyproject.toml, a site file, or CodeCarbon's configuration.

    Args:
        template: a shipped template's name, or the path of a Markdown or Jinja file, for a new
            card.
        card: path of the card, instead of README.md in the output folder.
        base_model: Hub id of the base model, where it was loaded from a local folder.
        datasets: Hub ids of the training data.
        facts: what only people know, by template variable: license, language, developers, …
            (`autocard facts` lists them).
        country_iso_code: where the machine stands, by code or name (FRA, FR, France); without it
            there is energy, but no CO2 figure.
        region: state, province or bidding zone, by code or name (US-CA, CA, California, SE3).
        geolocate: whether the place may be looked up over the network, once, at the start.
        carbon_intensity_g_per_kwh: grams of CO2eq per kWh, instead of the country's yearly mean.
        market_based_co2eq_g: grams of CO2eq by contracts; it is only repeated.
        pue: power usage effectiveness of the building (at least 1).
        wue_l_per_kwh: water usage effectiveness in litres per kWh.
        cpu_power_w: watts of the node's CPU packages at full load, where CodeCarbon would have to
            guess.
        ram_power_w: watts of the node's memory.
        measure_power_secs: seconds between readings.
        ledger_dir: node-local folder for the working files that are written while training runs.
        empty: "comment" or "placeholder": how a new card shows what only people can fill.
        detail: "standard", "full" (nothing folded) or "brief" (a summary table and the CO2 line);
            left out: as the card has it.
        sections: names of the sections to write, such as ["environment", "front_matter"]; left out:
            as the card has it, all in a new one.
        emissions: whether energy and CO2 are measured.
        last_word: whether our card is put back after the trainer's own writers have written theirs
            (True).
        remote_hosts: git hosts that the record may name as the code's remote, besides the public
            ones.
        plots: whether curves of loss, metrics and power are drawn beside the card; needs
            'autocard[plots]'.
        quiet: whether the lines at the begin and the end of training are left out.

    Raises:
        SettingsError: a setting does not exist, or has a value that cannot be used. Raised here,
            before training starts.
    """

    def __init__(
        self,
        *,
        template: str | None = None,
        card: str | None = None,
        base_model: str | None = None,
        datasets: str | Sequence[str] | None = None,
        facts: Mapping[str, str] | None = None,
        country_iso_code: str | None = None,
        region: str | None = None,
        geolocate: bool | None = None,
        carbon_intensity_g_per_kwh: float | None = None,
        market_based_co2eq_g: float | None = None,
        pue: float | None = None,
        wue_l_per_kwh: float | None = None,
        cpu_power_w: float | None = None,
        ram_power_w: float | None = None,
        measure_power_secs: float | None = None,
        ledger_dir: str | None = None,
        empty: str | None = None,
        detail: str | None = None,
        sections: str | Sequence[str] | None = None,
        emissions: bool | None = None,
        last_word: bool | None = None,
        remote_hosts: str | Sequence[str] | None = None,
        plots: bool | None = None,
        quiet: bool | None = None,
        **unknown: NoReturn,
    ) -> None:
        arguments = {
            name: value
            for name, value in locals().items()
            if name not in {"self", "__class__", "unknown"}
        }
        self._sessions: Sessions | None = None
        self._next_s = 0.0
        if disabled():
            return
        settings = resolve({**arguments, **unknown})
        try:
            from autocard.runtime.sessions import Sessions  # noqa: PLC0415 - the import of this module stays cheap

            self._sessions = Sessions(settings)
            card_writers.watch_trainers()
        except SettingsError:
            raise
        except Exception:
            with guard("everything", {}):
                raise

    @property
    def record(self) -> RunRecord | None:
        """The record of the latest training in this process; None: none has ended here."""
        return None if self._sessions is None else self._sessions.record

    def _repr_html_(self) -> str | None:
        """Return the summary of the latest training for notebooks; None: there is none."""
        return None if self._sessions is None else self._sessions.html()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state of a copy, perhaps in another process, and watch the trainers there."""
        self.__dict__.update(state)
        if self._sessions is not None:
            card_writers.watch_trainers()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state of a copy: the settings alone.

        Trainers are copied and pickled, sometimes into other processes.
        """
        return {
            **self.__dict__,
            "_sessions": None if self._sessions is None else self._sessions.without_sessions(),
        }

    def on_init_end(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        """Prepare the session of a new trainer."""
        self._handle(
            "prepared", args, state, objects, lambda session, shown: session.prepared(shown)
        )

    def on_train_begin(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        """Handle the begin of training."""
        self._handle("begin", args, state, objects, lambda session, shown: session.begin(shown))

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        """Read the gradients before the optimizer step that uses them."""
        if self._sessions is None:
            return
        try:
            self._sessions.of(args, starts=False).stepping(step_of(args, state, objects))
        except Exception:
            with guard("step", {}):
                raise

    def on_step_end(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        """Count a step; once a second, and before a checkpoint, send the progress to the worker."""
        if self._sessions is None:
            return
        try:
            self._sessions.of(args, starts=False).stepped(step_of(args, state, objects))
        except Exception:
            # Only now: entering the guard would cost each step as much again as the rest of this.
            with guard("step", {}):
                raise
        if control.should_save:
            self._handle(
                "saving", args, state, objects, lambda session, shown: session.saving(shown)
            )
        elif monotonic() >= self._next_s:
            self._next_s = monotonic() + HAND_OVER_S
            self._handle(
                "progress", args, state, objects, lambda session, shown: session.progress(shown)
            )

    def on_epoch_end(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        """Handle a coming checkpoint of `save_strategy="epoch"`, which no step announces."""
        if control.should_save:
            self._handle(
                "saving", args, state, objects, lambda session, shown: session.saving(shown)
            )

    def on_prediction_step(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        """Report progress during evaluations, which may take long, during training and after it."""
        if monotonic() >= self._next_s:
            self._next_s = monotonic() + HAND_OVER_S
            self._handle(
                "progress", args, state, objects, lambda session, shown: session.progress(shown)
            )

    def on_save(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        """Handle a written checkpoint."""
        self._handle("saved", args, state, objects, lambda session, shown: session.saved(shown))

    def on_push_begin(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        """Handle the begin of an upload to the Hub."""
        self._handle(
            "push_begun", args, state, objects, lambda session, shown: session.push_begun(shown)
        )

    def on_evaluate(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        """Handle the end of an evaluation."""
        metrics = objects.get("metrics") or {}
        self._handle(
            "evaluated",
            args,
            state,
            objects,
            lambda session, shown: session.evaluated(shown, metrics),
        )

    def on_predict(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **objects: Any
    ) -> None:
        """Handle the end of a prediction."""
        found = metrics or {}
        self._handle(
            "predicted",
            args,
            state,
            objects,
            lambda session, shown: session.predicted(shown, found),
        )

    def on_train_end(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        """Handle the end of training, finished or stopped."""
        self._handle("end", args, state, objects, lambda session, shown: session.end(shown))

    def _hold(self, trainer: Any) -> None:
        if self._sessions is not None:
            card_writers.watch(trainer)
            session = self._sessions.of(trainer.args, starts=True)
            shown = session.observed(TrainerEvent(trainer.args, trainer.state), model=trainer.model)
            session.hold(trainer, shown, self)

    def _trainer_of(self, args: Any, state: Any) -> Any:
        """Return the trainer that has this callback, or None."""
        trainer = trainer_calls.find(args, state)
        if trainer is None or not card_writers.carries(trainer, self):
            return None
        with guard("trainer", {}):
            card_writers.watch(trainer)
        return trainer

    def _handle(
        self,
        event: str,
        args: Any,
        state: Any,
        objects: Mapping[str, Any],
        handler: Callable[[Session, Observed], None],
    ) -> None:
        """Pass an event to the session's *handler*; no failure reaches the Trainer."""
        if self._sessions is None:
            return
        with guard(event, {}):
            starts = event in _FIRST
            session = self._sessions.of(args, starts=starts)
            shown = session.observed(TrainerEvent(args, state), **objects)
            if starts or (event in _LATE and not session.holds_cards):
                session.hold(self._trainer_of(args, state), shown, self)
            handler(session, shown)


def _no_trainer(found: Any) -> str:
    """Return what *found* is instead of a trainer; its package, too: Lightning has a `Trainer`."""
    kind = found if isinstance(found, type) else type(found)
    named = f"{kind.__name__} of {kind.__module__.partition('.')[0]}"
    if isinstance(found, type):
        return f"{named} is a class; give the trainer that you made of it"
    return (
        f"{named} is no transformers.Trainer. Lightning and training loops of your own are not "
        "supported"
    )


def attach(trainer: Any, **settings: Any) -> AutoCardCallback:
    """Add an `AutoCardCallback` to *trainer* if it has none, and guard the cards that it writes.

    `callbacks=[AutoCardCallback()]` does the same: the callback finds its trainer by itself. This
    is the explicit form, for a trainer that is wrapped or started in an unusual way.

    Args:
        trainer: a `transformers.Trainer`, or a trainer with the same interface.
        settings: as `AutoCardCallback` takes them.

    Raises:
        SettingsError: *trainer* is not a Trainer; it already has an `AutoCardCallback` and
            *settings* were given; or a setting has a value that cannot be used.
    """
    if not card_writers.is_trainer(trainer):
        msg = f"autocard.attach: {_no_trainer(trainer)}. Nothing was attached."
        raise SettingsError(msg)
    with guard("trainer", {}):
        card_writers.watch(trainer)
    callback = card_writers.has_callback(trainer, AutoCardCallback)
    if callback is not None and settings:
        msg = (
            "autocard.attach: the trainer has an AutoCardCallback already; "
            "give the settings to that one."
        )
        raise SettingsError(msg)
    if callback is None:
        callback = AutoCardCallback(**settings)
        trainer.add_callback(callback)
        callback.on_init_end(trainer.args, trainer.state, trainer.control, model=trainer.model)
    callback._hold(trainer)  # noqa: SLF001 - the same room
    return callback  # type: ignore[no-any-return]
