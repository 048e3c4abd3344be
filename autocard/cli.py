"""The command line: parse, call one function, print, exit status. Holds no logic of its own.

Exit status: 0 done or nothing to do; 1 a machine's slot is out of date or missing (--check, check);
2 wrong usage, or standard output cannot be written; 3 refused, nothing was written.
Imports none of torch, transformers, peft, codecarbon.
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
from rich.table import Table
from rich.text import Text

from autocard import export as exporting
from autocard import files, units
from autocard import record as records
from autocard._version import __version__
from autocard.card.check import check as checking
from autocard.card.check import check_text
from autocard.card.fact import plain
from autocard.card.fields.summary import summary
from autocard.card.fill.fill import Report
from autocard.card.form.labels import words
from autocard.card.update import Outcome, update
from autocard.errors import AutocardError, SettingsError
from autocard.hub import remote
from autocard.command_line.standard_output import Output, OutputError
from autocard.reconcile import reconcile as reconciling
from autocard.reconcile.sacct import JOB, MAX_CHARACTERS
from autocard.record import RunRecord
from autocard.record.limits import LARGEST
from autocard.runtime.assemble import as_saved, look_again
from autocard.settings import resolve
from autocard.totals.totals import J_PER_KWH

OUT_OF_DATE, USAGE, REFUSED = 1, 2, 3

app = typer.Typer(
    name="autocard",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Fill the technical and environmental sections of a model card with what the training run measured.",
)

CardPath = Annotated[
    Path,
    typer.Argument(
        metavar="CARD",
        help="A model card, or the folder that holds its README.md.",
        show_default=False,
    ),
]
RecordPath = Annotated[
    Path | None,
    typer.Option(
        "--record", metavar="R", help="A record, or a folder that holds one. Read, never written."
    ),
]
Template = Annotated[
    str | None,
    typer.Option(
        metavar="T", help="A shipped template's name, or the path of a Markdown or Jinja file."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> None:
    """Run the command line; the entry point `autocard`."""
    sys.stdout = output = Output(sys.stdout)
    try:
        try:
            app()
        finally:
            output.flush()
    except OutputError as exc:
        output.discard()
        if exc.quiet:
            raise SystemExit(USAGE) from exc
        _fail(f"standard output cannot be written ({exc}).", USAGE)
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
        list[str] | None,
        typer.Option(metavar="SLOT", help="Write this slot, whoever wrote there. May be repeated."),
    ] = None,
    *,
    suggest: Annotated[
        bool,
        typer.Option(
            "--suggest", help="Propose licence, developers and citation, marked for you to check."
        ),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; status 1 if something would change.")
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Write nothing; print what would change.")
    ] = False,
) -> None:
    """Fill CARD in place: empty slots are filled, ours refreshed, a person's text is kept.

    The record is the autocard.json beside the card, or the one that --record names. A missing card
    is made.
    """
    card = _card(card)
    run = look_again(_record(record or card.parent, card), card.parent)
    trial = update(
        card, run, template=template, overwrite=overwrite or (), suggest=suggest, dry_run=True
    )
    if trial.left_alone is not None:
        _fail(f"{card}: {trial.left_alone}. Nothing was written.", REFUSED)
    _know_slots(overwrite or (), trial.reports, card)
    keeps = check or diff
    outcome = (
        trial
        if keeps
        else update(card, run, template=template, overwrite=overwrite or (), suggest=suggest)
    )
    if diff:
        _print_diff(outcome)
    _tell(outcome, card, done=not (check or diff))
    if check and outcome.changed:
        raise typer.Exit(OUT_OF_DATE)


@app.command()
def render(
    record: Annotated[
        Path, typer.Option("--record", metavar="R", help="A record, or a folder that holds one.")
    ],
    template: Template = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="A new file, instead of the screen."),
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
        made = update(output, as_saved(run, output.parent), template=template)
        _note(f"{output}: written, and beside it the record that remembers what was written")
    _warn(made.warnings)


@app.command()
def show(
    record: Annotated[
        Path, typer.Argument(metavar="R", help="A record, or a folder that holds one.")
    ],
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
    record: RecordPath = None,
    *,
    strict: Annotated[
        bool, typer.Option("--strict", help="Ask for the slots that only people can fill, too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what in CARD is out of date, empty (and who can fill it), contradicts the record, or is not for the Hub.

    The record is the autocard.json beside the card, or the one that --record names. Asks no other
    machine and writes nothing. Status 1 if something is wrong: a machine's slot, a contradiction, a
    front matter that the Hub refuses.
    """
    card = _card(card)
    if not files.exists(card):
        _fail(f"{card}: there is no such card. Make it: autocard fill {card}", USAGE)
    beside = files.exists(card.parent / records.RECORD_NAME)
    run = (
        look_again(_record(record or card.parent, card), card.parent)
        if record is not None or beside
        else None
    )
    findings = checking.check(card, run)
    if findings.left_alone is not None:
        _fail(f"{card}: {findings.left_alone}.", REFUSED)
    if as_json:
        sys.stdout.write(_as_json(check_text.as_json(findings)))
    else:
        console = Console()
        for line in check_text.lines(
            str(card), findings, strict=strict, has_record=run is not None
        ):
            console.print(Text(line), soft_wrap=True)
    if findings.wrong(strict=strict):
        raise typer.Exit(OUT_OF_DATE)


@app.command()
def push(
    repository: Annotated[
        str, typer.Argument(metavar="REPO", help="Id of a model on the Hub, such as me/my-model.")
    ],
    record: RecordPath = None,
    overwrite: Annotated[
        list[str] | None,
        typer.Option(metavar="SLOT", help="Write this slot, whoever wrote there. May be repeated."),
    ] = None,
    revision: Annotated[str | None, typer.Option(metavar="BRANCH", help="Instead of main.")] = None,
    *,
    diff: Annotated[
        bool, typer.Option("--diff", help="Upload nothing; print what would change.")
    ] = False,
) -> None:
    """Fill the card of REPO on the Hub, where it stands, and upload it with its record in one commit.

    The record is the autocard.json of the repository, or the one that --record names.
    """
    run = _record(record) if record is not None else None
    done = remote.push(
        remote.Repository(repository, None, revision), run, overwrite=overwrite or (), dry_run=diff
    )
    _warn(done.warnings)
    if diff:
        _print_difference(done.before, done.text, repository)
        return
    typer.echo(
        f"{repository}: {done.commit}" if done.commit else f"{repository}: nothing to change"
    )


@app.command()
def reconcile(
    record: Annotated[
        Path, typer.Argument(metavar="R", help="A record, or a folder that holds one.")
    ],
    *,
    sacct: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="What Slurm's sacct printed, with its header; - to paste it."
        ),
    ] = None,
    job: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Slurm's job, if not the record's. May be repeated."),
    ] = None,
    kwh: Annotated[
        float | None, typer.Option(metavar="N", help="What a meter of the house read.")
    ] = None,
    joules: Annotated[float | None, typer.Option(metavar="N", help="The same in joules.")] = None,
    source: Annotated[
        str, typer.Option(metavar="TEXT", help="Whose figure that is; it stands in the card.")
    ] = "",
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="How long sacct may take.")
    ] = reconciling.TIMEOUT_S,
    diff: Annotated[
        bool, typer.Option("--diff", help="Write nothing; print what would change in the cards.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare the components' sum in R with what the centre measured, and put both into the record and its cards.

    The figure is Slurm's for the record's job (sacct is run where there is one), else what the
    nodes' own meters read; or one that you give. It is compared, never put in the place of a sum.
    """
    figure = _number(joules, kwh, source)
    if figure is not None and (sacct is not None or job):
        _fail("one figure at a time: sacct's, or the one you give.", USAGE)
    for one in job or ():
        if not JOB.fullmatch(one):
            _fail(
                f"--job {plain(one)}: a job is a number, as in 812345, 812345_3 or 812345+0.", USAGE
            )
    _record(record)
    asked = reconciling.ReconcileRequest(
        _pasted(sacct), figure, plain(source), tuple(job or ()), timeout
    )
    done = reconciling.reconcile(record, asked, dry_run=diff)
    if as_json:
        found = {
            "reconciliation": done.one.model_dump(mode="json"),
            "missing": done.why,
            "changed": done.changed,
        }
        sys.stdout.write(_as_json(found))
    elif not diff:
        _print_comparison(done)
    for card, outcome in done.cards:
        if outcome.left_alone is not None:
            _note(
                f"warning: {card}: {outcome.left_alone}. It was left alone; put it right and run: autocard fill {card}"
            )
            continue
        if diff and not as_json:
            _print_diff(outcome)
        _tell(outcome, card, done=not diff)
    if not done.cards:
        _note(
            f"{record}: no card of ours beside it"
            + ("" if diff else "; the comparison is in the record")
        )


def export(
    record: Annotated[
        Path, typer.Argument(metavar="R", help="A record, or a folder that holds one.")
    ],
    format_name: Annotated[str, typer.Option("--format", metavar="F", help="Name of the format.")],
) -> None:
    """Print a record in another format."""
    formats = exporting.formats()
    if format_name not in formats:
        _fail(f"--format {plain(format_name)}: give one of {', '.join(formats)}.", USAGE)
    sys.stdout.write(exporting.export(_record(record), format_name))


if exporting.formats():  # a command that no format stands behind would only confuse
    app.command()(export)


@app.command()
def doctor(*, as_json: AsJson = False) -> None:
    """Show what autocard sees on this machine, and how it would measure a training here. Takes some seconds."""
    from autocard import doctor as doctor_  # noqa: PLC0415 - the other commands do without drivers and processes

    report = doctor_.examine(resolve({}))
    if as_json:
        sys.stdout.write(_as_json(report))
        return
    screen = Table.grid(padding=(0, 2))
    screen.add_column(style="bold", no_wrap=True)
    for label, said in doctor_.text(report):
        screen.add_row(label, Text(said, overflow="fold"))
    Console().print(screen)


@app.command()
def schema() -> None:
    """Print the JSON Schema of autocard.json."""
    sys.stdout.write(schema_text())


def schema_text() -> str:
    """Return the JSON Schema of `autocard.json`, as it is published in the package."""
    return _as_json(records.json_schema())


def _number(joules: float | None, kwh: float | None, source: str) -> float | None:
    """Return the meter's figure in kWh; refuse two figures, one that is none, and one that is nobody's."""
    if joules is not None and kwh is not None:
        _fail("--joules and --kwh: give one of them.", USAGE)
    figure = joules / J_PER_KWH if joules is not None else kwh
    if figure is None:
        if source:
            _fail("--source says whose figure it is: give it too, with --kwh or --joules.", USAGE)
        return None
    if not 0 <= figure <= LARGEST:  # what no record can be read with
        _fail(f"{figure:g} kWh is no meter's figure.", USAGE)
    if not plain(source):
        _fail(
            'whose figure is it? Say so, as in --source "the rack\'s meter". It stands in the card.',
            USAGE,
        )
    return figure


def _pasted(file: str | None) -> str | None:
    """Return what sacct printed, from a file or from standard input."""
    if file is None:
        return None
    try:
        if file == "-":
            data = sys.stdin.buffer.read(MAX_CHARACTERS + 1)
        else:
            data = files.read_bytes(Path(file), MAX_CHARACTERS)
    except OSError as exc:
        _fail(f"{file}: cannot be read ({exc.strerror or type(exc).__name__}).", USAGE)
    return data.decode("utf-8", "replace")


def _print_comparison(done: reconciling.ReconcileOutcome) -> None:
    one, console = done.one, Console()
    lines = {
        "Metered": f"{units.kwh(one.metered_kwh)}: {one.source}"
        if one.metered_kwh is not None
        else f"none: {one.source}",
        "Covers": one.covers,
        "Components": units.kwh(one.components_kwh)
        if one.components_kwh is not None
        else done.why["components_kwh"],
        "Ratio": units.number(one.ratio, units.MODELLED) if one.ratio is not None else "none",
        "Not metered": units.kwh(one.unmetered_kwh, units.MODELLED)
        if one.unmetered_kwh is not None
        else "not known",
        "Verdict": f"{one.verdict}: {one.reason}" if one.reason else one.verdict,
    }
    width = max(map(len, lines)) + 2
    for label, text in lines.items():
        console.print(Text.assemble((label.ljust(width), "bold"), plain(text)), soft_wrap=True)


_DONE = {
    "filled": "filled",
    "refreshed": "refreshed",
    "cleared": "cleared (not known for this run)",
    "kept": "kept (somebody else's text)",
    "removed": "left out (taken out by a person)",
}


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _card(path: Path) -> Path:
    """Return the card at *path*: of a folder, its README.md."""
    return path / "README.md" if files.is_folder(path) else path


def _record(path: Path, card: Path | None = None) -> RunRecord:
    """Read the record at *path*; that there is none is wrong usage, that it is broken a refusal."""
    file = path / records.RECORD_NAME if files.is_folder(path) else path
    if not files.exists(file):
        ways = "Train with AutoCardCallback, or name a record" + (
            " with --record." if card is not None else "."
        )
        _fail(f"{file}: there is no such record. {ways}", USAGE)
    return records.load(path)


def _know_free(output: Path) -> None:
    """Refuse a place where a card or a record would be lost."""
    if files.exists(output):
        way = f"To bring it up to date: autocard fill {output}"
        _fail(f"{output}: is there already, and was left alone. {way}", REFUSED)
    if files.exists(output.parent / records.RECORD_NAME):
        way = f"To make the card of that record: autocard fill {output}"
        _fail(
            f"{output}: a record lies beside it, which would be replaced. Nothing was written. {way}",
            REFUSED,
        )


def _know_slots(names: Iterable[str], reports: Iterable[Report], card: Path) -> None:
    """Refuse a slot that the card does not have: a name mistyped must not pass for done."""
    known = {
        words(name): one.label
        for one in reports
        for name in (one.slot, one.label, one.slot.removeprefix("yaml:"))
    }
    for name in names:
        if words(name) not in known:
            labels = ", ".join(sorted(set(known.values())))
            _fail(
                f'{card}: there is no slot "{name}" that the record could fill. There are: {labels}.',
                USAGE,
            )


def _print_diff(outcome: Outcome) -> None:
    _print_difference(outcome.before, outcome.text, str(outcome.card))


def _print_difference(before: str | None, after: str, name: str) -> None:
    old, new = ((text or "").splitlines(keepends=True) for text in (before, after))
    lines = difflib.unified_diff(old, new, name, name)
    sys.stdout.writelines(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _tell(outcome: Outcome, card: Path, *, done: bool) -> None:
    """Say on standard error what became of the slots, and what a person has to decide."""
    _warn(outcome.warnings)
    for one in outcome.kept:
        if one.ours_before:
            _note(one.message(str(card)))
    if outcome.suggested:
        names = ", ".join(dict.fromkeys(plain(one.label) for one in outcome.suggested))
        _note(f"{card}: suggested, for you to check: {names}")
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
