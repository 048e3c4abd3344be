"""Check and read what a command is given; what cannot be used ends the command with a message."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

from autocard import files
from autocard import record as records
from autocard.card.fact import plain
from autocard.card.fill import new_card
from autocard.card.form.labels import words
from autocard.card.report import Report
from autocard.command_line import left
from autocard.command_line.messages import REFUSED, USAGE, fail, note
from autocard.reconcile.sacct_rows import JOB, MAX_CHARACTERS
from autocard.record import RunRecord
from autocard.record.limits import LARGEST
from autocard.settings.nearest import did_you_mean
from autocard.settings.values import read_detail, read_sections
from autocard.totals.leg_sums import J_PER_KWH

_CARDS = {".md", ".markdown"}
"""Endings of the names of cards."""


def card_file(path: Path) -> Path:
    """Return the card at *path*: of a folder, its README.md."""
    if files.is_folder(path):
        return path / "README.md"
    if not path.suffix and not files.exists(path):
        fail(f"{path}: there is no such folder or card.", USAGE)
    return path


def check_template_of(card: Path, template: str) -> None:
    """Refuse a *template* that does not exist, and say that an existing *card* keeps its form."""
    new_card.check_template(template, "--template")
    if files.exists(card):
        note(
            f"{card} exists and keeps its form: --template is for a new card. To make one: "
            f"autocard render {card} --template {template} -o NEW.md"
        )


def record_path(path: Path) -> Path:
    """Return where the record is that *path* stands for: of a card, the one beside it."""
    if path.suffix.lower() in _CARDS and not files.is_folder(path):
        return path.parent / records.RECORD_NAME
    return path


def one_record(run: Path | None, option: Path | None) -> Path:
    """Return the record that a command was given, as its argument or by --record."""
    given = [path for path in (run, option) if path is not None]
    if len(given) > 1:
        fail("RUN and --record are the same: give one of them.", USAGE)
    if not given:
        fail("Missing argument 'RUN': a record, a folder that holds one, or a card.", USAGE)
    return given[0]


def read_record(path: Path, card: Path | None = None) -> RunRecord:
    """Return the record at *path*; a missing one is wrong usage, a broken one is refused.

    Args:
        path: a record, a folder that holds one, or a card beside one.
        card: the card that is to be filled, where the command has an option --record.
    """
    path = record_path(path)
    file = path / records.RECORD_NAME if files.is_folder(path) else path
    if not files.exists(file):
        option = " with --record" if card is not None else ""
        way_on = left.way_on(file.parent)
        way_on = way_on or f"Train with AutoCardCallback, or name a record{option}."
        fail(f"{file}: there is no such record. {way_on}", USAGE)
    return records.load(path)


def lacks_record(path: Path) -> bool:
    """Return whether *path* is a folder without a record."""
    return files.is_folder(path) and not files.exists(path / records.RECORD_NAME)


def check_is_new(output: Path) -> None:
    """Refuse to write a card where a card or a record would be lost."""
    if files.exists(output):
        fail(
            f"{output}: exists already, and was left alone. "
            f"To bring it up to date: autocard fill {output}",
            REFUSED,
        )
    if files.exists(output.parent / records.RECORD_NAME):
        fail(
            f"{output}: the record beside it would be replaced. Nothing was written. "
            f"To make the card of that record: autocard fill {output}",
            REFUSED,
        )


class Chosen(TypedDict):
    """How much of a card is written, as `update` takes it; None: as the card has it."""

    detail: str | None
    sections: tuple[str, ...] | None


def selection(detail: str | None, sections: str | None) -> Chosen:
    """Return what --detail and --sections say.

    Raises:
        SettingsError: there is no such detail or section.
    """
    return {
        "detail": None if detail is None else read_detail(detail, "--detail"),
        "sections": None if sections is None else read_sections(sections, "--sections"),
    }


def check_slot_names(names: Iterable[str], reports: Iterable[Report], card: Path) -> None:
    """Refuse the name of a slot that the card does not have: a typo must not pass for done."""
    labels: dict[str, str] = {}
    for report in reports:
        for name in (report.slot, report.label, report.slot.removeprefix("yaml:")):
            labels[words(name)] = report.label
    for name in names:
        if words(name) not in labels:
            known = sorted(set(labels.values()))
            near = did_you_mean(name, known, f"There are: {', '.join(known)}.")
            fail(f'{card}: there is no slot "{name}" that the record could fill.{near}', USAGE)


def check_jobs(jobs: Iterable[str]) -> None:
    """Refuse what cannot be the id of a job of Slurm."""
    for job in jobs:
        if not JOB.fullmatch(job):
            fail(
                f"--job {plain(job)}: a job is a number, as in 812345, 812345_3 or 812345+0.", USAGE
            )


def meter_kwh(joules: float | None, kwh: float | None, source: str) -> float | None:
    """Return the figure of a person's meter in kWh; None: none is given.

    Refused are two figures, a figure that is none, and one without its source.
    """
    if joules is not None and kwh is not None:
        fail("--joules and --kwh: give one of them.", USAGE)
    figure_kwh = joules / J_PER_KWH if joules is not None else kwh
    if figure_kwh is None:
        if source:
            fail("--source names the meter of a figure: give --kwh or --joules, too.", USAGE)
        return None
    if not 0 <= figure_kwh <= LARGEST:  # a record with a larger one could not be read again
        fail(f"{figure_kwh:g} kWh is no meter's figure.", USAGE)
    if not plain(source):
        fail(
            'Which meter read this? Name it, as in --source "the rack\'s meter". '
            "It will stand in the card.",
            USAGE,
        )
    return figure_kwh


def sacct_text(file: str | None) -> str | None:
    """Return what sacct printed, from a file or, for "-", from standard input."""
    if file is None:
        return None
    try:
        if file == "-":
            data = sys.stdin.buffer.read(MAX_CHARACTERS + 1)
        else:
            data = files.read_bytes(Path(file), MAX_CHARACTERS)
    except OSError as exc:
        fail(f"{file}: cannot be read ({exc.strerror or type(exc).__name__}).", USAGE)
    return data.decode("utf-8", "replace")
