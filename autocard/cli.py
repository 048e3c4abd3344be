"""The command line: parse, call one function, print, exit status. Holds no logic of its own.

The exit statuses are in `command_line.messages`. Imports none of torch, transformers, peft,
codecarbon.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from autocard import export as exports
from autocard import files, units
from autocard import record as records
from autocard._version import __version__
from autocard.card import remove as removing
from autocard.card.check import check as checking
from autocard.card.check import check_text
from autocard.card.fact import plain
from autocard.card.fields.summary import summary
from autocard.card.form.fact_list import fact_entries
from autocard.card.update import update
from autocard.command_line import inputs, left, options, printing
from autocard.command_line.later_place import with_options
from autocard.command_line.messages import OUT_OF_DATE, REFUSED, USAGE, fail, note, warn
from autocard.command_line.standard_output import Messages, Output, OutputError
from autocard.errors import AutocardError, NotWrittenError, SettingsError
from autocard.hub import remote
from autocard.reconcile import reconcile as reconciling
from autocard.runtime import closing
from autocard.runtime.saved_weights import with_merged_adapters, with_saved_weights
from autocard.settings import resolve

app = typer.Typer(
    name="autocard",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Fill the technical and environmental sections of a model card "
        "with what the training run measured."
    ),
)


def main() -> None:
    """Run the command line; the entry point `autocard`."""
    sys.stdout = output = Output(sys.stdout)
    sys.stderr = Messages(sys.stderr)
    try:
        try:
            app()
        finally:
            output.flush()
    except OutputError as exc:
        output.discard()
        if exc.quiet:
            raise SystemExit(USAGE) from exc
        fail(f"standard output cannot be written ({exc}).", USAGE)
    except SettingsError as exc:
        fail(str(exc), USAGE)
    except AutocardError as exc:
        fail(str(exc), REFUSED)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        sys.stdout.write(f"autocard {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


@app.command()
def fill(
    card: options.CardPath,
    record: options.OptionalRecord = None,
    template: options.Template = None,
    overwrite: options.Overwrite = None,
    *,
    country: options.Country = None,
    region: options.Region = None,
    intensity: options.Intensity = None,
    pue: options.Pue = None,
    detail: options.Detail = None,
    sections: options.Sections = None,
    suggest: options.Suggest = False,
    check: options.CheckOnly = False,
    diff: options.DiffOnly = False,
) -> None:
    """Fill CARD in place: empty slots are filled, ours refreshed, a person's text is kept.

    The record is the autocard.json beside the card, or the one that --record names. A missing card
    is made. A place that is given later stays in the record beside the card.
    """
    card = inputs.card_file(card)
    if template is not None:
        inputs.check_template_of(card, template)
    run = with_saved_weights(inputs.read_record(record or card.parent, card), card.parent)
    run = with_options(run, country=country, region=region, intensity=intensity, pue=pue, card=card)
    slots = overwrite or ()
    chosen = inputs.selection(detail, sections)
    ask = partial(update, card, run, template=template, overwrite=slots, suggest=suggest, **chosen)
    trial = ask(dry_run=True)
    if trial.left_alone is not None:
        fail(f"{card}: {trial.left_alone}. Nothing was written.", REFUSED)
    inputs.check_slot_names(slots, trial.reports, card)
    is_trial = check or diff
    outcome = trial
    if not is_trial:
        outcome = ask()
    if diff:
        printing.print_outcome_diff(outcome)
    printing.report_outcome(outcome, card, done=not is_trial)
    if check and outcome.changed:
        raise typer.Exit(OUT_OF_DATE)


@app.command()
def render(
    run: options.OptionalRun = None,
    record: options.RecordOption = None,
    template: options.Template = None,
    output: options.OutputFile = None,
    *,
    country: options.Country = None,
    region: options.Region = None,
    intensity: options.Intensity = None,
    pue: options.Pue = None,
    detail: options.Detail = None,
    sections: options.Sections = None,
) -> None:
    """Make a new card from the record of RUN, in any form.

    With -o the record is written beside the card.
    """
    known = inputs.read_record(inputs.one_record(run, record))
    known = with_options(known, country=country, region=region, intensity=intensity, pue=pue)
    chosen = inputs.selection(detail, sections)
    if output is None:
        with TemporaryDirectory() as folder:
            card = Path(folder) / "README.md"
            made = update(card, known, template=template, dry_run=True, **chosen)
        printing.print_data(made.text)
    else:
        inputs.check_is_new(output)
        known = with_merged_adapters(known, output.parent)
        made = update(output, known, template=template, **chosen)
        note(f"{output}: written, with its record beside it")
    warn(made.warnings)


@app.command()
def show(
    record: options.RecordPath,
    *,
    country: options.Country = None,
    region: options.Region = None,
    intensity: options.Intensity = None,
    pue: options.Pue = None,
    as_json: options.AsJson = False,
) -> None:
    """Show what a run recorded: base model, regime, hardware, hours, energy, CO2eq."""
    if not as_json and inputs.lacks_record(record) and left.show(record):
        return
    run = inputs.read_record(record)
    run = with_options(run, country=country, region=region, intensity=intensity, pue=pue)
    left.hint(record)
    if as_json:
        printing.print_json(records.to_json(run))
        return
    printing.print_labelled({"Model": plain(run.model.name or "not known"), **summary(run)})


@app.command()
def check(
    card: options.CardPath,
    record: options.OptionalRecord = None,
    *,
    strict: options.Strict = False,
    as_json: options.AsJson = False,
) -> None:
    """Say whether CARD is up to date, then what is not: one line each, in groups.

    Groups: out of date, contradicts the record, the Hub would refuse, the Hub does not read, for
    you to write, not recorded.

    The record is the autocard.json beside the card, or the one that --record names. Asks no other
    machine and writes nothing. Status 1 if something is out of date, contradicts the record, or
    would be refused by the Hub.
    """
    card = inputs.card_file(card)
    if not files.exists(card):
        way_on = left.way_on(card.parent) or f"Make it: autocard fill {card}"
        fail(f"{card}: there is no such card. {way_on}", USAGE)
    run = None
    if record is not None or files.exists(card.parent / records.RECORD_NAME):
        run = with_saved_weights(inputs.read_record(record or card.parent, card), card.parent)
    findings = checking.check(card, run)
    if findings.left_alone is not None:
        fail(f"{card}: {findings.left_alone}.", REFUSED)
    has_record = run is not None
    if as_json:
        printing.print_json(printing.as_json(check_text.as_json(findings, has_record=has_record)))
    else:
        printing.print_lines(
            check_text.lines(
                str(card), findings, strict=strict, has_record=has_record, width=printing.width()
            )
        )
    if findings.wrong(strict=strict):
        raise typer.Exit(OUT_OF_DATE)


@app.command()
def remove(card: options.CardPath, *, diff: options.DiffOnly = False) -> None:
    """Take all text that autocard wrote out of CARD, and put the form's placeholders back.

    What a person wrote or edited stays. The record beside the card stays, too: delete autocard.json
    and take the callback out of the training script to be rid of both.
    """
    card = inputs.card_file(card)
    removed = removing.remove(card, dry_run=diff)
    if diff:
        printing.print_diff(removed.before, removed.text, str(card))
        return
    count = len(removed.reports)
    done = f"{units.plural(count, 'text')} removed" if count else "nothing to remove"
    note(f"{card}: {done}")


@app.command()
def push(
    repository: options.RepositoryId,
    record: options.OptionalRecord = None,
    overwrite: options.Overwrite = None,
    revision: options.Revision = None,
    *,
    diff: options.UploadDiffOnly = False,
) -> None:
    """Fill the card of REPO on the Hub in place, and upload it with its record in one commit.

    The record is the autocard.json of the repository, or the one that --record names.
    """
    run = inputs.read_record(record) if record is not None else None
    target = remote.Repository(repository, None, revision)
    done = remote.push(target, run, overwrite=overwrite or (), dry_run=diff)
    warn(done.warnings)
    if diff:
        printing.print_diff(done.before, done.text, repository)
        return
    sys.stdout.write(f"{repository}: {done.commit or 'nothing to change'}\n")


@app.command()
def reconcile(
    record: options.RecordPath,
    *,
    sacct: options.SacctFile = None,
    job: options.SlurmJobs = None,
    kwh: options.MeterKwh = None,
    joules: options.MeterJoules = None,
    source: options.MeterSource = "",
    timeout: options.SacctTimeout = reconciling.TIMEOUT_S,
    diff: options.CardsDiffOnly = False,
    as_json: options.AsJson = False,
) -> None:
    """Compare the components' sum in RUN with what the computing center measured.

    Both figures are put into the record and its cards.

    The figure is Slurm's for all jobs of the run (sacct is run where there is one), else what the
    nodes' own meters read; or one that you give. It is compared, never put in the place of a sum.
    """
    figure_kwh = inputs.meter_kwh(joules, kwh, source)
    if figure_kwh is not None and (sacct is not None or job):
        fail("one figure at a time: sacct's, or the one you give.", USAGE)
    inputs.check_jobs(job or ())
    record = inputs.record_path(record)
    inputs.read_record(record)
    request = reconciling.ReconcileRequest(
        inputs.sacct_text(sacct), figure_kwh, plain(source), tuple(job or ()), timeout
    )
    outcome = reconciling.reconcile(record, request, dry_run=diff)
    if as_json:
        printing.print_json(printing.comparison_as_json(outcome))
    elif not diff:
        printing.print_comparison(outcome)
    printing.report_reconciled(outcome, record, diff=diff, json=as_json)


@app.command()
def close(
    folder: options.OutputFolder,
    card: options.CardElsewhere = None,
    run_id: options.RunId = None,
    template: options.Template = None,
    *,
    country: options.Country = None,
    region: options.Region = None,
    intensity: options.Intensity = None,
    pue: options.Pue = None,
    force: options.Force = False,
    as_json: options.AsJson = False,
) -> None:
    """Make record and card of a run that was broken off: killed, cancelled, out of time.

    They hold all that was known when training began, the results up to the newest checkpoint, and
    hours and energy up to the last reading. A later resume continues the same run.

    Refused, with status 3, while the run may be alive. Status 0 if there is nothing to close.
    """
    run = left.run_to_close(folder, card, run_id, force=force)
    if run is None:
        return
    card = card or run.card
    known = closing.record_of(run, card)
    known = with_options(known, country=country, region=region, intensity=intensity, pue=pue)
    try:
        closed = closing.write(run, known, card, template)
    except NotWrittenError as exc:
        left.fail_not_written(folder, run, card, exc)
    warn(closed.outcome.warnings)
    if as_json:
        printing.print_json(records.to_json(closed.record))
    else:
        left.report_closed(closed)


def export(record: options.RecordPath, format_name: options.ExportFormat) -> None:
    """Print a record in another format."""
    formats = exports.formats()
    if format_name not in formats:
        fail(f"--format {plain(format_name)}: give one of {', '.join(formats)}.", USAGE)
    printing.print_json(exports.export(inputs.read_record(record), format_name))


if exports.formats():  # without a format there is nothing that the command could do
    app.command()(export)


@app.command()
def doctor(*, as_json: options.AsJson = False) -> None:
    """Show what autocard sees on this machine, and how it would measure a training here.

    Whether ledger_dir, card and site file can be used is tried, and nothing is left there. Takes
    some seconds.
    """
    from autocard import doctor as doctor_  # noqa: PLC0415 - the other commands do without drivers and processes

    report = doctor_.examine(resolve({}))
    if as_json:
        printing.print_json(printing.as_json(report))
    else:
        printing.print_grid(doctor_.text(report))


@app.command()
def facts(*, as_json: options.AsJson = False) -> None:
    """List the facts that a form may ask for, and that the setting `facts` may give.

    Each with its title, who fills it, its unit, its place in autocard.json and its labels.
    """
    entries = fact_entries()
    if as_json:
        printing.print_json(printing.as_json([entry.as_dict() for entry in entries]))
    else:
        printing.print_grid(printing.fact_rows(entries))


@app.command()
def schema() -> None:
    """Print the JSON Schema of autocard.json."""
    printing.print_json(schema_text())


def schema_text() -> str:
    """Return the JSON Schema of `autocard.json`, as it is published in the package."""
    return printing.as_json(records.json_schema())
