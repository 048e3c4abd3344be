"""`AutoCardCallback`: which event of the Trainer does what. Holds no logic of its own.

Nothing raised here reaches the Trainer, and no event returns anything. Events of single steps are not handled at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from autocard.guard import guard
from autocard.settings import disabled, resolve

try:
    from transformers.trainer_callback import TrainerCallback
except ImportError as exc:
    _MESSAGE = "AutoCardCallback needs transformers. Install it with: pip install 'autocard[train]'"
    raise ImportError(_MESSAGE) from exc

if TYPE_CHECKING:
    from autocard.session import Sessions


class AutoCardCallback(TrainerCallback):  # type: ignore[misc] # transformers is untyped here
    """Fills the model card's technical and environmental sections when training ends.

    One line is enough: `Trainer(..., callbacks=[AutoCardCallback()])`. The card is `README.md` in the output folder,
    the exact figures are in `autocard.json` beside it. Every argument may be left out; what is left out comes from
    `AUTOCARD_*` variables, `[tool.autocard]` in pyproject.toml, a site file, or CodeCarbon's configuration.

    Args:
        template: a shipped template's name, or the path of a Markdown or Jinja file, for a new card.
        card: path of the card, instead of README.md in the output folder.
        base_model: Hub id of the base model, where it was loaded from a local folder.
        datasets: Hub ids of the training data.
        facts: what only people know, by template variable: license, language, developers, …
        country_iso_code: where the machine stands (ISO 3166-1); without it there is energy, but no CO2 figure.
        region: state or province, in the words of CodeCarbon's tables.
        geolocate: whether the place may be looked up over the network; not built yet, True is refused.
        carbon_intensity_g_per_kwh: grams of CO2eq per kWh, instead of the country's yearly mean.
        market_based_co2eq_g: grams of CO2eq by contracts; it is only repeated.
        pue: power usage effectiveness of the building (at least 1).
        wue_l_per_kwh: water usage effectiveness in litres per kWh.
        cpu_power_w: watts of the node's CPU packages at full load, where CodeCarbon would have to guess.
        ram_power_w: watts of the node's memory.
        measure_power_secs: seconds between readings.
        ledger_dir: node-local folder for the working files that are written while training runs.
        empty: "comment" or "placeholder": how a new card shows what only people can fill.
        emissions: whether energy and CO2 are measured.
        last_word: whether the card is written again after the trainer's own writers; not built yet, True is refused.

    Raises:
        SettingsError: a setting cannot be meant as it stands. Raised here, before training starts.
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
        emissions: bool | None = None,
        last_word: bool | None = None,
    ) -> None:
        arguments = {name: value for name, value in locals().items() if name not in {"self", "__class__"}}
        self._sessions: Sessions | None = None
        if disabled():
            return
        settings = resolve(arguments)
        from autocard.session import Sessions  # noqa: PLC0415 - the import of this module stays cheap

        self._sessions = Sessions(settings)

    def on_init_end(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        """A trainer was made."""
        self._tell("prepared", args, state, objects)

    def on_train_begin(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        """Training begins."""
        self._tell("begin", args, state, objects)

    def on_log(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        """Some steps were done."""
        self._tell("progress", args, state, objects)

    def on_save(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        """A checkpoint was written."""
        self._tell("progress", args, state, objects)

    def on_evaluate(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        """An evaluation ended."""
        self._tell("evaluated", args, state, objects, "metrics")

    def on_predict(self, args: Any, state: Any, control: Any, metrics: Any = None, **objects: Any) -> None:
        """A prediction ended."""
        self._tell("predicted", args, state, {**objects, "metrics": metrics}, "metrics")

    def on_train_end(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        """Training ended, finished or not."""
        self._tell("end", args, state, objects)

    def _tell(self, event: str, args: Any, state: Any, objects: Mapping[str, Any], *extra: str) -> None:
        """Hand an event to the session; whatever goes wrong stays here."""
        if self._sessions is None:
            return
        with guard(event, {}):
            session = self._sessions.of(args, starts=event in {"prepared", "begin"})
            seen = session.seen(args, state, objects)
            handle: Callable[..., None] = getattr(session, event)
            handle(seen, *(objects.get(name) or {} for name in extra))
