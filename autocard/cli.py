"""The command line: parse, call one function, print, exit status. Holds no logic of its own.

Exit status: 0 done or nothing to do; 1 a machine's slot is out of date or missing (--check, check); 2 wrong usage;
3 refused, nothing was written. Imports none of torch, transformers, peft, codecarbon.
"""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from autocard import record as records
from autocard._version import __version__
from autocard.card.fact import plain
from autocard.card.fields.summary import summary
from autocard.card.fill import Report
from autocard.card.labels import words
from autocard.card.update import Outcome, update
from autocard.errors import AutocardError, SettingsError
from autocard.record import RunRecord

OUT_OF_DATE, USAGE, REFUSED = 1, 2, 3

app = typer.Typer(
    name="autocard",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Fill the technical and environmental sections of a model card with what the training run measured.",
)

CardPath = Annotated[Path, typer.Argument(metavar="CARD", help="A model card, such as README.md.", show_default=False)]
RecordPath = Annotated[
    Path | None,
    typer.Option("--record", metavar="R", help="A record, or a folder that holds one. Read, never written."),
]
Template = Annotated[
    str | None, typer.Option(metavar="T", help="A shipped template's name, or the path of a Markdown or Jinja file.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> None:
    """Run the command line; the entry point `autocard`."""
    try:
        app()
    except SettingsError as exc:
        _fail(str(exc), USAGE)
    except AutocardError as exc:
        _fail(str(exc), REFUSED)


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        typer.echo(f"autocard {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def fill(
    card: CardPath,
    record: RecordPath = None,
    template: Template = None,
    overwrite: Annotated[
        list[str] | None, typer.Option(metavar="SLOT", help="Write this slot, whoever wrote there. May be repeated.")
    ] = None,
    *,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; status 1 if something would change.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Write nothing; print what would change.")] = False,
) -> None:
    """Fill CARD in place: empty slots are filled, ours refreshed, a person's text is kept.

    The record is the autocard.json beside the card, or the one that --record names. A missing card is made.
    """
    run = _record(record or card.parent, card)
    trial = update(card, run, template=template, overwrite=overwrite or (), dry_run=True)
    if trial.left_alone is not None:
        _fail(f"{card}: {trial.left_alone}. Nothing was written.", REFUSED)
    _know_slots(overwrite or (), trial.reports, card)
    outcome = trial if check or diff else update(card, run, template=template, overwrite=overwrite or ())
    if diff:
        _print_diff(outcome)
    _tell(outcome, card, done=not (check or diff))
    if check and outcome.changed:
        raise typer.Exit(OUT_OF_DATE)


@app.command()
def render(
    record: Annotated[Path, typer.Option("--record", metavar="R", help="A record, or a folder that holds one.")],
    template: Template = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="A new file, instead of the screen.")
    ] = None,
) -> None:
    """Make a new card from a record, in any form. With -o the record that goes with it lies beside it."""
    run = _record(record)
    if output is None:
        with TemporaryDirectory() as folder:
            made = update(Path(folder) / "README.md", run, template=template, dry_run=True)
        sys.stdout.write(made.text)
    else:
        _know_free(output)
        made = update(output, run, template=template)
        _note(f"{output}: written, and beside it the record that remembers what was written")
    _warn(made.warnings)


@app.command()
def show(
    record: Annotated[Path, typer.Argument(metavar="R", help="A record, or a folder that holds one.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show what a run recorded: base model, regime, hardware, hours, energy, CO2eq."""
    run = _record(record)
    if as_json:
        sys.stdout.write(records.to_json(run))
        return
    lines = {"Model": plain(run.model.name or "not known"), **summary(run)}
    width = max(map(len, lines)) + 2
    console = Console()
    for label, text in lines.items():
        console.print(Text.assemble((label.ljust(width), "bold"), text), soft_wrap=True)


@app.command()
def check(
    card: CardPath,
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Ask for the slots that only people can fill, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say whether CARD holds what the record beside it says; status 1 if not. Writes nothing."""
    if not card.exists():
        _fail(f"{card}: there is no such card. Make it: autocard fill {card}", USAGE)
    outcome = update(card, _record(card.parent, card), dry_run=True)
    if outcome.left_alone is not None:
        _fail(f"{card}: {outcome.left_alone}.", REFUSED)
    stale = [one for one in outcome.reports if one.state in {"filled", "refreshed", "cleared"}]
    blank = [one for one in outcome.reports if one.state == "empty" and one.who != "machine"] if strict else []
    if as_json:
        sys.stdout.write(_as_json({"out_of_date": _told(stale), "empty": _told(blank)}))
    else:
        for one in stale:
            typer.echo(f'{_where(card, one)}: "{plain(one.label)}" {_WRONG[one.state]}')
        for one in blank:
            typer.echo(f'{_where(card, one)}: "{plain(one.label)}" is for a person to fill, and empty')
        if stale:
            typer.echo(f"Put it right: autocard fill {card}")
        elif not blank:
            typer.echo(f"{card}: up to date")
    if stale or blank:
        raise typer.Exit(OUT_OF_DATE)


@app.command()
def schema() -> None:
    """Print the JSON Schema of autocard.json."""
    sys.stdout.write(schema_text())


def schema_text() -> str:
    """Return the JSON Schema of `autocard.json`, as it is published in the package."""
    return _as_json(records.json_schema())


_WRONG = {
    "filled": "is empty, and the record knows it",
    "refreshed": "is out of date",
    "cleared": "is of an earlier run; this one does not know it",
}
_DONE = {
    "filled": "filled",
    "refreshed": "refreshed",
    "cleared": "cleared (not known for this run)",
    "kept": "kept (somebody else's text)",
    "removed": "left out (taken out by a person)",
}


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _told(reports: Iterable[Report]) -> list[dict[str, Any]]:
    return [{"slot": one.slot, "label": one.label, "line": one.line, "state": one.state} for one in reports]


def _where(card: Path, report: Report) -> str:
    return f"{card}:{report.line}" if report.line else str(card)


def _record(path: Path, card: Path | None = None) -> RunRecord:
    """Read the record at *path*; that there is none is wrong usage, that it is broken a refusal."""
    file = path / records.RECORD_NAME if path.is_dir() else path
    if not file.exists():
        ways = "Train with AutoCardCallback, or name a record" + (" with --record." if card is not None else ".")
        _fail(f"{file}: there is no such record. {ways}", USAGE)
    return records.load(path)


def _know_free(output: Path) -> None:
    """Refuse a place where a card or a record would be lost."""
    if output.exists():
        way = f"To bring it up to date: autocard fill {output}"
        _fail(f"{output}: is there already, and was left alone. {way}", REFUSED)
    if (output.parent / records.RECORD_NAME).exists():
        way = f"To make the card of that record: autocard fill {output}"
        _fail(f"{output}: a record lies beside it, which would be replaced. Nothing was written. {way}", REFUSED)


def _know_slots(names: Iterable[str], reports: Iterable[Report], card: Path) -> None:
    """Refuse a slot that the card does not have: a name mistyped must not pass for done."""
    known = {
        words(name): one.label for one in reports for name in (one.slot, one.label, one.slot.removeprefix("yaml:"))
    }
    for name in names:
        if words(name) not in known:
            labels = ", ".join(sorted(set(known.values())))
            _fail(f'{card}: there is no slot "{name}" that the record could fill. There are: {labels}.', USAGE)


def _print_diff(outcome: Outcome) -> None:
    before = (outcome.before or "").splitlines(keepends=True)
    lines = difflib.unified_diff(before, outcome.text.splitlines(keepends=True), str(outcome.card), str(outcome.card))
    sys.stdout.writelines(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _tell(outcome: Outcome, card: Path, *, done: bool) -> None:
    """Say on standard error what became of the slots, and what a person has to decide."""
    _warn(outcome.warnings)
    for one in outcome.kept:
        if one.ours_before:
            _note(one.message(str(card)))
    counts = {state: sum(one.state == state for one in outcome.reports) for state in _DONE}
    said = ", ".join(f"{number} {_DONE[state]}" for state, number in counts.items() if number)
    if not outcome.changed:
        _note(f"{card}: nothing to do" + (f" ({said})" if said else ""))
    else:
        _note(f"{card}: {'' if done else 'would have '}{said or 'brought up to date'}")


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        _note(f"warning: {warning}")


def _note(text: str) -> None:
    typer.echo(f"autocard: {text}", err=True)


def _fail(text: str, status: int) -> NoReturn:
    _note(text)
    raise SystemExit(status)
