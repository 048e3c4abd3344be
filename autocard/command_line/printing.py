"""Print facts and differences on standard output, and what was done on standard error."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from autocard import console, units
from autocard.card.fact import plain
from autocard.card.form.fact_list import FactEntry
from autocard.card.report import Report
from autocard.card.update import Outcome
from autocard.command_line.messages import note, warn
from autocard.command_line.standard_output import Output
from autocard.reconcile.leg_jobs import unseen_without_job
from autocard.reconcile.reconcile import ReconcileOutcome
from autocard.record import Reconciliation

_STATES = {
    "filled": "filled",
    "refreshed": "refreshed",
    "cleared": "cleared (not known for this run, or left out)",
    "kept": "kept (text of a person or of another tool)",
    "removed": "left out (removed by a person)",
}
"""State of a slot → its words, in the order in which they are printed."""


def as_json(value: object) -> str:
    """Return *value* as JSON for people and machines, with a newline at its end."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def print_json(text: str) -> None:
    """Print JSON, which stays JSON on a console of any encoding."""
    sys.stdout.write(console.readable_json(text, sys.stdout))


def print_data(text: str) -> None:
    """Print a card, or what would change in one: into a file or a pipe as UTF-8, as cards are."""
    write = sys.stdout.write_data if isinstance(sys.stdout, Output) else sys.stdout.write
    write(text)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines as they are, wrapped where the terminal ends."""
    screen = Console()
    for line in lines:
        screen.print(Text(line), soft_wrap=True)


def width() -> int:
    """Return how many columns a line has: the terminal's, and 80 where there is none."""
    return Console().width


def print_labelled(lines: Mapping[str, str]) -> None:
    """Print one "Label  text" line for each entry."""
    screen = Console()
    width = max(map(len, lines)) + 2
    for label, text in lines.items():
        screen.print(Text.assemble((label.ljust(width), "bold"), text), soft_wrap=True)


def print_grid(rows: Iterable[tuple[str, str]]) -> None:
    """Print a label and a text in each row, the texts folded beside the labels."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    for label, text in rows:
        grid.add_row(label, Text(text, overflow="fold"))
    Console().print(grid)


def fact_rows(entries: Iterable[FactEntry]) -> Iterator[tuple[str, str]]:
    """Yield the name of each fact, and what people want to learn of it."""
    who = {
        "machine": "filled by autocard",
        "suggested": "suggested by autocard, for you to check",
        "person": "filled by you",
    }
    for entry in entries:
        unit = f", in {entry.unit}" if entry.unit else ""
        record = f", {entry.record} in autocard.json" if entry.record else ""
        labels = ", ".join(entry.labels)
        yield entry.name, f"{entry.title}: {who[entry.who]}{unit}{record}. Labels: {labels}"


# -- differences -----------------------------------------------------------------------------------


def print_outcome_diff(outcome: Outcome) -> None:
    """Print what an update changed, or would change, in its card."""
    print_diff(outcome.before, outcome.text, str(outcome.card))


def print_diff(before: str | None, after: str, name: str) -> None:
    """Print the difference of two texts of *name*; *before* is None where there was none."""
    old = (before or "").splitlines(keepends=True)
    new = after.splitlines(keepends=True)
    for line in difflib.unified_diff(old, new, name, name):
        print_data(line)
        if not line.endswith("\n"):
            print_data("\n\\ No newline at end of file\n")


# -- what became of a card -------------------------------------------------------------------------


def report_outcome(outcome: Outcome, card: Path, *, done: bool) -> None:
    """Print what became of the slots and what a person has to decide; not *done*: of a trial."""
    warn(outcome.warnings)
    warned = " ".join(outcome.warnings)
    for report in outcome.kept:
        # A warning that gives the slot's option has said that its text was kept.
        if report.ours_before and report.option() not in warned:
            note(report.message(str(card)))
    if outcome.suggested:
        names = ", ".join(dict.fromkeys(plain(report.label) for report in outcome.suggested))
        note(f"{card}: suggested, for you to check: {names}")
    states = _states(outcome.reports)
    if not outcome.changed:
        note(f"{card}: nothing to do" + (f" ({states})" if states else ""))
    else:
        note(f"{card}: {'' if done else 'would have '}{states or 'brought up to date'}")


def _states(reports: Iterable[Report]) -> str:
    """Return how many slots are in each state, as in "3 filled, 1 refreshed"."""
    states = [report.state for report in reports]
    counted = []
    for state, text in _STATES.items():
        if state in states:
            counted.append(f"{states.count(state)} {text}")
    return ", ".join(counted)


def report_reconciled(outcome: ReconcileOutcome, record: Path, *, diff: bool, json: bool) -> None:
    """Print what became of the cards beside *record*; *diff*: nothing was written."""
    for card, updated in outcome.cards:
        if updated.left_alone is not None:
            note(
                f"warning: {card}: {updated.left_alone}. It was left alone; "
                f"correct it and run: autocard fill {card}"
            )
            continue
        if diff and not json:
            print_outcome_diff(updated)
        report_outcome(updated, card, done=not diff)
    unknown = unseen_without_job(outcome.record, outcome.comparison)
    if unknown and outcome.comparison.kind == "sacct":
        note(
            f"{record}: {units.plural(unknown, 'start')} not compared, whose job is not recorded. "
            "Name all jobs of the run: --job ID --job ID"
        )
    if not outcome.cards:
        written = "" if diff else "; the comparison is in the record"
        note(f"{record}: no card of ours beside it{written}")


# -- a comparison ----------------------------------------------------------------------------------


def print_comparison(outcome: ReconcileOutcome) -> None:
    """Print a meter's figure beside the sum of the components."""
    comparison = outcome.comparison
    lines = {
        "Metered": _metered(comparison),
        "Covers": comparison.covers,
        "Components": _kwh(comparison.components_kwh) or outcome.reasons["components_kwh"],
        "Ratio": "none",
        "Not metered": "not known",
        "Verdict": comparison.verdict,
    }
    if comparison.ratio is not None:
        lines["Ratio"] = units.number(comparison.ratio, units.MODELLED)
    if comparison.unmetered_kwh is not None:
        lines["Not metered"] = units.kwh(comparison.unmetered_kwh, units.MODELLED)
    seen, of_run = len(comparison.legs), len(outcome.record.legs)
    if seen < of_run:
        lines["Verdict"] += f", for {units.count(seen)} of {units.count(of_run)} starts"
    if comparison.reason:
        lines["Verdict"] += f": {comparison.reason}"
    print_labelled({label: plain(text) for label, text in lines.items()})


def _metered(comparison: Reconciliation) -> str:
    return f"{_kwh(comparison.metered_kwh) or 'none'}: {comparison.source}"


def _kwh(energy_kwh: float | None) -> str:
    return "" if energy_kwh is None else units.kwh(energy_kwh)


def comparison_as_json(outcome: ReconcileOutcome) -> str:
    """Return the comparison as JSON, with reasons of missing parts and if anything changed."""
    found = {
        "reconciliation": outcome.comparison.model_dump(mode="json"),
        "missing": dict(outcome.reasons),
        "changed": outcome.changed,
    }
    return as_json(found)
