"""What is said when training has ended: its length, energy and CO2, the card, and what is left.

Rule: every figure is the card's own, and what waits for a person is what `autocard check` lists.
"""

from __future__ import annotations

import html
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from autocard import files, units
from autocard import record as records
from autocard.card.check import check as checking
from autocard.card.fields import carbon, energy_figures
from autocard.card.fields.summary import summary
from autocard.energy.readings import TOO_SHORT
from autocard.record import RunRecord
from autocard.runtime.saved_weights import with_saved_weights

SHORT_S = 3.0
"""Seconds that a training takes for CodeCarbon to start and read twice, more or less."""
_MAX_REASON = 120
"""Characters of a reason in the line."""


@dataclass(frozen=True)
class EndSummary:
    """The end of a training for the terminal (`line`) and the notebook (`html`)."""

    record: RunRecord
    card: Path
    """The file with the facts."""
    fields: int = 0
    """Fields of the card that wait for a person."""
    measured: bool = True
    """Whether the user wants energy to be measured."""
    awaited: bool = False
    """Whether the figures of energy are still to come."""

    @property
    def line(self) -> str:
        """Everything in one line."""
        figures = ", ".join(filter(None, [self._hours(), *self._energy()]))
        return f"autocard: {self._status()}{figures} → {_shown(self.card)}{self._left()}"

    @property
    def html(self) -> str:
        """A table of the summary, with the card and what is left."""
        rows = {**summary(self.record), "Card": _shown(self.card)}
        if self.fields:
            rows["For you"] = f"{units.plural(self.fields, 'field')}: {self._command()}"
        return table(rows)

    def _status(self) -> str:
        run = self.record.run
        if run.status == "finished":
            return ""
        step, planned = units.count(run.global_step or 0), units.count(run.max_steps or 0)
        return f"{run.status} at step {step} of {planned}: "

    def _hours(self) -> str:
        seconds = self.record.time.wall_clock_s
        return "" if seconds is None else units.duration(seconds)

    def _energy(self) -> list[str]:
        """Return energy and CO2, or why they are missing."""
        if not self.measured:
            return ["energy and CO2 not measured (emissions=False)"]
        if self.awaited:
            return ["energy and CO2 follow when the process exits"]
        total = energy_figures.total(self.record)
        energy = f"{total} kWh" if total else self._why_no_energy()
        return [energy, self._co2()]

    def _why_no_energy(self) -> str:
        record = self.record
        least_kwh = record.energy.reported_kwh
        if least_kwh:
            return f"at least {units.kwh(least_kwh, units.MODELLED)}"
        reason = energy_figures.why_no_total(record) or "not known"
        seconds = record.time.wall_clock_s
        if TOO_SHORT in reason and seconds is not None and seconds < SHORT_S:
            return f"too short to measure (about {SHORT_S:.0f} s are needed)"
        return f"no energy: {_short(reason.removeprefix('not measured: '))}"

    def _co2(self) -> str:
        emissions = self.record.emissions
        if emissions.co2eq_g is not None:
            return units.co2eq(emissions.co2eq_g, carbon.co2_digits(self.record))
        if emissions.reported_co2eq_g:
            return f"at least {units.co2eq(emissions.reported_co2eq_g, units.MODELLED)}"
        if emissions.country_iso_code is None and emissions.intensity_g_per_kwh is None:
            return f"no CO2 without a place (autocard fill {self._folder()} --country CODE)"
        if self.record.energy.total_kwh is None:
            return ""  # the energy's reason is given
        reason = self.record.why_missing("emissions.co2eq_g") or "not known"
        return f"no CO2: {_short(reason)}"

    def _left(self) -> str:
        if not self.fields:
            return ""
        return f"; {units.plural(self.fields, 'field')} for you: {self._command()}"

    def _command(self) -> str:
        return f"autocard check {self._folder()}"

    def _folder(self) -> str:
        """Return what a command calls the card."""
        folder = self.card.parent if self.card.name == "README.md" else self.card
        return shlex.quote(_shown(folder))


def fields_for_people(card: Path) -> int:
    """Return how many fields of *card* wait for a person, as `autocard check` counts them."""
    if not files.exists(card.parent / records.RECORD_NAME):
        return 0  # a card that could not be filled is kept apart from its record
    record = with_saved_weights(records.load(card.parent), card.parent)
    return sum(slot.who != "machine" for slot in checking.check(card, record).empty)


def table(rows: Mapping[str, str]) -> str:
    """Return label → text as an HTML table."""
    lines = [
        f'<tr><th style="text-align:left">{html.escape(label)}</th>'
        f'<td style="text-align:left">{html.escape(words)}</td></tr>'
        for label, words in rows.items()
    ]
    return "\n".join(["<table>", "<tbody>", *lines, "</tbody>", "</table>"])


def _shown(path: Path) -> str:
    """Return *path* seen from the current folder, if it is below it."""
    if not path.is_absolute():
        return str(path)
    with_dots = os.path.relpath(path)
    return str(path) if with_dots.startswith(os.pardir) else with_dots


def _short(reason: str) -> str:
    return reason if len(reason) <= _MAX_REASON else reason[: _MAX_REASON - 1] + "…"
